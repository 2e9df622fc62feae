"""Make the golden files from PyTorch: `python -m tests.golden.make_golden` in the root folder.

They hold machines without PyTorch to its results. Made once, with PyTorch 2.13.0, in float64.
"""

import numpy as np
import torch
from safetensors.numpy import save_file

import minivit
from minivit.checks.numeric import random_params
from tests import torch_reference
from tests.golden.test_golden import FOLDER, MODELS, SMOOTHING
from tests.optim.test_optim import OPTIMIZERS


def model_file(config, seed):
    """Parameters, images, labels; PyTorch's logits, loss and gradients for them."""
    rng = np.random.default_rng(seed)
    model = minivit.ViT(**config)
    params = random_params(model, rng)
    images = rng.standard_normal((3, *model.config["image_size"], config["channels"]))
    labels = rng.integers(0, config["classes"], 3)
    loss, logits, gradients = torch_reference.passes(
        params, images, labels, model.config, SMOOTHING
    )
    return {
        "images": images,
        "labels": labels,
        "logits": logits,
        "loss": np.array(loss),
        **{f"parameter {name}": leaf.copy() for name, leaf in params.named()},
        **{f"gradient {name}": gradient for name, gradient in gradients.items()},
    }


def optimizer_file(seed):
    """A start, 20 gradients, and where each of PyTorch's optimizers ends after them."""
    rng = np.random.default_rng(seed)
    start = {"w": rng.standard_normal((3, 5)), "b": rng.standard_normal(5)}
    gradients = {"w": rng.standard_normal((20, 3, 5)), "b": rng.standard_normal((20, 5))}
    arrays = {f"start {name}": array for name, array in start.items()}
    arrays |= {f"gradients {name}": array for name, array in gradients.items()}
    for optimizer_name, (_, make) in OPTIMIZERS.items():
        twins = {name: torch.tensor(array, requires_grad=True) for name, array in start.items()}
        optimizer = make(torch, list(twins.values()))
        for step in range(20):
            for name, twin in twins.items():
                twin.grad = torch.tensor(gradients[name][step])
            optimizer.step()
        for name, twin in twins.items():
            arrays[f"{optimizer_name} {name}"] = twin.detach().numpy()
    return arrays


if __name__ == "__main__":
    for seed, (name, config) in enumerate(MODELS.items()):
        save_file(model_file(config, seed), FOLDER / f"vit-{name}.safetensors")
    save_file(optimizer_file(seed=2), FOLDER / "optimizers.safetensors")
