"""PyTorch's code with a hand-written backward: autograd.Function, and modules.

Nothing here imports PyTorch: whoever has such code has imported it.
"""

import sys

import numpy as np

from ...params import Params
from ..adapted import Adapted, Names, shapes_of
from ..inside import array_of
from .code import arrays_among
from .layer import add, joined, split
from .source import parameters_of, returned_names
from .state import drawing
from .tensors import Function, Module, array_from


def adapted_torch(code, arguments, order, seed):
    """Return the Adapted of a torch.autograd.Function or a torch.nn.Module.

    Errors: TypeError if there is nothing to differentiate, ValueError for an order, which PyTorch's
    code needs none of; and what the code itself raises.
    """
    if order is not None:
        raise ValueError("gradcheck: PyTorch's code returns its gradients in order; give no order")
    theirs = Function(code, arguments) if isinstance(code, type) else Module(code, arguments)
    inputs = {
        name: array_from(argument)
        for name, argument in zip(theirs.names, arguments, strict=True)
        if _wanted(argument, arguments)
    }
    arrays = inputs | {name: array_from(each) for name, each in theirs.parameters.items()}
    if not arrays:
        raise TypeError(f"gradcheck: none of {', '.join(theirs.names)} is a tensor of floats")
    notes = ["slopes by central differences of the best step, in float64"]
    here = {name: array.astype(np.float64) for name, array in arrays.items()}
    _, outputs = _passed(theirs, here, seed, notes)
    passes = theirs.passes(outputs)
    dys = [np.random.default_rng(seed).standard_normal(output.shape) for output in outputs]
    without = [name for name, g in _gradients(theirs, here, dys, seed, notes).items() if g is None]
    chosen = any(getattr(argument, "requires_grad", False) for argument in arguments)
    constant = [name for name in without if name in inputs and not chosen]
    if constant:
        notes.append(f"there is no gradient of {', '.join(constant)}, which stays as it is")
    names = [name for name in arrays if name not in constant]
    return _layer(theirs, arrays, names, passes, seed, notes)


def _wanted(argument, arguments):
    """Whether an argument is differentiated: one that requires it or, if none does, any floats."""
    if any(getattr(each, "requires_grad", False) for each in arguments):
        return getattr(argument, "requires_grad", False)
    if hasattr(argument, "is_floating_point"):
        return argument.is_floating_point()
    return isinstance(argument, np.ndarray) and argument.dtype.kind == "f"


def _passed(theirs, arrays, seed, notes):
    """The tensors of {name: array}, and the outputs that depend on them."""
    torch = sys.modules["torch"]
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    result, drew = drawing(lambda: theirs(tensors), seed)
    if drew and len(notes) == 1:
        notes.append("forward draws random numbers: torch is seeded before each pass")
    several = result if isinstance(result, (tuple, list)) else [result]
    outputs = [each for each in several if getattr(each, "requires_grad", False)]
    if not outputs:
        raise TypeError("gradcheck: no output of forward has a gradient that PyTorch knows of")
    return tensors, outputs


def _gradients(theirs, arrays, dys, seed, notes):
    """{name: gradient or None} of a backward pass."""
    torch = sys.modules["torch"]
    tensors, outputs = _passed(theirs, arrays, seed, notes)
    dys = [torch.tensor(dy, dtype=o.dtype) for dy, o in zip(dys, outputs, strict=True)]
    return dict(zip(tensors, theirs.gradients(tensors, outputs, dys), strict=True))


def _layer(theirs, arrays, names, passes, seed, notes):
    main, *others = names
    rest = {name: array for name, array in arrays.items() if name not in names}

    def together(params, x):
        constant = {name: array.astype(x.dtype) for name, array in rest.items()}
        return {main: x} | {name: params[name] for name in others} | constant

    def forward(params, x):
        if any(map(np.iscomplexobj, [x, *(params[name] for name in others)])):
            raise TypeError("PyTorch's code is checked with real numbers")
        _, outputs = _passed(theirs, together(params, x), seed, notes)
        ys = [array_from(output) for output in outputs]
        return joined(ys), {"x": np.array(x), "shapes": [each.shape for each in ys]}

    def backward(params, dy, cache, grads):
        dys = split(dy, cache["shapes"])
        found = _gradients(theirs, together(params, cache["x"]), dys, seed, notes)
        found = {name: None if g is None else array_from(g) for name, g in found.items()}
        add(grads, {name: found[name] for name in others})
        return np.zeros_like(cache["x"]) if found[main] is None else found[main]

    params = Params({name: arrays[name].astype(np.float64) for name in others})
    return Adapted(
        forward, backward, params, arrays[main], Names(main, *_names(passes, names)), passes,
        shapes=shapes_of(arrays_among(theirs.names, map(array_of, theirs.arguments))),
        notes=notes, analytic=False,
    )  # fmt: skip


def _names(passes, taken):
    """What the source calls the gradient that its backward receives, and its output."""
    if not passes:
        return "dy", "y"
    y = returned_names(passes[0])
    dys = [name for name, *_ in parameters_of(passes[1]) or [] if name not in ("ctx", "self")]
    y = y if isinstance(y, str) and y not in taken else "y"
    return dys[0] if len(dys) == 1 and dys[0] not in taken else "dy", y
