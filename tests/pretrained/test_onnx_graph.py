import json
import sys

import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.pretrained import onnx_graph
from minivit.pretrained.onnx_graph import OPSET, onnx_model
from tests.numeric import relative_error

SMALL = dict(
    image_size=(6, 10), patch_size=2, channels=3, dim=12, depth=2, heads=3, mlp_dim=7, classes=5
)
KINDS = [
    dict(pool="mean"),
    dict(pool="cls"),
    dict(pool="patch_mean"),
    dict(pool="mean", norm="post", eps=0.1),
    dict(pool="cls", norm="post", activation="gelu_exact"),
    dict(pool="mean", positions="sincos1d"),
    dict(pool="cls", positions="sincos1d"),
    dict(pool="mean", positions="sincos2d"),
    dict(pool="patch_mean", positions="sincos2d"),
    dict(pool="mean", positions=None),
    dict(pool="mean", activation="gelu_exact", eps=0.1),
    dict(pool="cls", layer_scale=0.1),
    dict(pool="patch_mean", norm_pooled=True, layer_scale=0.1),
    dict(pool="cls", pre_logits=11),
    dict(pool="cls", classes=0),
    dict(pool="patch_mean", classes=0, norm_pooled=True),
    dict(pool="mean", classes=0, pre_logits=11),
    dict(pool="cls", dropout=0.3, drop_path=0.2),
    dict(image_size=9, patch_size=3, channels=1, depth=1, heads=1),
    dict(image_size=(9, 17), patch_size=2, stem=[(3, 2, 5), (1, 1, 4)], pool="mean"),
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


def case(batch=3, **changes):
    """A model with random parameters, and images, in float32."""
    rng = np.random.default_rng(0)
    model = minivit.ViT(**{**SMALL, **changes})
    params = random_params(model, rng).astype(np.float32)
    shape = (batch, *model.config["image_size"], model.config["channels"])
    return model, params, rng.standard_normal(shape).astype(np.float32)


def graph_of(model, params, **config):
    pytest.importorskip("onnx")
    return onnx_model(model, params, config)


def run(proto, images, names=None):
    """The graph's outputs by onnxruntime, or the tensors of these names."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # its threads would get into the way of the other tests
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return session.run(names, {"images": images})


@every_kind
def test_every_variant_equals_its_forward_in_batches_of_any_size(kind):
    model, params, images = case(batch=5, **kind)
    proto = graph_of(model, params)
    for batch in (1, 3, 5):
        expected, _ = model.forward(params, images[:batch])
        (got,) = run(proto, images[:batch])
        assert got.dtype == np.float32
        assert relative_error(got, expected) <= 1e-5


@every_kind
def test_initialisers_are_the_parameters_and_fixed_positions(kind):
    onnx = pytest.importorskip("onnx")
    model, params, _ = case(**kind)
    stored = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph_of(model, params).graph.initializer
    }
    table = stored.pop("pos") if "sincos" in str(kind.get("positions")) else None
    assert list(stored) == [name for name, _ in params.named()]
    for name, leaf in params.named():
        np.testing.assert_array_equal(stored[name], leaf)
    if table is not None:
        zeros = np.zeros((1, model.tokens, 12), np.float32)
        np.testing.assert_array_equal(table, model.pos.forward({}, zeros)[0][0])


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[3]], ids=str)
def test_tensors_have_the_names_and_values_of_the_source(kind):
    model, params, images = case(**kind)
    _, cache = model.forward(params, images)
    expected = {}
    for number, block in enumerate(cache["blocks"]):
        path = f"blocks.{number}"
        expected |= {f"{path}.attn.{name}": block["attn"][name] for name in ("q", "k", "v", "att")}
        expected[f"{path}.attn.merged"] = block["attn"]["proj"]["x"]
        expected[f"{path}.mlp.fc1.y"] = block["mlp"]["act"]["x"]
        expected[f"{path}.mlp.act.y"] = block["mlp"]["fc2"]["x"]
    proto = graph_of(model, params)
    for name in expected:
        proto.graph.output.add(name=name)
    got = run(proto, images, list(expected))
    for name, array in zip(expected, got, strict=True):
        assert relative_error(array, expected[name]) <= 1e-5, name


@pytest.mark.parametrize(
    "kind, name, width",
    [
        (dict(), "logits", 5),
        (dict(classes=0), "features", 12),
        (dict(classes=0, pre_logits=11), "features", 11),
    ],
)
def test_inputs_outputs_and_opset(kind, name, width):
    model, params, _ = case(**kind)
    proto = graph_of(model, params)
    faces = [
        (face.name, [size.dim_param or size.dim_value for size in face.type.tensor_type.shape.dim])
        for face in (*proto.graph.input, *proto.graph.output)
    ]
    assert faces == [("images", ["B", 6, 10, 3]), (name, ["B", width])]
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", OPSET)]


def test_what_else_is_known_is_in_the_metadata():
    model, params, _ = case()
    config = {"classes": ["cat", "Löwe"], "preparation": {"mean": [0.5], "squash": False}}
    properties = graph_of(model, params, **config).metadata_props
    assert {entry.key: json.loads(entry.value) for entry in properties} == config


def test_parameters_in_float64_become_float32():
    model, params, images = case()
    (got,) = run(graph_of(model, params.astype(np.float64)), images)
    assert relative_error(got, model.forward(params, images)[0]) <= 1e-5


def test_refuses_what_no_onnx_file_can_hold(monkeypatch):
    model, params, _ = case()
    monkeypatch.setattr(onnx_graph, "MOST_NUMBERS", params.flat.size)
    graph_of(model, params)
    monkeypatch.setattr(onnx_graph, "MOST_NUMBERS", params.flat.size - 1)
    with pytest.raises(ValueError, match="parameters are more than 2 GB.*export a model of"):
        graph_of(model, params)
    model, params, _ = case(positions="rotary", dim=12)
    with pytest.raises(ValueError, match="rotary positions cannot be exported to ONNX"):
        graph_of(model, params)


def test_says_that_onnx_is_missing(monkeypatch):
    model, params, _ = case()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match="an ONNX file needs onnx, .*: pip install onnx$"):
        onnx_model(model, params, {})
