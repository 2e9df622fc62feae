"""A run's folder, runs/NAME/: weights.safetensors, config.json, metrics.csv, and what a demo adds.

Nothing is pickled, and every file appears whole or not at all.
"""

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from ..data.preparation import Preparation
from ..files import write_file, write_json
from ..params import Params
from ..vit import ViT


def new_run(name, root="runs"):
    """Make and return the folder root/name, or root/name-2, -3, …: a run is never overwritten."""
    if name in ("", ".", "..") or Path(name).name != name:
        raise ValueError(f"a run's name is a plain folder name, got {name!r}")
    Path(root).mkdir(parents=True, exist_ok=True)
    number, folder = 1, Path(root, name)
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = Path(root, f"{name}-{number}")


def save_run(folder, model, params, preparation, classes, rows):
    """Write the weights, config.json (model, preparation, class names), metrics.csv (the rows)."""
    folder = Path(folder)
    weights = {name: np.ascontiguousarray(leaf) for name, leaf in params.named()}
    write_file(folder / "weights.safetensors", safetensors.numpy.save(weights))
    config = {
        "model": model.config,
        "preparation": dataclasses.asdict(preparation),
        "classes": list(classes),
    }
    write_json(folder / "config.json", config)
    table = io.StringIO()
    writer = csv.DictWriter(table, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    write_file(folder / "metrics.csv", table.getvalue().encode())


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
