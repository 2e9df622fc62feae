"""Objects that keep their parameters, their gradients and what backward needs on themselves."""

import contextlib
import sys

import numpy as np

from .code import Code, Held
from .fitting import adapted_code, first_call
from .nests import get, is_float, leaves, objects, parts_of
from .source import namesake, plain
from .state import copied

FORWARDS = ("forward", "fwd", "fprop", "forward_pass", "__call__")
BACKWARDS = ("backward", "backprop", "bprop", "bwd", "back_prop", "backward_pass", "back")
VALUE = {"data", "value", "val", "array"}  # of an object that is a parameter
GRADIENT = {"grad", "gradient", "g", "diff", "dparam", "dweight"}  # of it, or of several
SEVERAL = {"param", "parameter", "weight", "value", "theta", "variable"}  # dicts or lists


def methods_of(layer):
    """(forward, backward) by the names that people give them, each None if it has none."""
    return tuple(
        next((getattr(layer, name) for name in names if callable(getattr(layer, name, None))), None)
        for names in (FORWARDS, BACKWARDS)
    )


def adapted_object(layer, forward, backward, arguments, order, seed):
    """Return the Adapted of an object with two methods; its notes say what was found on it."""
    held = tuple(_held(Code(forward, backward, arguments, seed, layer)))
    code = Code(forward, backward, arguments, seed, layer, held)
    adapted = adapted_code(code, order)
    outer = adapted.forward

    def inside(params, x):
        return _inside(layer, lambda: outer(params, x), seed)

    adapted.inside = inside
    checked = {adapted.names.x, *dict(adapted.params.named())}
    names = {i: leaf.name for i, leaf in enumerate(code.leaves)}
    found = [
        f"{names[code.count + i]} with its gradient {_text(each.gradient)}"
        for i, each in enumerate(held)
        if each.gradient
    ]
    if found:
        adapted.notes.insert(0, f"found on {type(layer).__name__}: {', '.join(found)}")
        _say_how_gradients_are_left(code, names, adapted)
    missing = [i for i in range(code.count, len(names)) if names[i] not in checked]
    missing = [names[i] for i in missing if _matters(code, i)]
    if missing:
        adapted.notes.append(f"no gradient was found of: {', '.join(missing)}")
    code.state.restore()
    return adapted


def _inside(layer, forward, seed):
    """[(name, Adapted)] of the objects inside that have both methods, and take part in a pass."""
    several = {id(sub): (path, sub) for path, sub in objects(layer, lambda s: all(methods_of(s)))}
    codes = {methods_of(sub)[0].__code__ for _, sub in several.values()}
    calls = {}

    def watch(frame, event, _):
        if event == "call" and frame.f_code in codes:
            first, *names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
            if (place := id(frame.f_locals[first])) in several:
                calls.setdefault(place, [copied(frame.f_locals[name]) for name in names])

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        forward()
    finally:
        sys.setprofile(before)
    found = []
    for place, arguments in calls.items():
        path, sub = several[place]
        with contextlib.suppress(TypeError):  # nothing in it is differentiated
            found.append(
                (_text(path), adapted_object(sub, *methods_of(sub), arguments, None, seed))
            )
    return found


def _text(path):
    return ".".join(str(key) for _, key in path)


def _held(code):
    """Yield what an object holds that a pass leaves as it is: parameters, each once."""
    owner = code.owner
    before = {leaf.path: leaf.value for leaf in leaves(owner, objects=True)}
    copies = {path: array.copy() for path, array in before.items()}
    first_call(code)
    now = {leaf.path: leaf.value for leaf in leaves(owner, objects=True)}
    constant = [
        path
        for path, array in before.items()
        if now.get(path) is array and np.array_equal(array, copies[path], equal_nan=True)
    ]
    paths = {}
    for path in constant:
        paths.setdefault(id(before[path]), []).append(path)
    partners = {path: _partner(owner, path, constant) for path in constant}
    gradients = [path for path in partners.values() if path]
    for aliases in paths.values():
        if any(path in gradients for path in aliases):
            continue  # a gradient that is zero
        best = next((path for path in aliases if partners[path]), aliases[0])
        name = best[:-1] if partners[best] and best[-1][1] in VALUE else best
        array = before[best].astype(np.float64)
        yield Held(_text(name), aliases, partners[best], array)
    code.state.restore()


def _partner(owner, path, constant):
    """The path of the gradient of the array at a path, or None."""
    *above, (kind, name) = path
    beside = dict(parts_of(get(owner, above)))
    arrays = {step[1]: step for step, part in beside.items() if _is_number(part)}
    names = [step[1] for step in beside if (*above, step) in constant]
    if kind == "." and plain(str(name)) in VALUE:
        match = [step for key, step in arrays.items() if plain(str(key)) in GRADIENT]
        return (*above, match[0]) if match else None
    if step := _named(name, names, arrays):
        return (*above, step)
    if not above or kind != "[":
        return None
    *higher, (_, group) = above
    for step, part in parts_of(get(owner, higher)):
        grouped = plain(str(group)) in SEVERAL and plain(str(step[1])) in GRADIENT
        if grouped or namesake(str(step[1]), [str(group)], itself=False) is not None:
            inner = {s[1]: s for s, each in parts_of(part) if _is_number(each)}
            match = inner.get(name) or _named(name, names, inner)
            if match:
                return (*higher, step, match)
    arrays = {s[1]: s for s, part in parts_of(get(owner, higher)) if _is_number(part)}
    step = _named(name, names, arrays)  # params["w"] and self.dw
    return (*higher, step) if step else None


def _is_number(value):
    """Whether a value may be a gradient: an array of floats or, if it is wrong, one number."""
    return is_float(value) or isinstance(value, np.floating)


def _named(name, names, steps):
    """The step among {key: step} whose key is called as the gradient of `name` is, or None."""
    texts = [str(each) for each in names]
    for key, step in steps.items():
        place = namesake(str(key), texts, itself=False) if isinstance(key, str) else None
        if place is not None and names[place] == name and key != name:
            return step


def _matters(code, place):
    """Whether the output depends on an array that the owner holds."""
    here = code.here()
    other = here | {place: here[place] + np.random.default_rng(0).standard_normal(1)}
    try:
        y, moved = (np.asarray(code.run(arrays).outputs[0]) for arrays in (here, other))
    except Exception:  # a table that numbers cannot be added to
        return False
    return not np.array_equal(y, moved, equal_nan=True)


def _say_how_gradients_are_left(code, names, adapted):
    """Whether backward assigns the gradients that an object keeps, or adds to them."""
    call, dys, *_ = first_call(code)
    left = []
    for fill in (0.0, 1.5):
        result = code.run(code.here(), fill)
        left.append(code.gradients(call, dys, result)[1])
    how = {"assigns": [], "adds to": []}
    for i, gradient in left[0].items():
        other = left[1][i]
        if gradient is None or other is None or np.shape(gradient) != np.shape(other):
            continue
        for word, added in {"assigns": 0, "adds to": 1.5}.items():
            if np.allclose(gradient + added, other, 1e-9, 1e-9, equal_nan=True):
                how[word].append(names[i])
                break
        else:
            adapted.problems.append(
                f"what backward does to the gradient of {names[i]} depends on what is in it"
            )
    said = [f"{word} those of {', '.join(those)}" for word, those in how.items() if those]
    if said:
        adapted.notes.append(f"gradients that the object keeps: backward {' and '.join(said)}")
