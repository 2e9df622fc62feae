"""Ask a trained run what is in a picture, from a file or URL: for MNIST, which digit it is.

A warning says that a picture may not be a digit: if nothing stands out from its background; if what
does falls into more than two pieces, fills less than 12 % of its box or touches the edge of the
picture; if it is unlike all of 10,000 digits of MNIST (by the cosine of the blurred images, less
than 0.915); or if the model is less than 90 % sure. For a run on other images the picture is
prepared as those were: its middle, resized.
"""

import json
import sys

import numpy as np

import minivit
from minivit.backend import usable_device
from minivit.data.download import printable
from minivit.files import write_file
from minivit.study import figures
from minivit.study.explorer.page import MOST_PARAMETERS

from .options import add_device, new_file, parser_of, propose, status

SURE = 0.9  # of MNIST's test digits, the default model is less sure of 2 %


def arguments(argv=None):
    parser = parser_of("predict", __doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's folder, such as runs/mnist")
    add("images", metavar="IMAGE", nargs="+", help="files or URLs: JPEG, PNG, WebP, BMP, TIFF")
    attention_help = "draw the attention rollout, and the gradient of the winning logit"
    add("--attention", type=new_file, metavar="FILE.png", help=attention_help)
    add("--json", action="store_true", help="print a JSON list, with all probabilities")
    add_device(parser)
    return parser.parse_args(argv)


def main(argv=None):
    return status("predict", lambda: predict(arguments(argv)))


def predict(options):
    """Print what the model reads in each picture; return 2 if one of them could not be read."""
    classifier = minivit.Classifier.load(options.run, usable_device(options.device))
    answers, drawn = [], []
    for name in options.images:
        try:
            pixels, warnings = classifier.read(name)
        except (ValueError, OSError) as error:
            print(f"predict: {error}", file=sys.stderr)
            answers.append({"image": name, "error": str(error)})
            continue
        answers.append({"image": name, **answer(classifier, pixels, warnings)})
        drawn.append(pixels)
        if not options.json:
            print(as_text(answers[-1]))
    if options.json:
        print(json.dumps(answers, indent=2))
    if options.attention and drawn:
        figure = figures.attention_of_predictions(classifier, np.stack(drawn))
        write_file(options.attention, figures.png(figure))
        print(f"Written: {options.attention}", file=sys.stderr)
    if drawn and not options.json:
        small = classifier.params.flat.size <= MOST_PARAMETERS
        name = next(answer["image"] for answer in answers if "class" in answer)
        more = ["explore", options.run, "--image", printable(name)]
        propose("see why", *(more if small else ["attention_backprop", options.run]))
    return 0 if len(drawn) == len(answers) else 2


def answer(classifier, pixels, warnings):
    """What the model reads, as a dict."""
    (probabilities,) = classifier.predict(pixels[None])
    best = int(probabilities.argmax())
    if classifier.reads_digits and probabilities[best] < SURE:
        warnings = [*warnings, f"the model is only {probabilities[best]:.0%} sure"]
    return {
        "class": classifier.classes[best],
        "probability": float(probabilities[best]),
        "probabilities": dict(zip(classifier.classes, probabilities.tolist(), strict=True)),
        "warnings": warnings,
    }


def as_text(answer):
    """An answer in a line, and a warning under it if there is reason for one."""
    ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
    others = ", ".join(f"{name} {probability:.1%}" for name, probability in ranked[1:3])
    line = (
        f"{printable(answer['image'])}: {answer['class']}  {answer['probability']:.1%}  ({others})"
    )
    if answer["warnings"]:
        line += f"\n  this may not be a digit: {'; '.join(answer['warnings'])}"
    return line


if __name__ == "__main__":
    sys.exit(main())
