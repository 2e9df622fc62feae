"""Draw thousands of right layers and models, and count those that the checker accuses.

    .venv/bin/python -m tests.attacks.right_layers [--count 5000] [--seed 0]
    .venv/bin/python -m tests.attacks.right_layers --seed 0 --only 1234

Every layer of minivit, cross-entropy, CNNs and Vision Transformers, of any sizes they take (one
among them), at inputs of scale 1e-6 to 1e4, many of them with nothing to see: constant, zero or
equal tokens, tokens far from zero. Each number of a seed is one case, the same in every run;
`--only` runs one alone and prints its whole report. Every 20th is a model for `structure`.

A case is right if its report is ok. Rounding may hide what is to be compared, such as the slopes of
a large loss, and a report may say so. The case is refused, not accused, if no gradient is called
wrong, every problem is one of rounding, and the complex step, of a report of central differences,
does not accuse either. Anything else is an accusation, and so is an exception.
"""

import argparse
import collections
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import minivit
from minivit.checks.inside import has_params
from minivit.models import CNN, ViT
from tests.attacks.drawn_inputs import INPUTS
from tests.attacks.drawn_layers import LAYERS, TWICE, vit_of


class Case(NamedTuple):
    kind: str  # of the layer, or "structure"
    check: Callable  # of options -> the report
    described: str


def drawn(seed, number):
    """The Case of that number."""
    rng = np.random.default_rng([seed, number])
    return structure_case(rng) if number % 20 == 19 else gradcheck_case(rng)


def structure_case(rng):
    model, seed = vit_of(rng, narrowest=2, fewest=2), int(rng.integers(1000))
    return Case("structure", lambda: minivit.structure(model, seed=seed), f"{model}, seed={seed}")


def gradcheck_case(rng):
    kind = str(rng.choice([*LAYERS, *TWICE]))
    layer, shape = LAYERS[kind](rng)
    name = str(rng.choice(["normal", *INPUTS]))
    scale = 10 ** rng.uniform(-6, 4)
    dtype = np.float32 if rng.random() < 0.1 else np.float64
    x = (scale * INPUTS[name](rng, tuple(shape))).astype(dtype)
    if rng.random() < 0.1:
        x = np.asfortranarray(x)
    options: dict[str, Any] = dict(
        method=str(rng.choice(["complex", "complex", "central"])),
        mode=str(rng.choice(["full", "full", "directional"])),
        entries=int(rng.choice([1, 7, 40, 1000])), seed=int(rng.integers(1000)),
    )  # fmt: skip
    options["loss"], loss_name = loss_of(rng, layer, x)
    initial = has_params(layer) and rng.random() < 0.15
    options["params"] = minivit.Params(layer.init(rng, np.float64)) if initial else None
    shown = {**options, "loss": loss_name, "params": "initial" if initial else "random"}
    described = (
        f"{described_layer(layer)} at x {x.dtype} {x.shape}, {name} x {scale:.2g}; "
        + " ".join(map(str, shown.values()))
    )
    return Case(kind, lambda **other: minivit.gradcheck(layer, x, **(options | other)), described)


def squares(y):
    """Half the sum of squares, a loss."""
    return 0.5 * (y * y).sum(), y


def loss_of(rng, layer, x):
    """A loss that fits the layer, or None, and its name."""
    if isinstance(layer, (CNN, ViT)) and rng.random() < 0.7:
        labels = rng.integers(0, layer.config["classes"], len(x))
        smoothing = float(rng.choice([0, rng.uniform(0, 0.9)]))
        name = f"cross-entropy({smoothing:.2g})"
        return lambda y: minivit.cross_entropy(y, labels, smoothing=smoothing), name
    return (squares, "squares") if rng.random() < 0.15 else (None, "no loss")


def described_layer(layer):
    """A layer with its sizes."""
    if hasattr(layer, "config"):
        return repr(layer)
    sizes = {
        name: value
        for name, value in vars(layer).items()
        if isinstance(value, (int, float, tuple, list)) and name != "blocks"
    }
    return f"{type(layer).__name__}({', '.join(f'{k}={v}' for k, v in sizes.items())})"


def judged(case):
    """(outcome, what is said): "right", "refused" or "accused", and the first reason in a line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report = case.check()
            if report.ok:
                return "right", ""
            if case.kind == "structure":
                return "accused", "; ".join(f.name for f in report if not f.ok)
            others = [case.check(method="complex")] if report.method == "central" else []
        except Exception as error:
            return "accused", f"raises {type(error).__name__}: {error}"
    if all(each.ok or refuses(each) for each in [report, *others]):
        return "refused", report.problems[0]
    wrong = [row for row in report.rows if not row.ok]
    said = report.problems + [f"{row.name} {row.verdict}" for row in wrong]
    return "accused", (said or ["nothing was compared"])[0]


def refuses(report):
    """Whether a report says only that rounding hides what it should compare."""
    return (
        bool(report.problems)
        and all("rounding" in problem for problem in report.problems)
        and not any(row.verdict == "WRONG" for row in report.rows)
        and not report.explanation()
    )


def kind_of(said):
    """What is said without its numbers."""
    return re.sub(r"[-+]?\d[\d.]*(e[-+]?\d+)?", "#", said)[:100]


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.right_layers")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run the case of this number alone")
    options = parser.parse_args(argv)
    if options.only is not None:
        case = drawn(options.seed, options.only)
        print(f"{case.kind}: {case.described}")
        print(case.check())
        print(*judged(case))
        return None
    outcomes, kinds = collections.Counter(), collections.Counter()
    for number in tqdm(range(options.count), disable=None):
        case = drawn(options.seed, number)
        outcome, said = judged(case)
        outcomes[outcome] += 1
        if outcome != "right":
            kinds[outcome, case.kind, kind_of(said)] += 1
            print(f"{outcome} --seed {options.seed} --only {number}: {case.described}\n    {said}")
    print()
    for (outcome, kind, said), count in sorted(kinds.items()):
        print(f"{count:4} {outcome}: {kind}: {said}")
    print(
        f"{options.count} right layers and models: {outcomes['accused']} accused, "
        f"{outcomes['refused']} refused"
    )
    return outcomes


if __name__ == "__main__":
    main()
