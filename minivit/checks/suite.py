"""All the checks of this engine, by name; each returns a report with `ok` and a printed form."""

import functools

from ..models import ViT
from ..optim import (
    EMA,
    SGD,
    Adam,
    AdamW,
    Muon,
    clip_by_global_norm,
    warmup_cosine,
    warmup_linear,
)
from . import optimizers, training
from .cases import CASES, MODEL, check
from .structure import structure


def structure_of_model():
    """The structure of the small model, with dropout, which evaluation must not notice."""
    return structure(ViT(**MODEL))


def schedules():
    """Both schedules; the report is that of the first that is wrong."""
    findings = [optimizers.schedule(rate) for rate in (warmup_linear, warmup_cosine)]
    return min(findings, key=lambda found: found.ok)


CHECKS = {name: functools.partial(check, name) for name in CASES} | {
    "structure": structure_of_model,
    "sgd": lambda: optimizers.sgd(SGD),
    "adam": lambda: optimizers.adam(Adam),
    "adamw": lambda: optimizers.adamw(AdamW),
    "muon": lambda: optimizers.muon(Muon),
    "clipping": lambda: optimizers.clipping(clip_by_global_norm),
    "schedules": schedules,
    "average": lambda: optimizers.average(EMA),
    "training_step": training.training_step,
    "batches": training.run,
}
