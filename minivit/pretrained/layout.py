"""What a layout is: under which names and in which shapes a library keeps the parameters.

    Rule("blocks.{}.attn.qkv.w", ("blocks.{}.attn.qkv.weight",), MATRIX)

says both ways at once: how theirs is read into ours, and how ours is written as theirs. One of ours
may be several of theirs, as q, k and v are.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Kind(NamedTuple):
    """A shape that a library gives to a parameter; `sizes` are the arguments of the model."""

    read: Callable[..., np.ndarray]  # (*theirs) -> ours
    write: Callable[[np.ndarray, int, dict], list]  # (ours, how many are theirs, sizes) -> theirs


class Rule(NamedTuple):
    ours: str  # a dotted name; {} is the number of a block
    theirs: tuple[str, ...]
    kind: Kind


class Layout(NamedTuple):
    """A library's names, and what its networks have in common.

    rename:    names in a file -> {the name in the rules: the name in the file}
    mark:      a name in the rules that only this layout has
    sizes:     shape of the patches' weights -> (patch side, channels)
    unused:    names of arrays that its forward does not read
    positions: how it resizes them (positions.py)
    facts:     (shapes by name, {file: JSON}) -> the Facts
    config:    arguments of a ViT -> its config.json; ValueError for a model that the library has
               not. None for a layout that is only read
    """

    name: str
    rename: Callable[[list[str]], dict[str, str]]
    mark: str
    rules: list[Rule]
    sizes: Callable[[tuple], tuple[int, int]]
    unused: tuple[str, ...]
    positions: str
    facts: Callable[[dict[str, tuple], dict[str, dict]], "Facts"]
    config: Callable[[dict], dict] | None = None


class Facts(NamedTuple):
    """What arrays do not tell: the JSON files beside them do, or the library's defaults.

    heads and pool are None where nobody knows; image_size is (height, width), or None for a square.
    claims: {argument of the model: value} which the arrays must bear out
    """

    heads: int | None
    pool: str | None
    eps: float
    activation: str
    image_size: tuple[int, int] | None
    claims: dict[str, Any]
    preparation: dict[str, Any]
    classes: list[str] | None


def instances(rules, depth):
    """Yield (ours, [theirs], Kind) for each rule, and for each block where it is about one."""
    for rule in rules:
        for number in range(depth if "{}" in rule.ours else 1):
            theirs = [name.format(number) for name in rule.theirs]
            yield rule.ours.format(number), theirs, rule.kind


def _split(ours, count, sizes):
    return np.split(ours, count, axis=-1)


MATRIX = Kind(  # PyTorch's (out, in); ours is (in, out)
    lambda *theirs: np.concatenate([each.T for each in theirs], axis=1),
    lambda ours, count, sizes: [each.T for each in _split(ours, count, sizes)],
)
VECTOR = Kind(lambda *theirs: np.concatenate([each.reshape(-1) for each in theirs]), _split)
KERNEL = Kind(  # a convolution's (D, C, P, P); ours is (P·P·C, D)
    lambda theirs: theirs.transpose(2, 3, 1, 0).reshape(-1, len(theirs)),
    lambda ours, _, sizes: [
        ours.reshape(sizes["patch_size"], sizes["patch_size"], sizes["channels"], -1).transpose(
            3, 2, 0, 1
        )
    ],
)
TOKEN = Kind(lambda theirs: theirs.reshape(-1), lambda ours, *_: [ours[None, None]])  # (1, 1, D)
TABLE = Kind(lambda theirs: theirs[0], lambda ours, *_: [ours[None]])  # (1, T, D)


def linear(ours, *theirs):
    """The rules of an affine map: `weight` and `bias` of PyTorch."""
    return [
        Rule(f"{ours}.w", tuple(f"{name}.weight" for name in theirs), MATRIX),
        Rule(f"{ours}.b", tuple(f"{name}.bias" for name in theirs), VECTOR),
    ]


def norm(ours, theirs):
    """The rules of a layer norm."""
    return [
        Rule(f"{ours}.w", (f"{theirs}.weight",), VECTOR),
        Rule(f"{ours}.b", (f"{theirs}.bias",), VECTOR),
    ]


def patches(name):
    """The rules of a convolution that cuts and projects patches."""
    return [
        Rule("patches.w", (f"{name}.weight",), KERNEL),
        Rule("patches.b", (f"{name}.bias",), VECTOR),
    ]


def sizes_of_kernel(shape):
    """(patch side, channels) of a convolution's weights (D, C, P, P)."""
    return shape[2], shape[1]


def claims_of(config, names):
    """{argument: value} of what a config says, under the library's names for the arguments."""
    return {ours: config[theirs] for theirs, ours in names.items() if theirs in config}


def ratio(part, whole):
    """A factor with int(factor * whole) == part, as configs have it for the width of the MLPs."""
    if part % whole == 0:
        return part // whole
    factor = part / whole
    return factor if int(factor * whole) == part else (part + 0.5) / whole
