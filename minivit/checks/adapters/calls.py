"""What a backward takes: the upstream gradient, what forward took, what forward returned.

A call is a list of roles, one for each argument of backward:

    ("dy", k)        the gradient with respect to forward's output k
    ("argument", i)  what forward took as its argument i
    ("output", j)    what forward returned as its output j, such as a cache
    ("item", j, m)   number m of what is in output j
    ("outputs", j)   all outputs from j on, as one tuple
    ("arguments",)   all that forward took, as one tuple
    ("rest", j)      several arguments: outputs from j on or, if that is one tuple, what is in it
"""

import numpy as np

from .source import is_upstream

OUTPUTS = {"y", "out", "output", "o", "result", "y_hat", "activation"}  # names of what is returned


def calls(parameters, arguments, outputs, output_names):
    """Yield (call, whether its names say so), the likeliest first.

    parameters: of backward, as `source.parameters_of` has them
    arguments: the names of forward's
    outputs: what forward returned, a list; output_names: their names, or None
    """
    if parameters is None:  # a function whose signature nobody knows
        scalar = np.size(outputs[0]) == 1
        guess = arguments if scalar else ["dout", "cache"][: len(outputs)]
        parameters = [(name, True, False) for name in guess]
    roles = list(_named_roles(parameters, arguments, outputs, output_names))
    open_places = [place for place, role in enumerate(roles) if role is None]
    if ("dy", 0) in roles or np.size(outputs[0]) == 1 or not open_places:
        yield from _filled(roles, open_places, arguments, outputs)
    if ("dy", 0) not in roles:
        for place in open_places[:1] + open_places[:0:-1]:
            chosen = [("dy", 0) if i == place else role for i, role in enumerate(roles)]
            others = [each for each in open_places if each != place]
            yield from _filled(chosen, others, arguments, outputs)


def _named_roles(parameters, arguments, outputs, output_names):
    dys = 0
    arrays = [isinstance(each, np.ndarray) or np.isscalar(each) for each in outputs]
    for name, required, several in parameters:
        if several:
            yield ("rest", max(dys, 1))
        elif name in arguments:
            yield ("argument", arguments.index(name))
        elif name in (output_names or []):
            yield ("output", output_names.index(name))
        elif is_upstream(name) and all(arrays[: dys + 1]) and dys < len(arrays):
            yield ("dy", dys)
            dys += 1
        elif name in OUTPUTS and required:
            yield ("output", 0)
        elif required:
            yield None


def _filled(roles, open_places, arguments, outputs):
    """Yield (call, sure) with something in each of the open places."""
    if not open_places:
        yield roles, True
        return
    count = len(open_places)
    first = max(1, sum(role[0] == "dy" for role in roles if role))
    rest = [("output", j) for j in range(first, len(outputs)) if ("output", j) not in roles]
    taken = [("argument", i) for i in range(len(arguments)) if ("argument", i) not in roles]
    choices = [rest]
    if rest:
        choices.append([("outputs", first)] if len(rest) > 1 else _items(rest[0][1], outputs))
        choices += [rest[-1:], rest[:1]]
    choices += [taken, taken + rest, rest + taken, taken[:count], [("arguments",)], [("output", 0)]]
    for choice in choices:
        if len(choice) == count:
            filling = dict(zip(open_places, choice, strict=True))
            yield [filling.get(i, role) for i, role in enumerate(roles)], False


def _items(place, outputs):
    output = outputs[place]
    count = len(output) if isinstance(output, (tuple, list)) else 0
    return [("item", place, m) for m in range(count)]


def bound(call, dys, arguments, outputs):
    """The arguments for backward that a call stands for."""
    result = []
    for kind, *places in call:
        if kind == "dy":
            result.append(dys[places[0]])
        elif kind == "argument":
            result.append(arguments[places[0]])
        elif kind == "output":
            result.append(outputs[places[0]])
        elif kind == "item":
            result.append(outputs[places[0]][places[1]])
        elif kind == "outputs":
            result.append(tuple(outputs[places[0] :]))
        elif kind == "arguments":
            result.append(tuple(arguments))
        else:
            rest = outputs[places[0] :] or list(arguments)
            one = len(rest) == 1 and isinstance(rest[0], (tuple, list))
            result += rest[0] if one else rest
    return result
