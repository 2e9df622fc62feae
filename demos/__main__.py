"""List the demos, or run the one that is named."""

import ast
import importlib
import sys
from pathlib import Path

from .options import command, status, unknown

HERE = Path(__file__).parent


def main(argv=None):
    return status("minivit", run, sys.argv[1:] if argv is None else argv)


def run(argv):
    if not argv or argv[0] in ("-h", "--help"):
        print(listing())
        return 0
    name = argv[0].replace("-", "_")
    if name not in demos():
        raise ValueError(unknown(argv[0], demos(), "--help lists all demos"))
    module = f".{name}.__main__" if (HERE / name).is_dir() else f".{name}"
    return importlib.import_module(module, __package__).main(argv[1:])


def listing():
    """All demos, a line each, and how to run one."""
    width = max(map(len, demos())) + 2
    lines = [f"{name:<{width}}{summary}" for name, summary in demos().items()]
    return "\n".join([*lines, "", f"The options of one: {command('explore', '--help')}"])


def demos():
    """The name of each demo and the first line of its docstring; no demo is imported."""
    summaries = {}
    for path in sorted([*HERE.glob("*.py"), *HERE.glob("*/__main__.py")]):
        module = ast.parse(path.read_text(encoding="utf-8"))
        has_main = any(getattr(node, "name", "") == "main" for node in module.body)
        if has_main and path != Path(__file__):  # the others help the demos
            name = path.stem if path.parent == HERE else path.parent.name
            summaries[name] = ast.get_docstring(module).partition("\n")[0]
    return dict(sorted(summaries.items()))


if __name__ == "__main__":
    sys.exit(main())
