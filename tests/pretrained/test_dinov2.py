"""A real network, DINOv2 ViT-S/14: MINIVIT_DINOV2 names the folder that extract_dinov2.py wrote."""

import os

import numpy as np
import pytest
import safetensors.numpy

import minivit
from minivit import pretrained
from minivit.study import nudge, trace
from tests.numeric import relative_error

from .measure_dinov2 import errors, memory, photo

FOLDER = os.environ.get("MINIVIT_DINOV2")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="MINIVIT_DINOV2 names no folder with the network"),
]


@pytest.mark.parametrize("side", [224, 126])
def test_features_and_pixel_gradients_are_hugging_faces(side):
    pytest.importorskip("transformers")
    found = errors(FOLDER, side)
    assert found["features"] <= 1e-4
    assert found["pixel gradient"] <= 2e-3


def test_memory_is_little_more_than_the_weights():
    assert memory(FOLDER) <= 2.2


def test_it_is_written_and_read_to_the_last_bit(tmp_path):
    model, params, _ = pretrained.load(FOLDER)
    pretrained.save(model, params, tmp_path / "again", "huggingface")
    written, original = (
        safetensors.numpy.load_file(f"{folder}/model.safetensors")
        for folder in (tmp_path / "again", FOLDER)
    )
    assert written.keys() == original.keys()
    assert all(np.array_equal(written[name], original[name]) for name in original)


def test_it_can_be_traced_and_nudged_like_any_model():
    model, params, _ = pretrained.load(FOLDER, image_size=28, classes=3)
    params = params.astype(np.float64)
    params["head"]["w"][...] = np.random.default_rng(0).standard_normal((384, 3)) / 20
    images, labels = photo(28).astype(np.float64), np.array([1])
    record = trace(model, params, images, labels)
    att = record["blocks.11.attn.att"]
    np.testing.assert_allclose(att.value.sum(axis=-1), 1)
    assert att.gradient.shape == (1, 6, 5, 5)
    logits, cache = model.forward(params, images)
    _, dlogits = minivit.cross_entropy(logits, labels)
    dimages = model.backward(params, dlogits, cache, params.zeros_like())
    assert relative_error(record["images"].gradient, dimages) <= 1e-12
    for name, index in (("images", (0, 13, 17, 1)), ("blocks.7.mlp.act.gate", (0, 3, 100))):
        moved = nudge(record, name, index)
        assert moved.slope == pytest.approx(moved.gradient, rel=1e-4)
