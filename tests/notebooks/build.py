"""Run notebooks from the top and write them, outputs included: demos/notebooks/ -> demos/."""

import argparse
import tempfile
import time

from tests.notebooks.notebooks import NAMES, committed, executed, source, write


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.notebooks.build", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(NAMES)}")
    prose_help = "keep the outputs, as only the text between the cells has changed"
    parser.add_argument("--prose", action="store_true", help=prose_help)
    options = parser.parse_args(argv)
    for name in options.names or NAMES:
        began, notebook = time.perf_counter(), source(name)
        if options.prose:
            keep_outputs(notebook, committed(name))
        else:
            with tempfile.TemporaryDirectory() as folder:
                executed(notebook, folder)
        write(notebook, name)
        print(f"demos/{name}.ipynb: {time.perf_counter() - began:.0f} s")


def keep_outputs(notebook, before):
    """Give each code cell the outputs that the same cell has in the notebook before."""
    cells, old = (
        [cell for cell in cells if cell.cell_type == "code"]
        for cells in (notebook.cells, before.cells)
    )
    if [cell.source for cell in cells] != [cell.source for cell in old]:
        raise SystemExit("the code has changed, so the notebook has to run: leave out --prose")
    for cell, other in zip(cells, old, strict=True):
        cell.outputs, cell.execution_count = other.outputs, other.execution_count


if __name__ == "__main__":
    main()
