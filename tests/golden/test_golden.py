"""Held to PyTorch's results without PyTorch; make_golden.py says how the files came about."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import minivit
from tests.numeric import passes, relative_error
from tests.optim.test_optim import OPTIMIZERS

FOLDER = Path(__file__).parent
MODELS = {
    "mean": dict(
        image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=2, heads=3, mlp_dim=7, classes=5
    ),
    "cls": dict(
        image_size=(9, 6), patch_size=3, channels=1, dim=10, depth=3, heads=2, mlp_dim=13,
        classes=4, pool="cls", eps=1e-3,
    ),
}  # fmt: skip
SMOOTHING = 0.1


@pytest.mark.parametrize("name", MODELS)
def test_logits_loss_and_gradients(name):
    golden = load_file(FOLDER / f"vit-{name}.safetensors")
    model = minivit.ViT(**MODELS[name])
    params = minivit.Params(model.init(np.random.default_rng(0), np.float64))
    for leaf_name, leaf in params.named():
        leaf[...] = golden[f"parameter {leaf_name}"]
    loss, logits, gradients = passes(model, params, golden["images"], golden["labels"], SMOOTHING)
    assert relative_error(logits, golden["logits"]) <= 1e-10
    assert loss == pytest.approx(golden["loss"].item(), rel=1e-10)
    assert len(gradients) == 1 + len(params.named())
    for leaf_name, gradient in gradients.items():
        assert relative_error(gradient, golden[f"gradient {leaf_name}"]) <= 1e-10, leaf_name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    golden = load_file(FOLDER / "optimizers.safetensors")
    params = minivit.Params({leaf: golden[f"start {leaf}"] for leaf in ("w", "b")})
    make, _ = OPTIMIZERS[name]
    optimizer, grads = make(params), params.zeros_like()
    for step in range(20):
        for leaf_name, gradient in grads.named():
            gradient[...] = golden[f"gradients {leaf_name}"][step]
        optimizer.step(grads)
    for leaf_name, leaf in params.named():
        assert relative_error(leaf, golden[f"{name} {leaf_name}"]) <= 1e-12, leaf_name


def test_the_files_are_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.safetensors")) <= 300_000
