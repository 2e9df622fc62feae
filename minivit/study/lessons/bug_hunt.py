"""A bug is switched on secretly: what it does, and hints, one after another."""

import contextlib
import inspect
import io
import random
import textwrap
import warnings

import numpy as np

from ...checks.cases import CASES
from ...checks.faults import faults, function_at, planted
from ...checks.suite import CHECKS
from ...classifier import Classifier
from ...data.digits import Split
from ...data.normalize import Normalize
from ...models import ViT
from ...optim import SGD, Adam, AdamW, Muon
from ...params import Params
from ...training.fit import fit
from ...training.progress import Progress

CHOICES = 5
OPTIMIZERS = {"sgd": (SGD, 0.1), "adam": (Adam, 3e-3), "muon": (Muon, 0.02)}  # else AdamW
STEPS = 60  # of a curve, averaged over five
BATCH = 50
BAR = 40  # characters; a loss of log 10, that of guessing, takes 30


class Hunt:
    """A fault drawn with the seed; the curves train on `images` and `labels`."""

    def __init__(self, seed, images, labels):
        rng = random.Random(seed)
        self.fault = rng.choice(list(faults().values()))
        self.train = Split(images, labels)
        alike = [fault.name for fault in faults().values() if fault.check == self.fault.check]
        others = [name for name in faults() if name not in alike]
        wrong = [name for name in alike if name != self.fault.name]
        wrong = rng.sample(wrong, len(wrong)) + rng.sample(others, CHOICES)
        self.choices = rng.sample([self.fault.name, *wrong[: CHOICES - 1]], CHOICES)
        self.hints = iter((self._place, self._cause, self._names, self._lines))
        self.hints_given = 0

    def symptoms(self):
        """The check that fails, with its numbers but without its explanation."""
        report = self._report()
        if self.fault.check not in CASES:
            return f"{self.fault.check}\n{report}"
        problems = len(report.problems)
        more = f"\nproblems besides: {problems}; the second hint says which" if problems else ""
        return f"{self.fault.check}\n{report.table()}{more}"

    def _report(self):
        with planted(self.fault):
            return CHECKS[self.fault.check]()

    def curves(self):
        """The training loss of a small model with the bug and without it, as text."""
        with planted(self.fault):
            faulty = self._losses()
        good = self._losses()
        lines = ["step   without the bug" + " " * (BAR - 9) + "with it"]
        for row, (right, wrong) in enumerate(zip(good, faulty, strict=True)):
            lines.append(f"{row * 5:4}   {_bar(right)}   {_bar(wrong)}")
        if np.array_equal(good, faulty):
            lines.append("The losses are equal to the last digit: this training avoids the bug.")
        return "\n".join(lines)

    def _losses(self):
        """Means over five steps each; nan from the step at which training broke down."""
        rows = []
        model = ViT(
            image_size=28, patch_size=7, channels=1, dim=32, depth=2, heads=2, mlp_dim=64,
            classes=10, pool="mean" if self.fault.check == "mean_pool" else "cls", dropout=0.1,
        )  # fmt: skip
        params = Params(model.init(np.random.default_rng(0)))
        classifier = Classifier(model, params, Normalize.of(self.train.images), range(10))
        optimizer, lr = OPTIMIZERS.get(self.fault.check, (AdamW, 3e-3))
        epochs = -(-STEPS * BATCH // len(self.train.labels))
        quiet = contextlib.redirect_stdout(io.StringIO())
        with quiet, contextlib.suppress(FloatingPointError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = fit(
                Progress(classifier, optimizer(params, lr)), self.train, self.train,
                epochs=epochs, batch_size=BATCH,
                shards=1,  # a worker process would not have the bug
            )  # fmt: skip
        losses = [row["loss"] for row in rows[:STEPS]] + [np.nan] * (STEPS - len(rows))
        return np.reshape(losses, (-1, 5)).mean(axis=1)

    def hint(self):
        """The next hint, or None if there are no more."""
        hint = next(self.hints, None)
        self.hints_given += hint is not None
        return hint and hint()

    def _place(self):
        return "It is in " + " and ".join(self.fault.change) + "."

    def _cause(self):
        report = self._report()
        if self.fault.check in CASES:
            return "\n".join(report.explanation() + report.problems)
        return "\n".join(f"{each.name}: {each.observed}" for each in report if not each.ok)

    def _names(self):
        bugs = [f"{name}: {faults()[name].bug}" for name in self.choices]
        return "It is one of these.\n" + "\n".join(bugs)

    def _lines(self):
        lines = "\n".join(self.fault.change.values()).splitlines()
        right = [line[1:] for line in lines if line.startswith("-")]
        return "\n".join(["The correct lines are:", *right])

    def source(self, place):
        """The source of a function as it runs now, bug included; None for an unknown name."""
        if place not in self.places():
            return None
        with planted(self.fault):
            return textwrap.dedent(inspect.getsource(function_at(place)))

    def places(self):
        """The functions that the catalogue has a bug for."""
        return sorted({place for fault in faults().values() for place in fault.change})


def _bar(loss):
    if not np.isfinite(loss):
        return f"{'broke down':{BAR + 6}}"
    length = min(BAR, round(loss / np.log(10) * (BAR - 10)))
    return f"{loss:5.2f} {'█' * length:{BAR}}"
