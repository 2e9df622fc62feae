"""An exercise for each layer: its source with an empty backward, which grading.py grades."""

import ast
import inspect
import textwrap

import numpy as np

from ...checks.inside import forward_of, sublayers
from ...checks.numeric import random_params
from ...checks.suite import CASES

NONE = (  # nothing to write, or nothing new
    "identity", "scaled_block", "sinusoids_1d", "sinusoids_2d", "cross_entropy", "cnn", "vit",
)  # fmt: skip
EXERCISES = [name for name in CASES if name not in NONE]


def exercise(name, command):
    """Return the text of an exercise's file: the source of a layer with an empty backward.

    What the class's docstring says about its backward is cut. `command` is the one that grades the
    file.
    """
    solved = CASES[name].make.func
    module = inspect.getmodule(solved)
    source = inspect.getsource(module)
    lines, parts = source.splitlines(), []
    for node in ast.parse(source).body[1:]:  # without the docstring
        if isinstance(node, ast.ImportFrom) and node.level:
            above = module.__name__.split(".")[: -node.level]
            node.module, node.level = ".".join([*above, node.module]), 0
            parts.append(ast.unparse(node))
        elif isinstance(node, ast.ClassDef) and node.name == solved.__name__:
            parts.append("\n\n" + "\n".join(_emptied(node, lines, name)))
        elif not isinstance(node, ast.ClassDef):
            gap = "\n\n" if isinstance(node, ast.FunctionDef) else ""
            parts.append(gap + "\n".join(lines[node.lineno - 1 : node.end_lineno]))
    if "import numpy as np" not in parts:
        parts.insert(0, "import numpy as np")
    return f'"""{_instructions(name, command)}"""\n\n' + "\n".join(parts) + "\n"


def _instructions(name, command):
    layer, params, _ = example(name)
    kind, has_params = type(layer).__name__, params.flat.size > 0
    check = (
        "grades this file, as often as you like. It compares your gradients with numerical "
        "derivatives, number by number, and names the most likely mistake."
    )
    add = ["Add the gradient of each parameter to its array in `grads`, with +=."]
    task = [
        "`dy` is dLoss/dy, of y's shape. Return dx = dLoss/dx, of x's shape, a new array.",
        *(add if has_params else []),
        "`cache` holds what the forward stored; you may store more.",
        f"Leave dy{', params' if has_params else ''} and cache as they are.",
        f"Write the formulas yourself: calling minivit's own {kind} does not count.",
    ]
    paragraphs = [textwrap.fill(text, 96) for text in (check, " ".join(task))]
    title = f"Exercise: write the backward of {kind}."
    return "\n\n".join([title, f"    {command}", *paragraphs]) + "\n"


def _emptied(node, lines, name):
    """The lines of the class, with hints in place of its backward and without its formulas."""
    (backward,) = [item for item in node.body if getattr(item, "name", "") == "backward"]
    docstring = node.body[0]
    text = "\n".join(lines[docstring.lineno - 1 : docstring.end_lineno])
    paragraphs = text.removesuffix('"""').rstrip().split("\n\n")
    last = next(i for i, text in enumerate(paragraphs) if text.lstrip().startswith("Params"))
    start = node.lineno - 1
    return [
        *lines[start : docstring.lineno - 1],
        *"\n\n".join(paragraphs[: last + 1]).split("\n"),
        '    """',
        *lines[docstring.end_lineno : backward.lineno],
        *_hints(name),
        *lines[backward.end_lineno : node.end_lineno],
    ]


def _hints(name):
    """The body of the empty backward: the arrays at hand and their shapes."""
    layer, params, x = example(name)
    y, cache = forward_of(layer, 0)(params, x)
    stored = [f"{key} {value.shape}" for key, value in cache.items() if hasattr(value, "dtype")]
    stored += [f"{key} (a sublayer's)" for key, value in cache.items() if isinstance(value, dict)]
    added = [
        f'grads["{key}"] ' + ("(a sublayer's)" if isinstance(nest, dict) else str(nest.shape))
        for key, nest in params.nest.items()
    ]
    at_hand = {"dy": [str(y.shape)], "cache": stored, "add to": added, "return dx": [str(x.shape)]}
    hints = [f"{key:10} {', '.join(arrays)}" for key, arrays in at_hand.items() if arrays]
    width = dict(width=84, subsequent_indent=" " * 11)
    folded = [line for hint in hints for line in textwrap.wrap(hint, **width)]
    return [
        "        # The first check has these shapes:",
        *(f"        #   {line}" for line in folded),
        f'        raise NotImplementedError("write the backward of {type(layer).__name__} here")',
    ]


def example(name):
    """A layer of the engine, random parameters and an input, in float64."""
    make, shape, _ = CASES[name]
    rng, layer = np.random.default_rng(0), make()
    return layer, random_params(layer, rng), rng.standard_normal(shape)


def put_into(model, answer):
    """Turn every layer of the model with the answer's name into the answer's class; count them."""
    count = 0
    for _, sub in sublayers(model):
        if type(sub).__name__ == answer.__name__:
            sub.__class__ = answer
            count += 1
        count += put_into(sub, answer)
    return count
