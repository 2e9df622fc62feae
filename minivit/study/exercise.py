"""An exercise for each layer: its source with an empty backward, and what grades the answer."""

import ast
import contextlib
import inspect
import runpy
import textwrap
import traceback
from pathlib import Path

import numpy as np

from ..checks.gradcheck import gradcheck
from ..checks.inside import backward_of, forward_of, sublayers
from ..checks.numeric import random_params
from ..checks.suite import CASES

NONE = ("identity", "sinusoids_1d", "sinusoids_2d", "cross_entropy", "vit")  # nothing to write
EXERCISES = [name for name in CASES if name not in NONE]


class NotRight(Exception):
    """What keeps an answer from being right, in words for the one who wrote it."""


def exercise(name, command):
    """Return the text of a file for the exercise: the layer's source with an empty backward.

    What the class says of its backward is cut from its docstring; `command` grades the file.
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
    return f'"""{_instructions(solved.__name__, command)}"""\n\n' + "\n".join(parts) + "\n"


def _instructions(layer, command):
    return textwrap.dedent(f"""\
        Exercise: write the backward of {layer}.

            {command}

        grades this file as often as you like: it compares what you return and what you add to
        `grads` with numerical derivatives, number by number, and says what most likely is wrong.

        `dy` is dLoss/dy, of y's shape. Return dx = dLoss/dx, of x's shape, a new array. Add the
        gradient of each parameter to its array in `grads`, with +=. Take from `cache` what the
        forward kept; you may keep more. Leave dy, params and cache as they are.
        """)


def _emptied(node, lines, name):
    """The lines of the class with its backward to be written, and the solution not told."""
    (backward,) = [item for item in node.body if getattr(item, "name", "") == "backward"]
    docstring = node.body[0]
    told = "\n".join(lines[docstring.lineno - 1 : docstring.end_lineno])
    blocks = told.removesuffix('"""').rstrip().split("\n\n")
    last = next(i for i, block in enumerate(blocks) if block.lstrip().startswith("Params"))
    kept = [line for block in blocks[: last + 1] for line in [*block.split("\n"), ""]]
    kept[-1] = '    """'
    start = node.lineno - 1
    return [
        *lines[start : docstring.lineno - 1],
        *kept,
        *lines[docstring.end_lineno : backward.lineno],
        *_hints(name),
        *lines[backward.end_lineno : node.end_lineno],
    ]


def _hints(name):
    """The body of the empty backward: what there is, and of which shape."""
    layer, params, x = _drawn(name)
    y, cache = forward_of(layer, 0)(params, x)
    kept = [f"{key} {value.shape}" for key, value in cache.items() if hasattr(value, "dtype")]
    kept += [f"{key} (for its backward)" for key, value in cache.items() if isinstance(value, dict)]
    added = [f'grads["{"][".join(key.split("."))}"] {leaf.shape}' for key, leaf in params.named()]
    added = [text.replace("][", '"]["') for text in added]
    sublayer = [key for key in params.nest if isinstance(params[key], dict)]
    if sublayer:
        added = [f'grads["{key}"] (for its backward)' for key in sublayer]
    said = {"dy": [str(y.shape)], "cache": kept, "add to": added, "return dx": [str(x.shape)]}
    hints = [f"{key:10} {', '.join(what)}" for key, what in said.items() if what]
    width = dict(width=84, subsequent_indent=" " * 11)
    folded = [line for hint in hints for line in textwrap.wrap(hint, **width)]
    return [
        "        # In the check that grades you:",
        *(f"        #   {line}" for line in folded),
        f'        raise NotImplementedError("write the backward of {type(layer).__name__} here")',
    ]


def _drawn(name):
    """A layer of the engine, random parameters and an input, in float64."""
    make, shape, _ = CASES[name]
    rng, layer = np.random.default_rng(0), make()
    return layer, random_params(layer, rng), rng.standard_normal(shape)


def load_answer(path, name):
    """Return the learner's class from a file; NotRight if it cannot be run."""
    wanted = CASES[name].make.func.__name__
    try:
        found = runpy.run_path(str(path)).get(wanted)
    except Exception as error:
        raise NotRight(_where(error, path)) from error
    if not isinstance(found, type):
        raise NotRight(f"{path} has no class {wanted}; take the file's text as it was written")
    return found


def grade(answer, path, name):
    """Grade a learner's class; return (Report, None), or (None or Report, what is not right)."""
    make, shape, _ = CASES[name]
    layer, params, x = _drawn(name)
    try:
        mine = answer(*make.args, **make.keywords)
        if vars(mine).keys() != vars(layer).keys():
            return None, "__init__ keeps other things on self than before: put it back as it was"
        expected, _ = forward_of(layer, 0)(params, x)
        y, _ = forward_of(mine, 0)(params, x)
        if y.shape != expected.shape or not np.allclose(y, expected, rtol=1e-9):
            return None, "the forward gives other numbers than before: put it back as it was"
        report = gradcheck(mine, x)
        if not report.ok:
            return report, "see above"
        for seed, other_shape in enumerate(_other_shapes(layer, params, shape), 1):
            other_x = np.random.default_rng(seed).standard_normal(other_shape)
            other = gradcheck(mine, other_x, seed=seed)
            if not other.ok:
                return other, f"right for x of shape {shape}, wrong for another of {other_shape}"
        return report, _other_dtype(mine, params, x)
    except Exception as error:
        return None, _where(error, path)


def _other_shapes(layer, params, shape):
    """Shapes of other inputs: the same again, more images, and more tokens if the layer can."""
    shapes = [shape, (shape[0] + 2, *shape[1:]), (shape[0], shape[1] + 3, *shape[2:])]
    for other in shapes:
        with contextlib.suppress(ValueError):
            forward_of(layer, 0)(params, np.zeros(other))
            yield other


def _other_dtype(layer, params, x):
    """What is wrong in float32, in which models train; or None."""
    small, grads = params.astype(np.float32), params.astype(np.float32).zero()
    y, cache = forward_of(layer, 0)(small, x.astype(np.float32))
    dx = backward_of(layer)(small, np.ones_like(y), cache, grads)
    if dx.dtype != np.float32:
        return (
            f"for float32 numbers dx is {dx.dtype}: an array made without a dtype (np.zeros, "
            "np.ones) or a NumPy number has made it so, and training would be slow"
        )


def _where(error, path):
    """The error and the last line of the learner's own file that led to it."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"line {error.lineno} is no Python: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == Path(path).resolve()]
    place = f"line {own[-1].lineno}, `{own[-1].line}`: " if own else ""
    return f"{place}{error if kind == 'NotImplementedError' else f'{kind}: {error}'}"


def put_into(model, answer):
    """Make every layer of the model that has the answer's name one of the learner's; count them."""
    count = 0
    for _, sub in sublayers(model):
        if type(sub).__name__ == answer.__name__:
            sub.__class__ = answer
            count += 1
        count += put_into(sub, answer)
    return count
