"""Reading what a training run left in its folder (training/run.py writes it)."""

from pathlib import Path

import numpy as np
import safetensors

from .data.preparation import Preparation
from .files import read_json
from .layers.refusals import pair, positive_integers
from .models import ViT
from .params import Params

SIZES = ("dim", "depth", "heads", "mlp_dim", "classes", "patch_size", "channels")
MOST_NUMBERS = 2**28  # that one image may take, as pixels, as tokens or as attention


def load_run(folder):
    """Return (model, params, preparation, classes) of a saved run.

    Errors: FileNotFoundError if it is no run's folder; OSError if a file cannot be read; ValueError
    naming the file if config.json describes no model, or the weights are damaged, not finite or not
    this model's. Memory is bounded by the size of the weights' file.
    """
    folder = Path(folder)
    for name in ("config.json", "weights.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} is no run: it has no {name}; expected a folder such as runs/mnist"
            )
    path = folder / "config.json"
    config = read_json(path)
    _, weights = read_arrays(folder / "weights.safetensors")
    try:
        _expect_no_larger(config["model"], weights)
        model = ViT(**config["model"])
        preparation = Preparation(**config["preparation"])
        classes = _class_names(config["classes"], model.config["classes"])
    except KeyError as error:
        raise ValueError(f"{path} does not describe a model: it has no {error}") from error
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path} does not describe a model: {error}") from error
    dtype = next(iter(weights.values())).dtype
    if dtype not in (np.float32, np.float64):
        raise ValueError(
            f"{folder / 'weights.safetensors'} holds {dtype} numbers; expected float32 or float64"
        )
    params = Params(model.init(np.random.default_rng(0), dtype))
    _fill(params, weights, folder / "weights.safetensors")
    return model, params, preparation, classes


def read_arrays(path):
    """Return the metadata (a dict of texts) and the arrays, by name, in a safetensors file.

    Errors: ValueError naming the file if it cannot be read.
    """
    if not path.is_file():  # opening a pipe would wait for ever
        raise ValueError(f"{path} is damaged (it is no file)")
    try:
        open(path, "rb").close()  # says why it cannot be; safetensors says there was none
        with safetensors.safe_open(path, framework="numpy") as file:
            names = file.keys()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    except (OSError, MemoryError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds numbers that NumPy does not know ({error})") from error


def _expect_no_larger(sizes, weights):
    """Refuse a model, before it is made, that is larger than its weights: memory may not do."""
    if not isinstance(sizes, dict):
        raise ValueError(f"expected its sizes by name, got {str(sizes)[:40]}")
    dim, depth, heads, mlp_dim, classes, patch_size, channels = positive_integers(
        "ViT", **{name: sizes[name] for name in SIZES}
    )
    height, width = pair("ViT", "image_size", sizes["image_size"])
    height, width = positive_integers("ViT", height=height, width=width)
    numbers = depth * dim * (4 * dim + 2 * mlp_dim) + dim * (patch_size**2 * channels + classes)
    held = sum(array.size for array in weights.values())
    if numbers > held or depth > len(weights):
        raise ValueError(
            f"it has more parameters than the {held:,} in {len(weights):,} arrays that "
            "weights.safetensors holds"
        )
    tokens = height * width // patch_size**2
    if max(height * width * channels, tokens * dim, tokens**2 * heads) > MOST_NUMBERS:
        raise ValueError(
            f"images of {height:,} x {width:,} pixels, {tokens:,} patches, are more than memory "
            "holds"
        )


def _class_names(names, count):
    """The names of the classes, if they are; ValueError if not."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"expected a list of class names, got {str(names)[:40]}")
    if len(names) != count or len(set(names)) != count:
        raise ValueError(f"expected {count} different class names, got {', '.join(names)[:80]}")
    return names


def _fill(params, weights, path):
    """Copy `weights` into the parameters; ValueError if they do not fit, or are not finite."""
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
        if not np.isfinite(weights[name]).all():
            raise ValueError(f"{path} is damaged: {name!r} is not finite")
        leaf[...] = weights[name]
