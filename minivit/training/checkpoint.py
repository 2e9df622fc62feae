"""Checkpoints: what a killed run goes on from, to the last bit.

    runs/mnist/training.json                             how the run was started; never changed
    runs/mnist/checkpoints/step-00000200.safetensors     where it stood after 200 steps
    runs/mnist/checkpoints/step-00000220.safetensors     … and after 220, the newest

A checkpoint is one safetensors file: the arrays of a Progress, and in the file's metadata, as JSON,
the rest of it, the run's training.json, and a SHA-256 sum of all of that. It appears whole or not
at all, and the one before it is removed only when the next but one is whole. Nothing is pickled.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy

from ..backend import to_device
from ..files import read_json, remove_unfinished, write_file, write_json
from ..runs import read_arrays
from .not_finite import parameter_not_finite


class Checkpoint(NamedTuple):
    """What was read of a run that is to go on."""

    folder: Path
    started: dict  # training.json
    state: dict  # for Progress.load_state
    refused: list[str]  # what is wrong with newer checkpoints


def begin_checkpoints(folder, started, progress):
    """Write training.json, `started`, which is a dict that JSON can write, and the checkpoint 0."""
    write_json(Path(folder, "training.json"), started)
    save_checkpoint(folder, progress)


def save_checkpoint(folder, progress):
    """Write a checkpoint into a run's folder; keep the one before it, and remove all others.

    Errors: OSError if it cannot be written, FloatingPointError if a parameter is inf or nan; those
    that were there still are.
    """
    if name := parameter_not_finite(progress.params):
        raise FloatingPointError(
            f"after {len(progress.rows)} steps the parameter {name} is not finite, so they are not "
            "kept. Try a lower learning rate"
        )
    started = read_json(Path(folder, "training.json"))
    checkpoints = Path(folder, "checkpoints")
    checkpoints.mkdir(exist_ok=True)
    path = checkpoints / f"step-{len(progress.rows):08}.safetensors"
    state = progress.state()
    arrays = {n: to_device(value, "cpu") for n, value in state.items() if hasattr(value, "dtype")}
    rest = {name: value for name, value in state.items() if name not in arrays}
    text = json.dumps({"started": started, "state": rest})
    metadata = {"minivit": text, "sha256": _sum(arrays, text)}
    write_file(path, safetensors.numpy.save(arrays, metadata))
    remove_unfinished(checkpoints)
    older = [other for other in _newest_first(checkpoints) if other.name < path.name]
    for other in _newest_first(checkpoints):
        if other not in (path, *older[:1]) and not other.is_dir():
            other.unlink()


def load_checkpoint(folder):
    """Return the newest Checkpoint that is whole and of this run.

    Errors: FileNotFoundError if the folder is no run that can go on; ValueError, naming each
    checkpoint and what is wrong with it, if none is good.
    """
    folder = Path(folder)
    if not (folder / "training.json").is_file():
        raise FileNotFoundError(
            f"{folder} is no run that can go on: it has no training.json; expected a folder such "
            "as runs/mnist"
        )
    started = read_json(folder / "training.json")
    refused = []
    for path in _newest_first(folder / "checkpoints"):
        try:
            return Checkpoint(folder, started, _read(path, started), refused)
        except ValueError as error:
            refused.append(str(error))
    reasons = "; ".join(refused) or "there is none"
    raise ValueError(f"{folder} has no checkpoint to go on from: {reasons}. Start a new run")


def _newest_first(checkpoints):
    return sorted(checkpoints.glob("step-*.safetensors"), reverse=True)


def _read(path, started):
    """The state in a checkpoint; ValueError unless it is whole and of the run started so."""
    metadata, arrays = read_arrays(path)
    if not {"minivit", "sha256"} <= metadata.keys():
        raise ValueError(f"{path} is no checkpoint of minivit")
    actual = _sum(arrays, metadata["minivit"])
    if actual != metadata["sha256"]:
        raise ValueError(
            f"{path} is damaged (the SHA-256 sum of its contents is {actual}, expected "
            f"{metadata['sha256']})"
        )
    try:
        record = json.loads(metadata["minivit"])
        its_started, state = record["started"], record["state"] | arrays
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} is no checkpoint of minivit ({error!r})") from error
    if its_started != started:
        raise ValueError(f"{path} is of another run, which was started with other settings")
    return state


def _sum(arrays, text):
    """The SHA-256 sum, in hex, of arrays with their names, dtypes and shapes, and of a text."""
    total = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array))
    return total.hexdigest()
