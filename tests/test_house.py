"""The order of the house: imports point down only, and the engine imports NumPy alone."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [  # from the ground up; a module imports from its own floor's folder and from below
    ["minivit.backend"],
    ["minivit.files"],
    ["minivit.checksums"],
    ["minivit.html"],
    ["minivit.params"],
    ["minivit.data"],
    ["minivit.layers"],
    ["minivit.losses", "minivit.optim"],
    ["minivit.models"],
    ["minivit.classifier"],
    ["minivit.finder", "minivit.transcriber", "minivit.pretrainer"],
    ["minivit.pretrained"],
    ["minivit.threads"],
    ["minivit.training"],
    ["minivit.checks"],
    ["minivit.study"],
    ["demos"],
]
ENGINE = ["backend", "files", "html", "params", "layers", "losses", "optim", "models"]
LATE = [  # what the engine imports only when a function needs it
    ("minivit.backend", "cupy"), ("minivit.backend", "cupyx"), ("minivit.backend", "scipy"),
    ("minivit.files", "safetensors"), ("minivit.files", "filelock"),
]  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MODULES = sorted(path for top in ("minivit", "demos") for path in (ROOT / top).rglob("*.py"))


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def part_of(path):
    """The folder or file right below minivit or demos that a module is in."""
    return [*name_of(path).split("."), ""][1]


def floor_of(module):
    for number, names in enumerate(FLOORS):
        for name in names:
            if f"{module}.".startswith(f"{name}."):
                return number, name
    raise AssertionError(f"{module} has no place in the house; give it one in FLOORS")


def nodes_of(tree, skip):
    """All nodes below a node, without those of the kinds in `skip` and what is in them."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, skip):
            yield node
            yield from nodes_of(node, skip)


def imports_of(path, skip=()):
    """Absolute names of all modules that the file imports, except inside nodes of `skip`."""
    package = (
        name_of(path).split(".") if path.name == "__init__.py" else name_of(path).split(".")[:-1]
    )
    for node in nodes_of(ast.parse(path.read_text(encoding="utf-8")), skip):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (".".join([*base, module]) for module in modules)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down_only(path):
    # minivit itself hands names on from all floors
    floor, place = (99, "") if name_of(path) == "minivit" else floor_of(name_of(path))
    for imported in imports_of(path):
        if imported.split(".")[0] in ("minivit", "demos") and imported != "minivit":
            target_floor, target = floor_of(imported)
            assert target_floor < floor or target == place, f"{name_of(path)} imports {imported}"
        if imported == "minivit":
            assert place == "demos", f"{name_of(path)} imports the package that imports it"


def test_the_contributing_page_has_the_same_floors_in_the_same_order():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for name in [name.removeprefix("minivit.") for names in FLOORS for name in names]:
        while rows and not re.match(rf"\| [^|]*`{name}(/|\.py)`", rows[-1]):
            rows.pop()
        assert rows, f"CONTRIBUTING.md does not have {name} where FLOORS has it"


@pytest.mark.parametrize("path", [p for p in MODULES if part_of(p) in ENGINE], ids=name_of)
def test_the_engine_imports_numpy_alone(path):
    for imported in imports_of(path):
        top, part = [*imported.split("."), ""][:2]
        allowed = part in ENGINE if top == "minivit" else top == "numpy"
        late = imported not in imports_of(path, skip=FUNCTIONS)
        allowed |= late and (name_of(path), top) in LATE
        assert allowed or top in sys.stdlib_module_names, imported


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_product_file_imports_what_is_there_for_tests(path):
    tops = {imported.partition(".")[0] for imported in imports_of(path)}
    assert tops.isdisjoint(["tests", "unittest", "pytest", "hypothesis"])


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_backend_names_cupy(path):
    if name_of(path) != "minivit.backend":
        assert "cupy" not in path.read_text(encoding="utf-8").lower()


def test_importing_minivit_loads_nothing_but_numpy():
    code = (
        "import sys, numpy.typing; before = set(sys.modules); import minivit; "
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} "
        "- sys.stdlib_module_names))"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert printed.stdout.strip() == "['minivit']"
