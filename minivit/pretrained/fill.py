"""From the arrays of a file to the parameters of a model: which goes where, and in what shape."""

import numpy as np

from ..params import Params
from .layout import instances
from .positions import resize_positions
from .read import NOT_WEIGHTS

SHOWN = 4  # names of arrays in a message


class Zeros:
    """In the place of a generator: zeros, which cost no time, as every number is overwritten."""

    def standard_normal(self, shape):
        return np.zeros(shape, np.float32)


def empty_params(model):
    """Params of zeros for a model, in float32, for which memory is taken once."""

    def hollow(nest):
        if isinstance(nest, dict):
            return {key: hollow(value) for key, value in nest.items()}
        if isinstance(nest, list):
            return [hollow(value) for value in nest]
        return np.broadcast_to(np.float32(0), nest.shape)

    return Params(hollow(model.init(Zeros())))


def listed(names):
    """The first few names, fit to be printed, and how many more there are."""
    some, more = sorted(names)[:SHOWN], len(names) - SHOWN
    shown = ", ".join(ascii(name[:80])[1:-1] for name in some)
    return shown + (f" and {more} more" if more > 0 else "")


def plan_of(layout, params, own, places, shapes):
    """Return [(ours, theirs, Kind)], each array of the file once.

    own, places: the arguments of the ViT in the file, and how many positions it learned
    Errors: ValueError listing what is missing, left over or of another shape.
    """
    expected = _expected_shapes(params, own, places)
    plan, missing, wrong = [], [], []
    for ours, theirs, kind in instances(layout.rules, own["depth"]):
        absent = [name for name in theirs if name not in shapes]
        if ours not in expected or (absent == theirs and ours.endswith("attn.qkv.b")):
            continue  # a part that the model lacks, or a bias that stays zero
        missing += absent
        wrong += _of_another_shape(theirs, kind, expected[ours], own, shapes)
        plan.append((ours, theirs, kind))
    used = {name for _, theirs, _ in plan for name in theirs}
    left = [name for name in shapes if name not in used and name not in layout.unused]
    faults = {"missing": missing, "of another shape": wrong, "left over": left}
    if found := [f"{what}: {listed(names)}" for what, names in faults.items() if names]:
        raise ValueError("; ".join(found))
    return plan


def _expected_shapes(params, own, places):
    """The shapes of our parameters, with the positions and the head of the file."""
    shapes = {name: leaf.shape for name, leaf in params.named()}
    shapes["pos"] = (places, own["dim"])
    if own["classes"]:  # the model may have another head, or none
        width = own["pre_logits"] or own["dim"]
        shapes |= {"head.w": (width, own["classes"]), "head.b": (own["classes"],)}
    return shapes


def _of_another_shape(theirs, kind, shape, own, shapes):
    """A line for each array in the file whose shape is not the one that ours asks for."""
    blank = np.broadcast_to(np.float32(0), shape)
    expected = [each.shape for each in kind.write(blank, len(theirs), own)]
    return [
        f"{name} is {shapes[name]}, not {wanted}"
        for name, wanted in zip(theirs, expected, strict=True)
        if shapes.get(name, wanted) != wanted
    ]


def fill(model, params, plan, arrays, own, kind):
    """Copy the arrays into the parameters; positions go to the model's own grid."""
    leaves, P = dict(params.named()), own["patch_size"]
    old = [side // P for side in own["image_size"]]
    new = [side // P for side in model.config["image_size"]]
    for ours, theirs, shape in plan:
        value = shape.read(*(numbers_of(arrays, name) for name in theirs))
        if ours == "pos":
            if len(value) == old[0] * old[1] and "cls" in leaves:  # it has no position there
                value = np.concatenate([np.zeros_like(value[:1]), value])
            value = resize_positions(value, old, new, kind)
        another_head = ours.startswith("head.") and own["classes"] != model.config["classes"]
        if not another_head:
            leaves[ours][...] = value


def numbers_of(arrays, name):
    """The numbers of an array, float32, or what is wrong with them."""
    try:
        numbers = arrays[name].read()
    except NOT_WEIGHTS as error:
        raise ValueError(f"{name}: {error}") from error
    if numbers.shape != arrays[name].shape:
        raise ValueError(f"{name} is {numbers.shape} inside, not {arrays[name].shape}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} is not finite")
    return numbers
