"""How pictures become a model's input, in the form in which a run's config.json keeps it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from .framing import Framing
from .normalize import Normalize

FRAMING = [field.name for field in dataclasses.fields(Framing)]


def as_dict(normalize: Normalize, framing: Framing) -> dict[str, Any]:
    """Return mean, std, crop, squash and interpolation, by name."""
    return dataclasses.asdict(normalize) | dataclasses.asdict(framing)


def of_dict(preparation: Mapping[str, Any]) -> tuple[Normalize, Framing]:
    """Return what `as_dict` took apart; runs of earlier versions have no framing.

    Errors: those of `Normalize` and `Framing`; TypeError for other names.
    """
    rest = dict(preparation)
    framing = Framing(**{name: rest.pop(name) for name in FRAMING if name in rest})
    return Normalize(**rest), framing
