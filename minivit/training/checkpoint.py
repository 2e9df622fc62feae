"""Checkpoints: what a killed run resumes from, to the last bit.

    runs/mnist/checkpoints/step-00000200.safetensors     its state after 200 steps
    runs/mnist/checkpoints/step-00000220.safetensors     … and after 220, the newest

A checkpoint is one safetensors file: the arrays of a Progress, and in the file's metadata, as JSON,
the rest of its state, the mark of the run that it belongs to, and a SHA-256 sum of all of that. It
appears whole or not at all, and the one before it stays until the next is whole. Nothing is
pickled.
"""

import hashlib
import json

import numpy as np

from ..backend import to_device
from ..files import read_arrays, remove_unfinished, write_arrays


def write_checkpoint(checkpoints, mark, step, state):
    """Write the state after a step into a folder; keep the checkpoint before it, remove the others.

    mark: a text that identifies the run
    Errors: OSError if it cannot be written; the checkpoints that were there still are.
    """
    checkpoints.mkdir(exist_ok=True)
    path = checkpoints / f"step-{step:08}.safetensors"
    arrays = {n: to_device(value, "cpu") for n, value in state.items() if hasattr(value, "dtype")}
    rest = {name: value for name, value in state.items() if name not in arrays}
    text = json.dumps({"run": mark, "state": rest})
    write_arrays(path, arrays, {"minivit": text, "sha256": _sum(arrays, text)})
    remove_unfinished(checkpoints)
    older = [other for other in _newest_first(checkpoints) if other.name < path.name]
    for other in _newest_first(checkpoints):
        if other not in (path, *older[:1]) and not other.is_dir():
            other.unlink()


def newest_checkpoint(checkpoints, mark):
    """Return the newest state that is whole and of this run, and why newer ones were refused.

    Errors: ValueError, naming each checkpoint and what is wrong with it, if none is good; OSError
    if the folder cannot be read.
    """
    refused = []
    for path in _newest_first(checkpoints):
        try:
            return _read(path, mark), refused
        except ValueError as error:
            refused.append(str(error))
    reasons = "; ".join(refused) or "there is none"
    raise ValueError(
        f"{checkpoints} holds no usable checkpoint: {reasons}. Put back what was there, or start a "
        "new run"
    )


def _newest_first(checkpoints):
    if not checkpoints.exists():
        return []
    every = checkpoints.iterdir()  # `glob` would pass over a folder that cannot be read
    return sorted((path for path in every if path.match("step-*.safetensors")), reverse=True)


def _read(path, mark):
    """The state in a checkpoint; ValueError unless it is whole and of the run with that mark."""
    metadata, arrays = read_arrays(path)
    if not {"minivit", "sha256"} <= metadata.keys():
        raise ValueError(f"{path} is not a checkpoint of minivit")
    actual = _sum(arrays, metadata["minivit"])
    if actual != metadata["sha256"]:
        raise ValueError(
            f"{path} is damaged (the SHA-256 sum of its contents is {actual}, expected "
            f"{metadata['sha256']})"
        )
    try:
        record = json.loads(metadata["minivit"])
        its_mark, state = record["run"], record["state"] | arrays
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} is not a checkpoint of minivit ({error!r})") from error
    if its_mark != mark:
        raise ValueError(f"{path} belongs to a run that was started with another training.json")
    return state


def _sum(arrays, text):
    """The SHA-256 sum, in hex, of arrays with their names, dtypes and shapes, and of a text."""
    total = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array))
    return total.hexdigest()
