"""How somebody's code is called, and which of its arrays the gradients belong to."""

import warnings

import numpy as np

from .calls import calls
from .layer import layer_of, scaled_by
from .matching import in_order, matched, named
from .nests import is_float
from .source import parameters_of, returned_names, unwrapped

STEP = 1e-5  # of the central differences that tell which gradient is whose


def adapted_code(code, order=None):
    """Return the Adapted of a Code.

    Errors: TypeError if there is nothing to differentiate, or no gradient of it; ValueError for an
    order that does not fit; and what the code itself raises.
    """
    if not any(is_float(leaf.value) for leaf in code.leaves):
        shown = ", ".join(code.names)
        raise TypeError(
            f"gradcheck: none of {shown} is an array of floats; integers have no slope: try "
            "x.astype(float)"
        )
    call, dys, result, gradients = first_call(code)
    outputs = result.outputs
    places = _places(code, call, order, gradients, dys)
    if not places:
        names = ", ".join(leaf.name for leaf in code.leaves)
        raise TypeError(
            f"gradcheck: {_returning(code)} returns no gradient of {names}; if it does, name them "
            "with order=(…)"
        )
    return layer_of(code, call, places, outputs)


def as_returned(*gradients):
    """The backward of a function that returns its value and then its gradients."""
    return gradients


def _gradient_names(code):
    """What the source calls the gradients that are returned, as far as it says."""
    if code.backward is not as_returned:
        return returned_names(code.backward)
    names = returned_names(code.forward)
    return names[1:] if isinstance(names, list) else None


def _returning(code):
    """The name of the function that returns the gradients."""
    return _label(code.forward if code.backward is as_returned else code.backward)


def _label(function):
    return getattr(unwrapped(function), "__qualname__", type(function).__name__)


def first_call(code):
    """The first call of backward that works: (call, dys, Result, gradients).

    Errors: what backward raises if none does, or TypeError if there is none.
    """
    here = code.here()
    outputs = code.run(here).outputs
    if not outputs or not isinstance(outputs[0], (np.ndarray, np.number, float, int)):
        kind = type(outputs[0]).__name__ if outputs else "nothing"
        raise TypeError(
            f"gradcheck: {_label(code.forward)} returns {kind}; expected an array, or a tuple that "
            "begins with one"
        )
    if code.backward is as_returned and len(outputs) < 2:
        raise TypeError(
            f"gradcheck: {_returning(code)} returns one thing; expected its value and its gradients"
        )
    names = returned_names(code.forward)
    names = names if isinstance(names, list) else [names]
    names = [name if isinstance(name, str) else None for name in names]
    shapes = {np.shape(leaf.value) for leaf in code.leaves}
    errors, working = [], []
    for call, sure in calls(parameters_of(code.backward), code.names, outputs, names):
        result = code.run(here)
        dys = upstream(call, result.outputs, np.random.default_rng([code.seed, 7]))
        try:
            with warnings.catch_warnings():
                if not sure:
                    warnings.simplefilter("ignore")
                gradients = code.gradients(call, dys, result)
        except Exception as error:  # backward takes something else, or fails by itself
            if sure:
                raise
            errors.append(error)
            continue
        found = (call, dys, result, gradients)
        if sure or code.held or any(np.shape(array) in shapes for _, array in gradients[0]):
            return found
        working.append(found)
    if working:
        return working[0]
    if errors:
        raise errors[0]
    raise TypeError(
        f"gradcheck: it is not clear what {_label(code.backward)} takes; expected (dout, cache), "
        "(cache, dout), (dout, and what forward takes), or the like"
    )


def upstream(call, outputs, rng):
    """A random gradient with respect to each output that a call passes one of, at least one."""
    count = max(1, sum(role[0] == "dy" for role in call))
    return [rng.standard_normal(np.shape(output)) for output in outputs[:count]]


def _places(code, call, order, gradients, dys):
    """{place of a leaf: place of its gradient among those returned, or None if it is left}."""
    returned, left = gradients
    arrays, leaves = [array for _, array in returned], code.leaves
    names = [leaf.name for leaf in leaves]
    if order is not None:
        return dict.fromkeys(left) | in_order(order, returned, names)
    gradient_names = named(returned, _gradient_names(code))
    first = [i for i, leaf in enumerate(leaves) if i < code.count and len(leaf.path) == 1]
    first = [i for i in first if is_float(leaves[i].value)]

    def agrees(i, gradient):
        return _agrees(code, call, dys, i, gradient)

    if _is_gradient_of_first(code, call, arrays) and first:
        return {first[0]: 0}
    free = {i: leaf for i, leaf in enumerate(leaves) if i not in left}
    places, how = matched(arrays, gradient_names, free, first, agrees)
    if places and len(free) > 1:
        shown = ", ".join(names[i] for i in sorted(places, key=places.get))
        several = "gradients" if len(places) > 1 else "gradient"
        code.note(f"{_returning(code)} returns the {several} of {shown} (found {how})")
    return dict.fromkeys(left) | places


def _is_gradient_of_first(code, call, arrays):
    """Whether backward takes what a scalar forward takes, and returns one gradient: of the first.

    So scipy.optimize has it: f(x, *args) and grad(x, *args).
    """
    same = call == [("argument", i) for i in range(len(code.arguments))]
    return same and code.owner is None and len(arrays) == 1


def _agrees(code, call, dys, place, gradient):
    """Whether central differences say that a gradient is that of a leaf."""
    here = code.here()
    direction = np.random.default_rng([code.seed, 8]).standard_normal(here[place].shape)

    def loss(step):
        outputs = code.run(here | {place: here[place] + step * direction}).outputs
        return sum((dy * output).sum() for dy, output in zip(dys, outputs, strict=False))

    slope = (loss(STEP) - loss(-STEP)) / (2 * STEP)
    scaled = scaled_by(gradient, dys, call)
    written = (scaled * direction).sum()
    return bool(abs(slope - written) <= 1e-4 * max(abs(slope), abs(written)) + 1e-9)
