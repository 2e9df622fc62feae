"""All that minivit checks in itself: CHECKS, by name; each returns a report with `ok`."""

from functools import partial

import numpy as np

from .. import layers, optim
from ..models import CNN, Detector, ViT
from ..training.batches import batches
from . import optimizers, training
from .cases import CASES, CNN_SIZES, DETECTOR, MODEL, OTHERS, WIDE
from .formulas import value
from .gradcheck import gradcheck
from .inside import backward_of, forward_of
from .masks import mask_fault
from .numeric import random_params
from .report import Report
from .sequence_formulas import FORMULAS
from .sequences import sequences
from .structure import structure
from .texts import texts


def check(name, *, method="complex", mode="full", seed=0):
    """Check the cases of that name; return the Report of the first that is wrong, or of the first.

    Each is checked at an input drawn with the seed: its gradients, its value and its dtypes.
    """
    reports = []
    for make, shape, loss in (CASES[name], *OTHERS[name]):
        x, layer = np.random.default_rng([seed, 1]).standard_normal(shape), make()
        report = gradcheck(layer, x, loss=loss, method=method, mode=mode, seed=seed)
        if not report.problems and (fault := wrong_value(layer, x)):
            report = Report(method, mode, report.rows, report.notes, [fault])  # inside, all follows
        if fault := wrong_dtype(layer, x):
            report.problem(fault)
        if not report.ok:
            return report
        reports.append(report)
    return reports[0]


def wrong_value(layer, x):
    """Say that y is not what the layer's formula gives, or that masks are wrong; None if right."""
    if isinstance(layer, layers.Dropout):
        fault = mask_fault(layer, np.random.default_rng(0))
        return fault and f"forward {fault}"
    if type(layer).__name__ in FORMULAS:
        params = random_params(layer, np.random.default_rng(0))
        for larger in (x, 10 * x):
            y, _ = forward_of(layer, None)(params, larger)
            expected = value(layer, params, larger)
            error = abs(y - expected).max() / abs(expected).max()
            if not error <= 1e-10:
                name = type(layer).__name__
                return f"forward does not give {name}'s formula (formulas.py): off by {error:.1g}"


def wrong_dtype(layer, x):
    """Say that a pass in float32 gives another dtype; None if it does not."""
    params = random_params(layer, np.random.default_rng(0)).astype(np.float32)
    y, cache = forward_of(layer, 0)(params, x.astype(np.float32))
    if y.dtype != np.float32:
        return f"forward returns {y.dtype} for float32"
    dx = backward_of(layer)(params, np.ones_like(y), cache, params.zeros_like())
    if dx.dtype != np.float32:
        return f"backward returns {dx.dtype} for float32"


CHECKS = {name: partial(check, name) for name in CASES} | {
    "structure": lambda: min(
        map(structure, (ViT(**MODEL), Detector(**DETECTOR))), key=lambda found: found.ok
    ),
    "sequences": sequences,
    "texts": texts,
    "sgd": lambda: optimizers.sgd(optim.SGD),
    "adam": lambda: optimizers.adam(optim.Adam),
    "adamw": lambda: optimizers.adamw(optim.AdamW),
    "muon": lambda: optimizers.muon(optim.Muon),
    "clipping": lambda: optimizers.clipping(optim.clip_by_global_norm),
    "schedules": lambda: min(  # a wrong one, if there is any
        (
            *map(optimizers.schedule, (optim.warmup_linear, optim.warmup_cosine)),
            optimizers.schedule(optim.warmup_inverse_sqrt, ends=False),
        ),
        key=lambda found: found.ok,
    ),
    "layer_rates": lambda: optimizers.layer_rates(optim.layer_rates),
    "average": lambda: optimizers.average(optim.EMA),
    "loss": training.loss,
    "training_step": lambda: training.step(ViT(**MODEL)),
    "batches": lambda: training.run_batches(batches),
    "evaluation": lambda: min(
        map(training.evaluation, (ViT(**MODEL), CNN(**CNN_SIZES))), key=lambda f: f.ok
    ),
    "initial": lambda: training.initial(ViT(**MODEL | WIDE)),
}
