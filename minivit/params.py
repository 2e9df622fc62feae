"""Named arrays that are views of one flat vector.

The layers see a nest, `params["blocks"][0]["attn"]["qkv"]["w"]`; the optimizer sees one vector,
`params.flat`. Both are the same memory, so an update of the vector is an update of every weight, in
one line and at the speed of one long array.

    nest   {"fc1": {"w": (2, 3), "b": (3,)}, "fc2": {"w": (3, 1), "b": (1,)}}
    flat   [ fc1.w fc1.w fc1.w fc1.w fc1.w fc1.w | fc1.b fc1.b fc1.b | fc2.w fc2.w fc2.w | fc2.b ]
"""

import json
import math
import os
from collections.abc import Callable
from typing import Any, Self, TypeAlias

import numpy as np

from .backend import Array, array_module, to_device
from .files import read_arrays, write_arrays, write_file
from .html import table

Nest: TypeAlias = dict[str, Any]  # nested dicts and lists, with arrays as leaves


class Params:
    """A nest of arrays (dicts and lists, as `layer.init` returns it), copied into one flat vector.

    Used for parameters and for their gradients alike.

    Attributes
        nest: the same dicts and lists, with views of `flat` as leaves
        flat: (n,) all the numbers, leaf after leaf in the order of the nest

    Errors: TypeError if the leaves are not floating-point (or complex) arrays of one dtype.
    """

    def __init__(self, nest: Nest) -> None:
        leaves = list(_leaves(nest))
        dtypes = sorted({str(leaf.dtype) for _, leaf in leaves})
        if len(dtypes) > 1:
            raise TypeError(
                f"parameters have mixed dtypes {dtypes}; give init one dtype for all of them"
            )
        if dtypes and leaves[0][1].dtype.kind not in "fc":
            raise TypeError(
                f"parameters are {dtypes[0]}; expected floating-point arrays such as float32"
            )
        if leaves:
            xp = array_module(leaves[0][1])
            self.flat = xp.concatenate([leaf.reshape(-1) for _, leaf in leaves])
        else:
            self.flat = np.zeros(0, np.float32)
        self.nest = _views(_shapes(nest), self.flat)

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles keep: the numbers once, and the shapes of their views."""
        self.require_views("parameter")
        return {"flat": self.flat, "shapes": _shapes(self.nest)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.flat = state["flat"]
        self.nest = _views(state["shapes"], self.flat)

    def __getitem__(self, key: str) -> Any:
        return self.nest[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Called by Python after `grads["pos"] += dpos`, with the view that was added to."""
        self.nest[key] = value

    def __repr__(self) -> str:
        lines = [f"  {name:<28}{leaf.shape}" for name, leaf in self.named()]
        return "\n".join([f"Params: {self.flat.size:,} numbers, {self.flat.dtype}", *lines])

    def _repr_html_(self) -> str:
        """What a notebook shows: each array, its size and how large its numbers are."""
        rows = [
            (name, leaf.shape, f"{leaf.size:,}", f"{float(abs(leaf).mean()):.3g}")
            for name, leaf in self.named()
        ]
        caption = f"{self.flat.size:,} numbers, {self.flat.dtype}"
        return table(caption, ["name", "shape", "numbers", "mean size"], rows)

    def named(self) -> list[tuple[str, Array]]:
        """Return [("blocks.0.attn.qkv.w", view), …] in the order of the flat vector."""
        return list(_leaves(self.nest))

    def zeros_like(self) -> Self:
        """Return Params of the same nest and dtype, all zero: `backward` adds gradients to them."""
        return self.astype(self.flat.dtype).zero()

    def zero(self) -> Self:
        """Set every number to zero, in place; returns self."""
        self.flat[...] = 0
        return self

    def astype(self, dtype: type | np.dtype | str) -> Self:
        """Return a copy in another dtype, such as float64 for a gradient check."""
        return self.of(self.flat.astype(dtype))

    def to(self, device: str) -> Self:
        """Return a copy on another device, "cpu" or "cuda"; self if it is there already.

        Errors: ValueError for any other device; those of `backend.cuda`.
        """
        there = to_device(self.flat, device)
        return self if there is self.flat else self.of(there)

    def of(self, flat: Array) -> Self:
        """Return Params of the same nest that are views of `flat` (n,), which is not copied."""
        other = type(self).__new__(type(self))
        other.__setstate__({"flat": flat, "shapes": _shapes(self.nest)})
        return other

    def save(self, path: str | os.PathLike, write: Callable = write_file) -> None:
        """Write the parameters as a safetensors file under their dotted names.

        write: `files.write_file`, or another that writes bytes to a path
        Errors: OSError naming the file; whatever stood there before still does. TypeError for
        anything but float32 and float64.
        """
        if self.flat.dtype not in (np.float32, np.float64):
            raise TypeError(
                f"{self.flat.dtype} parameters cannot be saved, only float32 or float64"
            )
        arrays = dict(self.to("cpu").named())
        write_arrays(path, arrays, {"order": json.dumps(list(arrays))}, write)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Return the Params in a file of `save`, or in any safetensors file with dotted names.

        A group whose names are 0, 1, 2, … becomes a list.

        Errors: ValueError naming the file if it is damaged, or does not hold float32 or float64
        numbers, all of one type.
        """
        metadata, arrays = read_arrays(path)
        dtypes = sorted({str(array.dtype) for array in arrays.values()})
        if len(dtypes) > 1 or not set(dtypes) <= {"float32", "float64"}:
            raise ValueError(
                f"{path} holds {' and '.join(dtypes)} numbers; expected float32 or float64, all of "
                "one type"
            )
        try:
            order = json.loads(metadata.get("order", "null")) or sorted(arrays)
            if sorted(order) != sorted(arrays):
                raise ValueError("the order of its arrays names others than it holds")
            return cls(_nested({name: arrays[name] for name in order}))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error

    def mask(self, predicate: Callable[[str, Array], bool]) -> Array:
        """Return a (n,) vector of flat's dtype: 1 where `predicate(name, view)` holds, else 0."""
        mask = self.zeros_like()
        for (name, leaf), (_, place) in zip(self.named(), mask.named(), strict=True):
            place[...] = bool(predicate(name, leaf))
        return mask.flat

    def require_views(self, role: str) -> None:
        """Raise ValueError if a leaf was replaced by an array with memory of its own.

        `grads["head"]["w"] = dw` would leave behind the flat vector, which the optimizer reads.
        """
        for name, leaf in self.named():
            if not _shares(leaf, self.flat):
                raise ValueError(
                    f"{role} {name!r} no longer shares memory with the flat vector, so the "
                    "optimizer cannot see it; write into the array (leaf[...] = value, "
                    "leaf += value) instead of replacing it"
                )


def _shares(leaf, flat):
    """Whether a leaf is a view of the flat vector, which may itself be a view of another."""
    return leaf.base is flat or (leaf.base is not None and leaf.base is flat.base)


def _leaves(nest, prefix=""):
    """Yield ("dotted.name", array) for every array in the nest, in order."""
    for key, value in nest.items() if isinstance(nest, dict) else enumerate(nest):
        if isinstance(value, (dict, list)):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _nested(named, prefix=""):
    """{"blocks.0.w": array, …} -> {"blocks": [{"w": array}], …}: what `_leaves` takes apart."""
    groups = {}
    for name, array in named.items():
        first, dot, rest = name.partition(".")
        groups.setdefault(first, {})[dot + rest] = array
    nest = {}
    for key, group in groups.items():
        if "" in group and len(group) > 1:
            raise ValueError(f"{prefix + key!r} is both an array and a group of arrays")
        inside = {name[1:]: array for name, array in group.items()}
        nest[key] = group[""] if "" in group else _nested(inside, f"{prefix}{key}.")
    if nest.keys() == {str(place) for place in range(len(nest))}:
        return [nest[str(place)] for place in range(len(nest))]
    return nest


def _mapped(function, nest):
    """The same dicts and lists with function(leaf) in the place of every leaf, in order."""
    if isinstance(nest, dict):
        return {key: _mapped(function, value) for key, value in nest.items()}
    if isinstance(nest, list):
        return [_mapped(function, value) for value in nest]
    return function(nest)


def _shapes(nest):
    return _mapped(lambda leaf: leaf.shape, nest)


def _views(shapes, flat):
    """A nest of shapes becomes one of views of `flat`, one after another."""
    start = 0

    def view(shape):
        nonlocal start
        start, begin = start + math.prod(shape), start
        return flat[begin:start].reshape(shape)

    return _mapped(view, shapes)
