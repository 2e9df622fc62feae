"""What makes a short training better, or cheaper: one change at a time, on validation images.

python -m docs.tried                        trains all of CHANGES, and prints a table
python -m docs.tried --seeds 2 --only NAME  some of them, with fewer seeds
python -m docs.tried --write                writes the table into performance.md, its rows to JSON

Each is the recipe "quick" of demos.train_mnist but for one change. The accuracy and the loss are
those after the last epoch, on the images that are held out; the test images are not looked at. The
time is of training alone, beside that of the recipe with the same seed.
"""

import argparse
import contextlib
import io
from math import nan
from pathlib import Path
from statistics import mean, median, stdev
from unittest import mock

from tqdm import tqdm

import minivit
from demos import train_mnist
from demos.benchmark.recipe import start
from demos.benchmark.report import machine
from minivit.files import write_json
from minivit.optim import muon, warmup_cosine
from minivit.training import Progress, fit

from .other_checks import written

PAGE, ROWS = (Path(__file__).with_name(name) for name in ("performance.md", "tried.json"))
SEVEN = "--patch-size 7 --depth 4 --heads 2 --batch-size 250"
CHANGES = {  # options of the demo, arguments of `fit`, or what else differs
    "the recipe": {},
    "patches of 7, 3 epochs": dict(options=f"{SEVEN} --epochs 3"),
    "patches of 7, half of the tokens, 4 epochs": dict(
        options=f"{SEVEN} --epochs 4 --keep-tokens 0.5"
    ),
    "2 heads": dict(options="--heads 2"),
    "steps of 250, 7 epochs": dict(options="--batch-size 250 --epochs 7"),
    "momentum 0.95": dict(momentum=0.95),
    "3 rounds of Newton–Schulz": dict(rounds=3),
    "a rate that falls as a cosine": dict(fit=dict(schedule=warmup_cosine)),
    "an average of the weights": dict(average=0.98),
    "label smoothing 0.05": dict(fit=dict(smoothing=0.05)),
    "shifts alone": dict(options="--augment shift=2"),
}


def train(seed, change):
    """Train once with a change of CHANGES; return accuracy, loss and seconds."""
    more = change.get("options", "").split()
    options = train_mnist.arguments(["--recipe", "quick", "--seed", str(seed), *more])
    data, at_first, settings = start(options)
    at_first.optimizer.momentum = change.get("momentum", at_first.optimizer.momentum)
    decay = change.get("average")
    average = minivit.EMA(at_first.params, decay) if decay else None
    progress = Progress(at_first.classifier, at_first.optimizer, average)
    settings |= dict(shards=options.shards) | change.get("fit", {})
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        last = fit(progress, data.train, data.validation, **settings)[-1]
    return last["validation_accuracy"], last["validation_loss"], progress.seconds


def train_all(names, seeds):
    """Train each with each seed; return rows, dicts that JSON can write.

    All take turns, so that other work on the machine slows all of them down alike.
    """
    rows = [dict(change=name, accuracies=[], losses=[], seconds=[]) for name in names]
    for seed, row in tqdm([(seed, row) for seed in range(seeds) for row in rows]):
        change = CHANGES[row["change"]]
        with mock.patch.object(muon.orthogonalised, "__defaults__", (change.get("rounds", 5),)):
            accuracy, loss, seconds = train(seed, change)
        row["accuracies"].append(accuracy)
        row["losses"].append(loss)
        row["seconds"].append(seconds)
    return rows


def lines_of(rows):
    """The lines of the table."""
    lines = ["| change | accuracy | loss | time |", "|---|---|---|---|"]
    for row in rows:
        count, accuracies = len(row["seconds"]), [100 * share for share in row["accuracies"]]
        error = stdev(accuracies) / count**0.5 if count > 1 else nan
        times = [
            mine / first for mine, first in zip(row["seconds"], rows[0]["seconds"], strict=True)
        ]
        lines.append(
            f"| {row['change']} | {mean(accuracies):.2f} ± {error:.2f} % | "
            f"{mean(row['losses']):.4f} | {median(times):.2f} × |"
        )
    return lines


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="trainings for each change")
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--write", action="store_true", help="write the page and the rows")
    options = parser.parse_args(argv)
    rows = train_all(options.only, options.seeds)
    print(machine(), *lines_of(rows), sep="\n")
    if options.write:
        write_json(ROWS, dict(machine=machine(), rows=rows))
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(written(page, "tried", lines_of(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
