"""A run's folder, runs/NAME/: weights.safetensors, config.json, metrics.csv, and what a demo adds.

`minivit.runs` reads it. What a killed run needs to go on lies there too (checkpoint.py). Nothing is
pickled, and every file appears whole or not at all.
"""

import contextlib
import csv
import dataclasses
import io
import json
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import safetensors.numpy

from ..files import ASIDE, flush_folder, locked, remove_unfinished, write_file, write_json
from .checkpoint import begin_checkpoints, save_checkpoint
from .fit import fit


def new_run(name, root="runs", begin=None):
    """Make and return the folder root/name, or root/name-2, -3, …: a run is never overwritten.

    begin(folder) writes the first files. The folder gets its name when they are all there, so that
    a run that was killed can go on whenever there is a folder of its name; what one that was killed
    before left is removed.
    Errors: ValueError for a name that leads elsewhere; OSError if nothing can be written there.
    """
    if name in ("", ".", "..") or Path(name).name != name:
        raise ValueError(f"a run's name is a plain folder name, got {name!r}")
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with locked(root, wait=True):  # so whatever is unfinished there is of no living process
        for lost in root.glob(f".*{ASIDE}"):
            shutil.rmtree(lost, ignore_errors=True)
        aside = Path(tempfile.mkdtemp(ASIDE, f".{name}.", root))
        try:
            aside.chmod(0o755)
            if begin:
                begin(aside)
            number, folder = 1, root / name
            while folder.exists():
                number += 1
                folder = root / f"{name}-{number}"
            aside.rename(folder)
        except BaseException:
            shutil.rmtree(aside)
            raise
        flush_folder(root)
    return folder


def open_run(name, started, progress, checkpoint=None, root="runs"):
    """Begin the run root/name (or -2, -3, …), or go on with the one of a Checkpoint.

    started: what the run is started with, a dict that JSON can write
    progress: a Progress, which is set to where the checkpoint stands
    Returns the run's folder. Errors: those of `new_run`; ValueError if the run of the checkpoint
    was started with something else.
    """
    if checkpoint is None:
        return new_run(name, root, lambda folder: begin_checkpoints(folder, started, progress))
    for key, value in json.loads(json.dumps(started)).items():
        if checkpoint.started.get(key) != value:
            raise ValueError(
                f"{checkpoint.folder} was started with the {key} {checkpoint.started.get(key)}, "
                f"but now it is {value}; it can go on only with what it was started with"
            )
    progress.load_state(checkpoint.state)
    remove_unfinished(checkpoint.folder)
    return checkpoint.folder


def fit_run(
    folder,
    model,
    progress,
    train,
    validation,
    preparation,
    *,
    classes,
    checkpoint_every,
    go_on,
    **options,
):
    """`fit`, with `options` for it, and kept in a run's folder that `begin_checkpoints` began.

    There is a checkpoint at the end of each epoch, and every `checkpoint_every` steps; `save_run`
    writes the best weights after each epoch.

    Errors: those of `fit` and OSError, with what is left and `go_on`, the command to go on with.
    On Ctrl-C, KeyboardInterrupt with such a text, when the step is done and a checkpoint is there.
    """

    def after_step(progress):
        if progress.at_epoch_end:
            save_run(folder, model, progress.best, preparation, classes, progress.rows)
        if progress.at_epoch_end or len(progress.rows) % checkpoint_every == 0:
            save_checkpoint(folder, progress)

    with resumable(folder, go_on), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # fit itself says what is no number
        try:
            fit(
                model,
                progress,
                train,
                validation,
                preparation,
                after_step=after_step,
                **options,
            )
        except KeyboardInterrupt:
            save_checkpoint(folder, progress)
            raise KeyboardInterrupt(f"stopped and saved after {len(progress.rows)} steps") from None


@contextlib.contextmanager
def resumable(folder, go_on):
    """Add to what ends the `with` early that the folder is good, and `go_on`, how to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"{str(stop) or 'stopped'}. Go on: {go_on}") from None
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}. What {folder} holds is still good") from error
    except (OSError, MemoryError) as error:
        kind = OSError if isinstance(error, OSError) else MemoryError
        raise kind(f"{error}. What {folder} held is still good. Then go on: {go_on}") from error


def save_run(folder, model, params, preparation, classes, rows):
    """Write the weights, config.json (model, preparation, class names), metrics.csv (the rows)."""
    folder = Path(folder)
    weights = {name: np.ascontiguousarray(leaf) for name, leaf in params.to("cpu").named()}
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
