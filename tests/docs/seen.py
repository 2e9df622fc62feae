"""The values that every name of the engine takes while a page's example runs."""

import contextlib
import io
import sys
from collections import defaultdict

import numpy as np

ENGINE = ("minivit.layers", "minivit.losses", "minivit.models")
NUMBERS = (np.ndarray, np.floating, float, int)


def run_example(code, filename):
    """Run the code of a page: its names, what it prints, and {name: [every value it took]}.

    Values are those of the example's own names, and of all names in the functions that it calls:
    those of a layer, but not of the layer's layers, whose x and y are others.
    """
    names, seen, printed = {}, defaultdict(list), io.StringIO()

    def follow_calls(frame, *_):
        by_the_page = frame.f_back and frame.f_back.f_code.co_filename == filename
        if by_the_page and frame.f_globals.get("__name__", "").startswith(ENGINE):
            return follow_lines

    def follow_lines(frame, *_):
        """Copy every number that the line just run has changed, in place or by assignment."""
        for name, value in frame.f_locals.items():
            if isinstance(value, NUMBERS):
                values = seen[name]
                if not values or not np.array_equal(values[-1], value, equal_nan=True):
                    values.append(np.array(value))
        return follow_lines

    before = sys.gettrace()
    sys.settrace(follow_calls)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, filename, "exec"), names)
    finally:
        sys.settrace(before)
    for name, value in names.items():
        if isinstance(value, NUMBERS):
            seen[name] = [value]  # the page's dx is the one that the layer returned
    return names, printed.getvalue(), dict(seen)
