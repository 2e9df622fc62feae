"""A ViT as an ONNX graph, which reads like its forward (onnx_layers.py has that of each layer).

A tensor is named as its array is in the source, after the dotted name of the layer: what
`Attention.forward` calls `scores` is blocks.0.attn.scores in the first block.
"""

import json
from typing import Any

import numpy as np

from ..models import ViT
from ..params import Params
from .onnx_layers import FORWARDS, vit

OPSET = 20  # the first one with Gelu
MOST_NUMBERS = (2**31 - 2**20) // 4  # protobuf's limit in float32, and room for all else
CONSTANTS = {int: "value_int", float: "value_float", list: "value_ints"}


def onnx_model(model: ViT, params: Params, config: dict[str, Any]) -> Any:
    """Return a ViT as an onnx.ModelProto, checked; `SerializeToString` gives the bytes of a file.

    Its input is "images" (B, H, W, C), normalised float32, for any B; its output is "logits"
    (B, K), or "features" (B, D) of a model without head. Parameters keep their dotted names; fixed
    positions are kept as pos.

    config: what else is known of the model, such as "classes" and "preparation" of a run's
            config.json; kept in metadata_props, each value as JSON
    Errors: ImportError without the package onnx; ValueError for more than 2 GB, and for rotary
    positions.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            f"an ONNX file needs onnx, which cannot be imported ({error}): pip install onnx"
        ) from error
    if model.config["positions"] == "rotary":
        raise ValueError("models with rotary positions cannot be exported to ONNX")
    if params.flat.size > MOST_NUMBERS:
        raise ValueError(
            f"{params.flat.size:,} parameters are more than 2 GB, the limit of an ONNX file; "
            f"export a model of at most {MOST_NUMBERS:,}"
        )
    graph = onnx.GraphProto(name="ViT", doc_string=repr(model))
    for name, leaf in params.to("cpu").named():
        Scope(graph, name).add_parameter(leaf)
    sizes, result = model.config, "logits" if model.config["classes"] else "features"
    vit(Scope(graph, "", model), "images", result)
    width = sizes["classes"] or sizes["pre_logits"] or sizes["dim"]
    graph.input.append(_face("images", ["B", *sizes["image_size"], sizes["channels"]]))
    graph.output.append(_face(result, ["B", width]))
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    version = onnx.helper.find_min_ir_version_for(opsets)  # the newest, not every runtime reads
    proto = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=version)
    onnx.helper.set_model_props(proto, {name: json.dumps(value) for name, value in config.items()})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _face(name, shape):
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


class Scope:
    """A layer, and its place in the graph: the names of all that it adds begin with `path`."""

    def __init__(self, graph, path, layer=None):
        self.graph, self.path, self.layer = graph, path, layer

    def name(self, name):
        """The full name of a parameter or tensor of this layer."""
        return f"{self.path}.{name}".lstrip(".")

    def part(self, name, x):
        """Add the forward of the layer's part of this name; return what its result is called."""
        layer = self.layer[name] if isinstance(self.layer, list) else getattr(self.layer, name)
        return FORWARDS[type(layer)](Scope(self.graph, self.name(name), layer), x)

    def add(self, name, operator, *inputs, **attributes):
        """Add a node, and return the full name of its result.

        Inputs are full names; numbers and lists of integers become constants.
        """
        from onnx import helper

        result, names = self.name(name), []
        for place, value in enumerate(inputs):
            names.append(value if isinstance(value, str) else f"{result}.{place}")
            if not isinstance(value, str):
                constant = {CONSTANTS[type(value)]: value}
                node = helper.make_node("Constant", [], names[-1:], names[-1], **constant)
                self.graph.node.append(node)
        self.graph.node.append(helper.make_node(operator, names, [result], result, **attributes))
        return result

    def add_parameter(self, array):
        """Add the array under this path itself."""
        from onnx import numpy_helper

        tensor = numpy_helper.from_array(array.astype(np.float32), self.path)
        self.graph.initializer.append(tensor)
