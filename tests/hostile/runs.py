"""Run folders with a damaged, foreign or monstrous configuration, or such weights."""

import json
import os
import struct

import numpy as np
import safetensors.numpy

from minivit import Classifier
from minivit.checksums import CHECKSUMS
from tests.saved_runs import oblong

from . import Row

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
MODEL = f"{CONFIG} does not describe a model: "


def run_with(name, change):
    """A row's input: a run without sums, good but for one file, whose bytes `change` spoils."""

    def give(place):
        run = place.folder / "run"
        run.mkdir()
        oblong().save(run)
        (run / CHECKSUMS).unlink()
        path = run / name
        path.write_bytes(change(path.read_bytes()))
        return run

    return give


def with_file(name, make):
    """A row's input: a good run with something else in the place of a file."""

    def give(place):
        run = run_with(name, lambda data: data)(place)
        (run / name).unlink()
        make(run / name)
        return run

    return give


def config(part, **changes):
    """A change of config.json: of its model, its preparation or, without a part, itself."""

    def change(data):
        whole = json.loads(data)
        (whole[part] if part else whole).update(changes)
        return json.dumps(whole).encode()

    return run_with(CONFIG, change)


def without(part, name):
    def change(data):
        whole = json.loads(data)
        del (whole[part] if part else whole)[name]
        return json.dumps(whole).encode()

    return run_with(CONFIG, change)


def weights(change):
    """A change of the dict of weights."""

    def changed(data):
        return safetensors.numpy.save(change(safetensors.numpy.load(data)))

    return run_with(WEIGHTS, changed)


def header(text, body=b""):
    data = text if isinstance(text, bytes) else json.dumps(text).encode()
    return lambda _: struct.pack("<Q", len(data)) + data + body


def not_finite(leaves):
    leaves["head.b"][1] = np.nan
    return leaves


def many_blocks(place):
    """100,000 small blocks, fewer numbers than the file holds, but far more arrays."""
    sizes = dict(dim=1, heads=1, mlp_dim=1, depth=10**5)
    run = config("model", **sizes)(place)
    safetensors.numpy.save_file({"w": np.zeros(10**6, np.float32)}, run / WEIGHTS)
    return run


def sparse(path):
    path.write_bytes(struct.pack("<Q", 2**40))
    os.truncate(path, 2**40)


def load(run):
    Classifier.load(run)


CASES = [
    ("no config", with_file(CONFIG, lambda path: None), f"is not a run: it has no {CONFIG}",
     FileNotFoundError),
    ("no weights", with_file(WEIGHTS, lambda path: None), f"is not a run: it has no {WEIGHTS}",
     FileNotFoundError),
    ("a file", lambda place: "/etc/hostname", "is not a run: it has no", FileNotFoundError),
    ("a pipe for the config", with_file(CONFIG, os.mkfifo), "it has no config", FileNotFoundError),
    ("a pipe for the weights", with_file(WEIGHTS, os.mkfifo), "has no weights", FileNotFoundError),
    ("weights not to be read", with_file(WEIGHTS, lambda path: (path.touch(), path.chmod(0))),
     rf"{WEIGHTS} cannot be read .*Permission denied"),
    ("an empty config", run_with(CONFIG, lambda _: b""), f"{CONFIG} is damaged: Expecting value"),
    ("a torn config", run_with(CONFIG, lambda data: data[:-9]), f"{CONFIG} is damaged: Unterm"),
    ("no text", run_with(CONFIG, lambda _: b"\xff\xfe\x00"), f"{CONFIG} is damaged: "),
    ("a list", run_with(CONFIG, lambda _: b"[1, 2]"), r"expected a JSON object, got \[1, 2\]"),
    ("a nest without end", run_with(CONFIG, lambda _: b"[" * 10**6), "is damaged: maximum rec"),
    ("20 MB", run_with(CONFIG, lambda _: b" " * 20_000_000), "is larger than 16,777,216 bytes"),
    ("10**5 digits", run_with(CONFIG, lambda _: b'{"dim": ' + b"9" * 10**5 + b"}"), "is damaged: "),
    ("no dim", without("model", "dim"), MODEL + "it has no 'dim'"),
    ("no std", without("preparation", "std"), MODEL + ".*missing .*'std'"),
    ("an unknown size", config("model", colour=4), MODEL + ".*unexpected .*'colour'"),
    ("a model that is a list", config(None, model=[1]), MODEL + r"expected its sizes .*\[1\]"),
    ("a preparation that is a text", config(None, preparation="no"), MODEL),
    ("dim 10**9", config("model", dim=10**9), MODEL + "it has more parameters than"),
    ("depth 10**9", config("model", depth=10**9), MODEL + "it has more parameters than"),
    ("depth 10**5 of dim 1", many_blocks, MODEL + "it has more .* 1,000,000 in 1 arrays"),
    ("dim 10**400", config("model", dim=10**400), MODEL + "it has more parameters than"),
    ("images of 10**9 pixels", config("model", image_size=[10**6, 10**3], positions=None),
     MODEL + "images of 1,000,000 x 1,000 pixels, .* are too large"),
    ("sinusoids of 10**9 tokens", config("model", image_size=[2 * 10**5] * 2, positions="sincos1d"),
     MODEL + "images of 200,000 x 200,000 pixels"),
    ("a stem of 10**9 features", config("model", stem=[[1, 1, 10**9], [1, 1, 1]]),
     MODEL + "it has more parameters than"),
    ("a stem that is a number", config("model", stem=3), MODEL + "Stem: expected a list of conv"),
    ("a stem of two numbers", config("model", stem=[[3, 2]]), MODEL + "Stem: .* three numbers"),
    ("dim 0", config("model", dim=0), MODEL + "ViT: dim must be at least 1, got 0"),
    ("dim true", config("model", dim=True), MODEL + "ViT: dim must be at least 1, got True"),
    ("dim a text", config("model", dim="6"), MODEL + "ViT: dim must be an integer, got '6'"),
    ("eps NaN", config("model", eps=float("nan")), MODEL + ".*eps must be positive and finite"),
    ("eps a text", config("model", eps="1"), MODEL),
    ("dropout NaN", config("model", dropout=float("nan")), MODEL + ".*dropout must be at least 0"),
    ("a pool that is a list", config("model", pool=[]), MODEL + ".*pool must be"),
    ("std 0", config("preparation", std=0), MODEL + ".*std greater than 0, got 0.13 and 0"),
    ("mean a text", config("preparation", mean="0"), MODEL + "must be real number, not str"),
    ("mean 10**400", config("preparation", mean=10**400), MODEL + "int too large"),
    ("a name twice", config(None, classes=["a", "b", "a"]), MODEL + "expected 3 different"),
    ("names of numbers", config(None, classes=[0, 1, 2]), MODEL + "expected a list of class names"),
    ("no weights in it", weights(lambda _: {}), MODEL + "it has more parameters than the 0 in 0 "),
    ("torn weights", run_with(WEIGHTS, lambda data: data[:-1]), f"{WEIGHTS} is damaged"),
    ("a header 2**63 long", run_with(WEIGHTS, lambda _: b"\xff" * 8), f"{WEIGHTS} is damaged"),
    ("a terabyte without data", with_file(WEIGHTS, sparse), f"{WEIGHTS} (is dam|cannot be)"),
    ("a header nested deep", run_with(WEIGHTS, header(b'{"a":' * 10**5)), f"{WEIGHTS} is damaged"),
    ("bfloat16", run_with(WEIGHTS, header(
        {"w": dict(dtype="BF16", shape=[2], data_offsets=[0, 4])}, bytes(4))),
     f"{WEIGHTS} holds (numbers of a type unknown to NumPy|bfloat16 numbers)"),
    ("NaN", weights(not_finite), f"{WEIGHTS} is damaged: 'head.b' is not finite"),
    ("a missing array", weights(lambda w: {n: w[n] for n in w if n != "ln.w"}),
     "'ln.w' is missing in the file"),
    ("an array too many", weights(lambda w: w | {"other": w["ln.w"]}),
     "'other' is .* in the file, unknown in the model"),
    ("another MLP", config("model", mlp_dim=4),
     r"'blocks.0.mlp.fc1.b' is \(5,\) in the file, \(4,\) in the model"),
]  # fmt: skip
ROWS = [Row(case[0], load, *case[1:]) for case in CASES]
