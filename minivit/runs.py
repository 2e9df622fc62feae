"""Reading what a training run left in its folder (training/run.py writes it)."""

import json
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from .data.preparation import Preparation
from .params import Params
from .vit import ViT


def load_run(folder):
    """Return (model, params, preparation, classes) of a saved run.

    Errors: FileNotFoundError if it is no run's folder; ValueError if the weights are damaged or not
    this model's.
    """
    folder = Path(folder)
    for name in ("config.json", "weights.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} is no run: it has no {name}; expected a folder such as runs/mnist"
            )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model = ViT(**config["model"])
        preparation = Preparation(**config["preparation"])
        classes = config["classes"]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{folder / 'config.json'} does not describe a model: {error!r}"
        ) from error
    try:
        weights = safetensors.numpy.load_file(folder / "weights.safetensors")
    except safetensors.SafetensorError as error:
        raise ValueError(f"{folder / 'weights.safetensors'} is damaged: {error}") from error
    dtype = next(iter(weights.values())).dtype if weights else np.float32
    params = Params(model.init(np.random.default_rng(0), dtype))
    _fill(params, weights, folder / "weights.safetensors")
    return model, params, preparation, classes


def _fill(params, weights, path):
    """Copy `weights` into the parameters; ValueError if they do not fit."""
    expected = {name: (leaf.shape, leaf.dtype.name) for name, leaf in params.named()}
    found = {name: (array.shape, array.dtype.name) for name, array in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"{path} does not fit the model in config.json: {name!r} is "
                f"{found.get(name, 'missing')} in the file, "
                f"{expected.get(name, 'unknown')} in the model"
            )
    for name, leaf in params.named():
        leaf[...] = weights[name]
