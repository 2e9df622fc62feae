"""An exercise for each layer: its source with an empty backward, which grading.py grades.

Where the engine's source is fast rather than plain, the exercise shows the layer in plain NumPy.
"""

import ast
import inspect
import textwrap
from functools import partial

import numpy as np

from ...checks.cases import CASES, OTHERS, Case, labels_of
from ...checks.inside import forward_of, sublayers
from ...checks.numeric import random_params
from . import plain

NONE = (  # nothing to write, or nothing new
    "identity", "scaled_block", "sinusoids_1d", "sinusoids_2d", "cross_entropy", "reconstruction",
    "giou", "relative_l1", "cnn", "permutation", "masked", "detector", "vit", "masked_attention",
    "rotary", "rotary_attention", "cross_attention", "decoder_block", "post_norm_decoder",
    "causal_block", "embedding", "shared_words", "sequence_loss", "decoder", "reader", "strided",
    "stem",
)  # fmt: skip
PLAIN = {
    "softmax": plain.Softmax, "layernorm": plain.LayerNorm, "attention": plain.Attention,
    "patches": plain.Patches, "cross_entropy": plain.CrossEntropy, "adam": plain.Adam,
}  # fmt: skip
LOSSES = [
    Case(partial(plain.CrossEntropy, labels_of(np.empty(shape)), smoothing), shape)
    for shape, smoothing in (((5, 3), 0.1), ((4, 7), 0.0), ((4000, 50), 0.2))
]
COURSE = (  # the way that a course goes, see docs/teach.md
    "softmax", "cross_entropy", "layernorm", "attention", "block", "dropout", "patches", "adam",
)  # fmt: skip
EXERCISES = [*COURSE, *(name for name in CASES if name not in (*NONE, *COURSE))]


def solved(name):
    """The class that an exercise asks for, as it should be; its source is the exercise's."""
    return PLAIN.get(name) or CASES[name].make.func


def cases(name):
    """The Cases of an exercise; there are none of "adam", which is no layer."""
    if name == "cross_entropy":
        return LOSSES
    if name == "adam":
        return []
    B, *rest = CASES[name].shape
    images = {"attention": 3}.get(name, 4)  # for two, of which 1/B would be ½; no other size is so
    first = CASES[name]._replace(shape=(images, *rest)) if B == 2 else CASES[name]
    return [first, *OTHERS[name]]


def asked(name):
    """The method that is to be written."""
    return "update" if name == "adam" else "backward"


def exercise(name, command):
    """Return the text of an exercise's file: the source of a layer with an empty backward.

    What the class's docstring says about its backward is cut. `command` is the one that grades the
    file.
    """
    module, kind = inspect.getmodule(solved(name)), solved(name).__name__
    body = (_at_hand_of_adam if name == "adam" else _at_hand)(name)
    body.append(f'raise NotImplementedError("write the {asked(name)} of {kind} here")')
    source = emptied(inspect.getsource(module), kind, asked(name), body)
    return file_text(_instructions(name, command), module.__name__, source, kind)


def file_text(docstring, module, source, kind):
    """The text of a file with one class of a module's source, the functions and the imports."""
    lines, parts = source.splitlines(), []
    for node in ast.parse(source).body[1:]:  # without the docstring
        if isinstance(node, ast.ImportFrom) and node.level:
            above = module.split(".")[: -node.level]
            node.module, node.level = ".".join([*above, node.module]), 0
            parts.append(ast.unparse(node))
        elif not isinstance(node, ast.ClassDef) or node.name == kind:
            gap = "\n\n" if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else ""
            parts.append(gap + "\n".join(lines[node.lineno - 1 : node.end_lineno]))
    if "import numpy as np" not in parts:
        parts.insert(0, "import numpy as np")
    return f'"""{docstring}"""\n\n' + "\n".join(parts) + "\n"


def emptied(source, kind, method, body):
    """A module's source in which a method has another body, and its formulas are cut.

    kind: the class; of its docstring, the paragraphs after that on Params are the formulas
    body: lines, not indented
    """
    lines = source.splitlines()
    (node,) = [node for node in ast.parse(source).body if getattr(node, "name", "") == kind]
    (function,) = [item for item in node.body if getattr(item, "name", "") == method]
    docstring = node.body[0]
    text = "\n".join(lines[docstring.lineno - 1 : docstring.end_lineno])
    paragraphs = text.removesuffix('"""').rstrip().split("\n\n")
    starts = [text.lstrip()[:6] for text in paragraphs]
    last = starts.index("Params") if "Params" in starts else len(paragraphs) - 1
    changed = [
        *lines[: docstring.lineno - 1],
        *"\n\n".join(paragraphs[: last + 1]).split("\n"),
        '    """',
        *lines[docstring.end_lineno : function.body[0].lineno - 1],
        *(f"        {line}" for line in body),
        *lines[function.end_lineno :],
    ]
    return "\n".join(changed) + "\n"


def _instructions(name, command):
    kind = solved(name).__name__
    if name == "adam":
        check = "compares the steps of your optimizer with those of the formulas below."
        task = [
            "`p` and `g` are the parameters and their gradients, as one vector each. Change p in "
            "place, with -=, and leave g as it is. Keep m, v and t on self from step to step."
        ]
    else:
        check = (
            "compares your gradients with numerical derivatives, number by number, and names the "
            "most likely mistake."
        )
        task = _task(name, kind)
    check = f"grades this file, as often as you like. It {check}"
    paragraphs = [textwrap.fill(text, 96) for text in (check, " ".join(task))]
    title = f"Exercise: write the {asked(name)} of {kind}."
    return "\n\n".join([title, f"    {command}", *paragraphs]) + "\n"


def _task(name, kind):
    has_params = example(name)[1].flat.size > 0
    add = ["Add the gradient of each parameter to its array in `grads`, with +=."]
    return [
        "`dy` is dLoss/dy, of y's shape. Return dx = dLoss/dx, of x's shape, a new array.",
        *(add if has_params else []),
        "`cache` holds what the forward stored; you may store more.",
        f"Leave dy{', params' if has_params else ''} and cache as they are.",
        f"Write the formulas yourself: calling minivit's own {kind} does not count.",
    ]


def _at_hand(name):
    """The arrays at hand in an empty backward, and their shapes, as comments."""
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
    return ["# The first check has these shapes:", *(f"#   {line}" for line in folded)]


def _at_hand_of_adam(_):
    return [
        "# p, g, self.m and self.v are vectors of the same length; self.t is a number:",
        "#   before the first step, m and v are zero and t is 0",
    ]


def example(name, number=0, seed=0):
    """A layer, random parameters and an input, in float64, of one of the exercise's cases."""
    case = cases(name)[number]
    layer, rng = solved(name)(*case.make.args, **case.make.keywords), np.random.default_rng(seed)
    return layer, random_params(layer, rng), rng.standard_normal(case.shape)


def put_into(model, answer):
    """Turn every layer of the model with the answer's name into the answer's class; count them."""
    count = 0
    for _, sub in sublayers(model):
        if type(sub).__name__ == answer.__name__:
            sub.__class__ = answer
            count += 1
        count += put_into(sub, answer)
    return count
