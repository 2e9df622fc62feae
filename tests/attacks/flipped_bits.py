"""Flip single bits all over the files of a run, and see whether it is used as if nothing were.

    .venv/bin/python -m tests.attacks.flipped_bits [--flips 1000] [--seed 0]

A small run is trained. For each flip a file of it is drawn, and then a bit of that file. A copy of
the run in which that bit is flipped is asked what a user asks: the classifier's logits, `evaluate`
and `--resume`. The flip is

    refused    one of them says so in a line that names the file; no answer is wrong
    no effect  nothing is said, and all answers are those of the run itself, to the last bit
    used       an answer is wrong, or an error is a traceback, several lines, or names another file

Pictures are not drawn, since that takes longer than all the rest. In place of the curves is a text
of the rows that they would show.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np

import minivit
from demos import evaluate, train_mnist
from minivit.study import figures
from tests.data.idx import few_digits

RUN = Path("runs", "run")
SETTINGS = (
    "--data digits --dim 6 --depth 1 --heads 2 --mlp-dim 5 --patch-size 14 --dropout 0.1 --run run "
    "--epochs 3 --batch-size 10 --shards 1"
)
TRAINED = ("weights.safetensors", "config.json", "metrics.csv", "curves.png")
OUTCOMES = ("refused", "no effect", "used")


@contextlib.contextmanager
def in_a_folder():
    """Work in a temporary folder with a few digits, and draw nothing."""
    here = Path.cwd()
    texts = dict(curves=repr, worst_mistakes=lambda *_: "", attention_and_gradients=lambda *_: "")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.callback(os.chdir, here)
        os.chdir(folder)
        for name, text in texts.items():
            stack.enter_context(mock.patch.object(figures, name, text))
        stack.enter_context(mock.patch.object(figures, "png", str.encode))
        few_digits("digits", train=60, test=20)
        yield


def told(demo, *options):
    """Run a demo; return what it printed and the lines of its errors, or raise what it raises."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = demo.main([*map(str, options)])
    lines = errors.getvalue().splitlines()
    if status:
        raise ValueError("\n".join(lines))
    return out.getvalue(), lines


def logits():
    images = minivit.load_digits("digits").test.images
    return minivit.Classifier.load(RUN).logits(images).tobytes(), []


def evaluated():
    printed, lines = told(evaluate, RUN, "--json", "--out", "worst.png")
    return printed, [line for line in lines if line.startswith("evaluate: ")]


def resumed():
    """What a resumed run leaves, without the seconds, which are others if steps are repeated."""
    _, lines = told(train_mnist, "--resume", RUN)
    result = json.loads((RUN / "result.json").read_text())
    del result["train_seconds"], result["images_per_second"]
    return [result, *((RUN / name).read_bytes() for name in TRAINED)], lines


QUESTIONS = (logits, evaluated, resumed)


def outcome(path, right):
    """Ask the run, a bit of whose file `path` is flipped, and compare with the right answers."""
    said = []
    for ask, answer in zip(QUESTIONS, right, strict=True):
        try:
            actual, lines = ask()
        except (ValueError, OSError) as error:
            actual, lines = answer, [str(error)]
        except Exception as error:
            return "used", f"{ask.__name__}: traceback: {error!r}"
        if actual != answer:
            return "used", f"{ask.__name__}: another answer"
        if lines and not (len(lines) == 1 and path.name in lines[0] and "\n" not in lines[0]):
            return "used", f"{ask.__name__}: {lines}"
        said += lines
    return ("refused", said[0]) if said else ("no effect", "")


def flip(path, rng):
    data = bytearray(path.read_bytes())
    bit = int(rng.integers(8 * len(data)))
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    return bit


def attack(flips, seed):
    """Return {(file, outcome): count}; prints each flip that is used."""
    rng, counts = np.random.default_rng(seed), Counter()
    with in_a_folder():
        told(train_mnist, *SETTINGS.split())
        shutil.copytree(RUN, "sound")
        right = [ask()[0] for ask in QUESTIONS]
        every = sorted(path for path in Path("sound").rglob("*") if path.is_file())
        files = [path.relative_to("sound") for path in every if path.stat().st_size]
        for _ in range(flips):
            shutil.rmtree(RUN)
            shutil.copytree("sound", RUN)
            name = files[rng.integers(len(files))]
            bit = flip(RUN / name, rng)
            what, why = outcome(RUN / name, right)
            counts[str(name), what] += 1
            if what == "used":
                print(f"used: bit {bit} of {name}: {why:.300}")
    return counts


def table(counts):
    """The counts as text: a row for each file, a column for each outcome."""
    rows = [["", *OUTCOMES]]
    for name in sorted({name for name, _ in counts}):
        rows.append([name, *(counts[name, what] for what in OUTCOMES)])
    rows.append(["all", *map(sum, zip(*(row[1:] for row in rows[1:]), strict=True))])
    return "\n".join(f"{name:<36}{a:>10}{b:>11}{c:>7}" for name, a, b, c in rows)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.flipped_bits")
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    counts = attack(options.flips, options.seed)
    print(table(counts))
    return int(any(counts[name, what] for name, what in counts if what == "used"))


if __name__ == "__main__":
    sys.exit(main())
