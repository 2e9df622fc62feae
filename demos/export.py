"""Write a trained run, or a published checkpoint, as ONNX, which other programs run.

RUN is a run's folder, or anything that minivit.pretrained.load reads. The graph takes normalised
images, as many at once as one likes, and returns logits; a model without head returns features. The
class names and the preparation of a picture are in its metadata, as JSON.
"""

import sys
from pathlib import Path

import minivit
from minivit import pretrained
from minivit.files import read_json, write_file
from minivit.pretrained.onnx_graph import OPSET, onnx_model

from .options import new_file, parser_of, status

RUN_IT = """\
import onnxruntime
session = onnxruntime.InferenceSession({path!r})
(result,) = session.run(None, {{"images": images}})  # (pixels / 255 - mean) / std, float32"""


def arguments(argv=None):
    parser = parser_of("export", __doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's folder, such as runs/mnist, or a published checkpoint")
    add("out", metavar="FILE.onnx", type=new_file, help="the file to write")
    return parser.parse_args(argv)


def main(argv=None):
    return status("export", lambda: export(arguments(argv)))


def export(options):
    model, params, config = load(options.run)
    proto = onnx_model(model, params, config)
    data = proto.SerializeToString()
    write_file(options.out, data)
    faces = [as_text(face) for face in (*proto.graph.input, *proto.graph.output)]
    print(f"{options.out}: {len(data) / 1e6:,.1f} MB, {' -> '.join(faces)}, opset {OPSET}. Run it:")
    print(RUN_IT.format(path=options.out))


def load(run):
    """The model, the parameters, and what else is known, of a run or of a published checkpoint."""
    if not Path(run, "weights.safetensors").is_file():
        return pretrained.load(run)
    classifier = minivit.Classifier.load(run)
    config = read_json(Path(run, "config.json"))
    known = {name: config[name] for name in ("classes", "preparation")}
    return classifier.model, classifier.params, known


def as_text(face):
    """An input or output: its name and shape."""
    sizes = [str(size.dim_param or size.dim_value) for size in face.type.tensor_type.shape.dim]
    return f"{face.name} ({', '.join(sizes)})"


if __name__ == "__main__":
    sys.exit(main())
