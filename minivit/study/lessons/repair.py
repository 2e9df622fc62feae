"""Exercises in repair: a layer's source with a bug of the catalogue, and the report that it gives.

They are the engine's own lines, and are graded as the exercises to write are.
"""

import inspect
import textwrap

from ...checks.faults import changed, faults, function_at, planted
from ...checks.suite import CHECKS
from .exercise import file_text, solved

BUGS = {  # the exercise with the same class: the bug
    "linear": "bias_averaged", "gelu": "gelu_cubic_factor",
    "softmax": "softmax_average_over_wrong_axis", "layernorm": "layernorm_w_outside",
    "attention": "keys_not_transposed", "dropout": "dropout_scaled_by_the_rate",
    "block": "dropout_skipped_on_the_way_back", "patches": "patches_joined_by_reshape",
    "positions": "positions_of_one_image", "layer_scale": "layer_scale_without_x",
    "mean_pool": "mean_not_divided", "pre_logits": "pre_logits_slope_without_square",
    "adam": "adam_t_stands_still",
}  # fmt: skip
REPAIRS = {f"repair_{name}": faults()[bug] for name, bug in BUGS.items() if bug in faults()}


def exercise_of(name):
    """The exercise whose layer a repair is about; of any other exercise, itself."""
    return name.removeprefix("repair_")


def repair(name, command):
    """Return the text of an exercise's file: a layer with a bug. `command` grades the file."""
    fault = REPAIRS[name]
    with planted(fault):
        report = str(CHECKS[fault.check]())
    functions = {function_at(place): diff for place, diff in fault.change.items()}
    module = inspect.getmodule(next(iter(functions)))
    lines = inspect.getsource(module).splitlines()
    for function, diff in functions.items():
        source, start = inspect.getsourcelines(function)
        bad = changed(textwrap.dedent("".join(source)), diff, fault.name)
        indent = " " * (len(source[0]) - len(source[0].lstrip()))
        lines[start - 1 : start - 1 + len(source)] = textwrap.indent(bad, indent).splitlines()
    kind = solved(exercise_of(name)).__name__
    folded = "\n".join(textwrap.fill(line, 96, subsequent_indent="  ") for line in _text(report))
    docstring = (
        f"Exercise: repair {kind}.\n\n    {command}\n\ngrades this file, as often as you like. One "
        f"of its functions has a bug. This is what the checker says:\n\n{folded}\n"
    )
    return file_text(docstring, module.__name__, "\n".join(lines) + "\n", kind)


def _text(report):
    return [line.replace("\\", "\\\\").rstrip() for line in report.splitlines()]


def hints_of(name):
    """Three hints: the place, what the bug is, the right lines."""
    fault = REPAIRS[name]
    places = " and ".join(place.rpartition(".")[2] for place in fault.change)
    removed = [
        line[1:] for diff in fault.change.values() for line in diff.splitlines() if line[:1] == "-"
    ]
    return [f"It is in {places}.", fault.bug, "The right lines are: " + "; ".join(removed)]
