"""Runs to resume, with checkpoints that are torn, forged, foreign or not even files."""

import json
import os
import shutil
import struct

import numpy as np
import safetensors.numpy

from demos import train_mnist
from minivit.training import Run
from minivit.training import checkpoint as checkpoint_module
from tests.training.cases import progress_of, resumed, run_of

from . import Row


def begun(place, **options):
    """A run of three steps, which keeps the checkpoints of the last two."""
    return run_of(place.folder, progress_of(), epochs=1, **options)


def path_of(run, number):
    return run / "checkpoints" / f"step-{number:08}.safetensors"


def newest(run):
    """Resume a run of two checkpoints: the newest is refused, the one before it used."""
    progress, (reason,) = resumed(run)
    assert progress.steps == 2
    raise ValueError(reason)


def resume(run):
    """Resume a run with the settings that its training.json gives."""
    with Run.open(run) as opened:
        opened.resume(progress_of(), opened.started)


def spoilt(change):
    """A row's input: a run whose newest checkpoint has its bytes changed."""
    return replaced(lambda path, data: path.write_bytes(change(data)))


def replaced(make):
    """A row's input: a run with something else in the place of its newest checkpoint."""

    def give(place):
        run = begun(place)
        data = path_of(run, 3).read_bytes()
        path_of(run, 3).unlink()
        make(path_of(run, 3), data)
        return run

    return give


def forged(text):
    """A checkpoint with the right sum and a text that minivit never wrote."""

    def change(_):
        arrays = {"weights": np.zeros(3, np.float32)}
        total = checkpoint_module._sum(arrays, text)
        return safetensors.numpy.save(arrays, {"minivit": text, "sha256": total})

    return change


def of_another_run(path, _):
    other = run_of(path.parent / "other", progress_of(), started={"seed": 4}, epochs=1)
    path_of(other, 3).rename(path)


def length(number):
    """The length of the header, in the first eight bytes, is said to be another."""
    return lambda data: struct.pack("<Q", number) + data[8:]


NEWEST = [
    *((f"cut at {share}", spoilt(lambda data, share=share: data[: int(share * len(data))]),
       r"step-00000003.safetensors is damaged \(") for share in (0, 0.1, 0.99)),
    ("a byte too many", spoilt(lambda data: data + b"\0"), r"3.safetensors is damaged \("),
    ("a tail of zeros, as after a power cut",
     spoilt(lambda data: data[:-64] + bytes(64)), r"is damaged \(the SHA-256 sum of its contents"),
    *((f"a header of {number} bytes", spoilt(length(number)), r"3.safetensors is damaged \(")
      for number in (0, 10**5, 2**64 - 1)),
    ("a web page", spoilt(lambda _: b"<html>404 Not Found</html>"), r"3.safetensors is damaged \("),
    ("weights alone", spoilt(lambda _: safetensors.numpy.save({"w": np.zeros(3)})),
     "3.safetensors is not a checkpoint of minivit$"),
    ("of another run", replaced(of_another_run), "belongs to a run .* with another training.json"),
    *((f"forged: {text[:30]}", spoilt(forged(text)), "is not a checkpoint of minivit [(]")
      for text in ("", "[]", "{}", '{"run": 1}', '{"run": 1, "state": 2}', "[" * 10**5)),
    ("a folder", replaced(lambda path, _: path.mkdir()), "is not a file"),
    ("a pipe", replaced(lambda path, _: os.mkfifo(path)), "is not a file"),
    ("a link to nowhere", replaced(lambda path, _: path.symlink_to("no")), "is not a file"),
    ("not to be read", replaced(lambda path, data: (path.write_bytes(data), path.chmod(0))),
     r"cannot be read .*Permission denied"),
]  # fmt: skip


def with_training_json(data):
    def give(place):
        run = begun(place)
        (run / "training.json").write_bytes(data)
        return run

    return give


def without_a_good_one(place):
    run = begun(place)
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"")
    return run


def without_any(place):
    run = begun(place)
    shutil.rmtree(run / "checkpoints")
    return run


def with_metrics(make):
    """A row's input: a run with something else in the place of metrics.csv."""

    def give(place):
        run = begun(place)
        (run / "metrics.csv").unlink()
        make(run / "metrics.csv")
        return run

    return give


def with_a_file_for_checkpoints(place):
    run = begun(place)
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").touch()
    return run


def edited(optimizer):
    """A run of train_mnist, whose training.json was edited to name another optimizer."""

    def give(place):
        arguments = vars(train_mnist.arguments(["--data", "mnist"]))
        del arguments["device"]
        run = run_of(place.folder, progress_of(), started={"options": arguments}, epochs=1)
        started = json.loads((run / "training.json").read_text())
        started["options"]["optimizer"] = optimizer
        (run / "training.json").write_text(json.dumps(started))
        return run

    return give


def sparse(path):
    """A terabyte of zeros, which takes no room on disk."""
    path.touch()
    os.truncate(path, 2**40)


RUNS = [
    *((f"training.json: {data[:9]!r}", with_training_json(data), "training.json is damaged: ")
      for data in (b"", b"\xff\xff", b'{"options": 1', b"[]", b"[" * 10**5)),
    ("training.json of another run", with_training_json(b'{"seed": 4}'),
     "no usable checkpoint: .*3.safetensors belongs to a run .*2.safetensors belongs to"),
    ("metrics.csv that is a pipe", with_metrics(os.mkfifo),
     "metrics.csv is damaged: it is a folder or a device. Put it back"),
    ("metrics.csv that is a device", with_metrics(lambda path: path.symlink_to("/dev/zero")),
     "metrics.csv is damaged: it is a folder or a device. Put it back"),
    ("metrics.csv of a terabyte", with_metrics(sparse),
     "metrics.csv is damaged or was edited: it does not begin with the 3 rows"),
    ("no training.json", lambda place: place.folder,
     "cannot be resumed: it has no training.json; expected", FileNotFoundError),
    ("nowhere", lambda place: place.folder / "nowhere", "cannot be resumed: it has no",
     FileNotFoundError),
    ("no good one", without_a_good_one,
     "3.safetensors is damaged .*2.safetensors is damaged .*or start a new run$"),
    ("none", without_any, "checkpoints holds no usable checkpoint: there is none. Put back what"),
    ("checkpoints a file", with_a_file_for_checkpoints, "Not a directory: '.*/checkpoints'",
     OSError),
    ("an optimizer that is none", edited("lion"), "started with another training.json"),
    ("an optimizer that is a number", edited(4), "started with another training.json"),
]  # fmt: skip

ROWS = [Row(what, newest, give, message) for what, give, message in NEWEST]
ROWS += [Row(case[0], resume, *case[1:]) for case in RUNS]
