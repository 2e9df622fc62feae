"""Read code of other people from a folder, without leaving its modules behind."""

import ast
import contextlib
import importlib
import json
import sys
import types
from pathlib import Path

import numpy as np


class Source:
    """A repository in a folder, by the names of its files."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()

    def module(self, name, inside="."):
        """Import a module with a folder of the repository first on the path."""
        with _alone(self.folder / inside):
            return importlib.import_module(name)

    def definitions(self, file):
        """The imports, classes, functions and constants of a file, and nothing that it runs.

        file: a script that trains when it is imported, or a notebook
        """
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
            text = "\n".join("".join(cell["source"]) for cell in cells)
        tree = ast.parse(text)
        tree.body = [node for node in tree.body if _defines(node)]
        module = types.ModuleType(path.stem)
        module.__file__ = str(path)
        exec(compile(tree, str(path), "exec"), module.__dict__)
        return module


def _defines(node):
    kinds = ast.Import | ast.ImportFrom | ast.ClassDef | ast.FunctionDef
    constant = isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    return isinstance(node, kinds) or (constant and isinstance(node.targets[0], ast.Name))


@contextlib.contextmanager
def stand_ins():
    """While this lasts, NumPy stands in for CuPy, and nothing is compiled or checked by types."""
    cupy = types.ModuleType("cupy")
    cupy.__dict__.update({k: v for k, v in vars(np).items() if not k.startswith("__")})
    substitutes = {
        "cupy": cupy,
        "cupyx": _module("cupyx", rsqrt=lambda x: 1 / np.sqrt(x)),
        "numba": _module("numba", njit=lambda function: function),
        "jaxtyping": _module("jaxtyping", Float=dict),  # Float[Tensor, "n d"]
    }
    before = {name: sys.modules.get(name) for name in substitutes}
    sys.modules.update(substitutes)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module:
                sys.modules[name] = module


def _module(name, **contents):
    module = types.ModuleType(name)
    module.__dict__.update(contents)
    return module


@contextlib.contextmanager
def _alone(folder):
    """While this lasts, the folder is first on the path; afterwards its modules are forgotten."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        new = set(sys.modules) - before
        for name in [name for name in new if _is_from(folder, sys.modules[name])]:
            del sys.modules[name]


def _is_from(folder, module):
    paths = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
    return any(path.startswith(str(folder)) for path in paths)
