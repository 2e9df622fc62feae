"""Checkpoints for tests: those of the golden files, and small ones of Hugging Face's own."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*-*.safetensors"))


class Case:
    """A golden file: a network of a library, an image, and all that the library makes of it."""

    def __init__(self, name):
        with safetensors.safe_open(GOLDEN / f"{name}.safetensors", "numpy") as file:
            self.metadata = file.metadata()
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        self.weights, self.gradients = (
            {key.removeprefix(part): array for key, array in arrays.items() if key.startswith(part)}
            for part in ("weights/", "gradients/")
        )
        self.images, self.logits, self.dlogits = (
            arrays[key] for key in ("images", "logits", "dlogits")
        )
        self.expect = json.loads(self.metadata["expect"])
        self.config = json.loads(self.metadata["config"] or "null")

    def write(self, folder):
        """Write the network as its library does; return the path to load."""
        if self.metadata["library"].startswith("google"):
            path = folder / "weights.npz"
            np.savez(path, **self.weights)
            return path
        write_folder(folder, self.weights, self.config)
        return folder


def write_folder(folder, weights, config=None, **more):
    """Write model.safetensors and JSON files into a folder."""
    folder.mkdir(exist_ok=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")
    files = {"config": config, **more}
    for name, value in files.items():
        if value is not None:
            (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def hugging_face(kind, seed=0, **changes):
    """A model of transformers with random numbers everywhere, on a grid that is not square."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    sizes = dict(
        hidden_size=10, num_hidden_layers=2, num_attention_heads=5, intermediate_size=13,
        image_size=(4, 6), patch_size=2,
    )  # fmt: skip
    if kind == "Dinov2Model":
        sizes |= dict(mlp_ratio=2, image_size=6)
        del sizes["intermediate_size"]
    config = getattr(transformers, "Dinov2Config" if "Dino" in kind else "ViTConfig")
    model = getattr(transformers, kind)(config(**sizes | changes)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return model
