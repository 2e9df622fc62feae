"""A bug is switched on secretly; what can be seen of it, and hints, one after the other."""

import contextlib
import inspect
import io
import random
import textwrap
import warnings

import numpy as np

from ..checks.faults import faults, function_at, planted
from ..checks.suite import CASES, CHECKS
from ..classifier import Classifier
from ..data.digits import Split
from ..data.normalize import Normalize
from ..models import ViT
from ..optim import SGD, Adam, AdamW, Muon
from ..params import Params
from ..training.fit import fit
from ..training.progress import Progress

CHOICES = 5
OPTIMIZERS = {"sgd": (SGD, 0.1), "adam": (Adam, 3e-3), "muon": (Muon, 0.02)}  # else AdamW
BAR = 40  # characters for a loss of log 10, that of a model that knows nothing


class Hunt:
    """One fault, drawn with the seed; `images` and `labels` are what the curves are trained on."""

    def __init__(self, seed, images, labels):
        rng = random.Random(seed)
        self.fault = rng.choice(list(faults().values()))
        self.train = Split(images, labels)
        alike = [f.name for f in faults().values() if f.check == self.fault.check]
        others = [name for name in faults() if name not in alike]
        wrong = [name for name in alike if name != self.fault.name]
        wrong = rng.sample(wrong, len(wrong)) + rng.sample(others, CHOICES)
        self.choices = rng.sample([self.fault.name, *wrong[: CHOICES - 1]], CHOICES)
        self.hints = iter((self._place, self._cause, self._names, self._lines))
        self.hints_given = 0

    def symptoms(self):
        """What the check of a layer, an optimizer or a step shows, without what is made of it."""
        with planted(self.fault):
            report = CHECKS[self.fault.check]()
        if self.fault.check not in CASES:
            return f"{self.fault.check}\n{report}"
        problems = len(report.problems)
        more = f"\n{problems} problem(s) besides; a hint says which" if problems else ""
        return f"{self.fault.check}\n{report.table()}{more}"

    def curves(self):
        """The training loss of a small model with the bug and without it, as text."""
        with planted(self.fault):
            faulty = self._losses()
        good = self._losses()
        lines = ["step   without the bug" + " " * (BAR - 9) + "with it"]
        for step, (right, wrong) in enumerate(zip(good, faulty, strict=True)):
            lines.append(f"{step * 5:4}   {_bar(right)}   {_bar(wrong)}")
        if np.array_equal(good, faulty):
            lines.append("To the last digit the same: this training does not go through the bug.")
        return "\n".join(lines)

    def _losses(self):
        """Means of five steps each; nan from where training broke down."""
        rows, steps = [], 12 * 5
        model = ViT(
            image_size=28, patch_size=7, channels=1, dim=32, depth=2, heads=2, mlp_dim=64,
            classes=10, pool="mean" if self.fault.check == "mean_pool" else "cls", dropout=0.1,
        )  # fmt: skip
        params = Params(model.init(np.random.default_rng(0)))
        classifier = Classifier(model, params, Normalize.of(self.train.images), range(10))
        optimizer, lr = OPTIMIZERS.get(self.fault.check, (AdamW, 3e-3))
        count = len(self.train.labels)
        quiet = contextlib.redirect_stdout(io.StringIO())
        with quiet, contextlib.suppress(FloatingPointError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = fit(
                Progress(classifier, optimizer(params, lr)), self.train, self.train,
                epochs=-(-steps * 50 // count), batch_size=50,
                shards=1,  # a worker process would not have the bug
            )  # fmt: skip
        losses = [row["loss"] for row in rows[:steps]] + [np.nan] * (steps - len(rows))
        return np.reshape(losses, (-1, 5)).mean(axis=1)

    def hint(self):
        """The next hint, or None when there are no more."""
        hint = next(self.hints, None)
        self.hints_given += hint is not None
        return hint and hint()

    def _place(self):
        return "It is in " + " and ".join(self.fault.change) + "."

    def _cause(self):
        with planted(self.fault):
            report = CHECKS[self.fault.check]()
        if self.fault.check in CASES:
            return "\n".join(report.explanation() + report.problems)
        return "\n".join(f"{each.name}: {each.observed}" for each in report if not each.ok)

    def _names(self):
        bugs = [f"{name}: {faults()[name].bug}" for name in self.choices]
        return "It is one of these.\n" + "\n".join(bugs)

    def _lines(self):
        lines = "\n".join(self.fault.change.values()).splitlines()
        return "These lines should stand there:\n" + "\n".join(
            line[1:] for line in lines if line.startswith("-")
        )

    def source(self, place):
        """The source of a function as it is now, with the bug if it is there; None if unknown."""
        if place not in self.places():
            return None
        with planted(self.fault):
            return textwrap.dedent(inspect.getsource(function_at(place)))

    def places(self):
        """The functions that any bug of the catalogue is in."""
        return sorted({place for f in faults().values() for place in f.change})


def _bar(loss):
    if not np.isfinite(loss):
        return f"{'broke down':{BAR + 6}}"
    length = min(BAR, round(loss / np.log(10) * (BAR - 10)))
    return f"{loss:5.2f} {'█' * length:{BAR}}"
