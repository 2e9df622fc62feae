"""Float arrays in nested dicts, lists, tuples and objects: where they are, and others put there.

A place is a path, a tuple of steps: ("." attribute) or ("[" key) from a root downwards.
"""

import inspect
from typing import Any, NamedTuple

import numpy as np


class Leaf(NamedTuple):
    """A float array (or a number) at its place, by the name that its owner gives it."""

    name: str
    path: tuple
    value: Any


def is_float(value):
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def leaves(root, path=(), name="", objects=False):
    """Yield a Leaf for every float array in nested dicts, lists and tuples.

    objects: look at the attributes of objects as well, each object once
    """
    yield from _leaves(root, path, name, {} if objects else None)


def _leaves(value, path, name, seen):
    if is_float(value):
        yield Leaf(name, path, value)
        return
    if seen is not None:
        if id(value) in seen:
            return
        seen[id(value)] = value
    for step, part in parts_of(value, seen is not None):
        yield from _leaves(part, (*path, step), f"{name}.{step[1]}".lstrip("."), seen)


def parts_of(value, objects=True):
    """[(step, part)] of what is right inside a dict, list, tuple or, if asked for, an object."""
    if isinstance(value, dict):
        return [(("[", key), part) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [(("[", place), part) for place, part in enumerate(value)]
    if objects and is_object(value):
        return [((".", key), part) for key, part in vars(value).items()]
    return []


def is_object(value):
    """Whether a value is an object of somebody's class, and so may hold arrays."""
    return (
        hasattr(value, "__dict__")
        and not inspect.isroutine(value)
        and not inspect.ismodule(value)
        and not isinstance(value, type)
        and type(value).__module__.partition(".")[0] not in ("numpy", "functools")
    )


def objects(root, wanted, path=(), seen=None):
    """Yield (path, object) of the objects inside for which `wanted` holds, but for those in them.

    An object in several places comes once.
    """
    seen = {} if seen is None else seen
    for step, part in parts_of(root):
        if id(part) in seen or not (parts_of(part) or is_object(part)):
            continue
        seen[id(part)] = part
        if is_object(part) and wanted(part):
            yield (*path, step), part
        else:
            yield from objects(part, wanted, (*path, step), seen)


def get(root, path):
    """What is at a path. KeyError, IndexError or AttributeError if nothing is."""
    for kind, key in path:
        root = getattr(root, key) if kind == "." else root[key]
    return root


def put(root, path, value):
    """Put a value at a path; return the root, which is another one only if it is a tuple."""
    if not path:
        return value
    (kind, key), *rest = path
    inner = put(get(root, path[:1]), rest, value) if rest else value
    if kind == ".":
        setattr(root, key, inner)
    elif isinstance(root, tuple):
        several = [*root[:key], inner, *root[key + 1 :]]
        return root._make(several) if hasattr(root, "_make") else tuple(several)
    else:
        root[key] = inner
    return root
