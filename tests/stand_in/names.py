"""What the real CuPy has, written down for the stand-in: `python -m tests.stand_in.names`.

It runs where CuPy is installed, with a GPU or without, and writes names.json: names and
signatures only.
"""

import inspect
import json
import re
from pathlib import Path

PATH = Path(__file__).with_suffix(".json")


def names():
    """Return all that the file holds, from the CuPy that is installed.

    version     CuPy's
    constants   names of the module that are NumPy's own objects, such as float32
    ufuncs      {name: [the name in its messages, inputs, outputs]}
    functions   {name: signature, or "" where it has none to read}, of what else can be called
    others      the other names of the module
    methods     {name: signature} of the array
    attributes  the other names of the array
    """
    import cupy
    import numpy as np

    found = {key: {} for key in ("ufuncs", "functions", "methods")}
    found |= {key: [] for key in ("constants", "others", "attributes")}
    for name in sorted(set(dir(cupy)) - {"annotations"}):
        value = getattr(cupy, name)
        if name.startswith("_"):
            continue
        if value is getattr(np, name, cupy):
            found["constants"].append(name)
        elif isinstance(value, cupy.ufunc):
            found["ufuncs"][name] = [value.name, value.nin, value.nout]
        elif callable(value) and not isinstance(value, type):
            found["functions"][name] = signature_of(value)
        else:
            found["others"].append(name)
    for name in sorted(dir(cupy.ndarray)):
        value = getattr(cupy.ndarray, name)
        if not name.startswith("_") and callable(value):
            found["methods"][name] = signature_of(value)
        elif not re.fullmatch("_.*[^_]", name):
            found["attributes"].append(name)
    return {"version": cupy.__version__, **found}


def signature_of(function):
    """Return "(a, axis=None, *, dtype=None)"; Cython's methods have it in their docstrings."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        line = (function.__doc__ or "").partition("\n")[0]
        arguments = re.match(r"\w+\.\w+(\(.*\))", line)
        return (
            re.sub(r"(?<=[(,] )\w+ (?=\w)|(?<=\()\w+ (?=\w)", "", arguments[1]) if arguments else ""
        )
    plain = []
    for parameter in parameters:
        default = parameter.default
        if isinstance(default, type) and default is not parameter.empty:
            default = Name(default.__name__)  # float, not <class 'float'>
        plain.append(parameter.replace(annotation=parameter.empty, default=default))
    return str(inspect.Signature(plain))


class Name(str):
    __repr__ = str.__str__


if __name__ == "__main__":
    PATH.write_text(json.dumps(names(), indent=1) + "\n", encoding="utf-8")
