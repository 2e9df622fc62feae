"""The notebooks of demos/: read, run, shortened and made ready to be committed.

demos/NAME.ipynb is paired with demos/notebooks/NAME.py (jupytext). Edit the second, then run
`python -m tests.notebooks.build NAME`. The cell with the tag "parameters" says how long it takes.
"""

import re
import shutil
from pathlib import Path

import jupytext
import nbformat

from minivit.files import write_file

ROOT = Path(__file__).parent.parent.parent
DEMOS = ROOT / "demos"
NAMES = ["vision_transformer", "gradients", "attention", "own_images"]
SECONDS = 1200  # until a notebook that is still running is stopped; it should need half of that
WIDGET = "application/vnd.jupyter.widget-view+json"
SHORT = {  # what a "parameters" cell says instead, for a quick run
    "vision_transformer": dict(EPOCHS=1, IMAGES=600, JUDGES=200, STEPS={40: 3}, SEEDS=1),
    "attention": dict(IMAGES=2_000),
    "own_images": dict(EPOCHS=2),
}


def source(name):
    """The notebook of demos/notebooks/NAME.py, without outputs."""
    return jupytext.read(DEMOS / "notebooks" / f"{name}.py")


def committed(name):
    """The notebook of demos/NAME.ipynb, with its outputs."""
    return nbformat.read(DEMOS / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tagged(cell, tag):
    return tag in cell.metadata.get("tags", [])


def shortened(name):
    """The notebook without outputs, with numbers in its "parameters" cell that make it short."""
    notebook = source(name)
    for cell in notebook.cells:
        if tagged(cell, "parameters"):
            for variable, value in SHORT[name].items():
                line = re.compile(rf"^{variable} = [^#\n]*", re.MULTILINE)
                cell.source, count = line.subn(f"{variable} = {value}  ", cell.source)
                assert count == 1, f"{name} does not set {variable}"
    return notebook


def executed(notebook, folder):
    """Run a notebook from the top, in a folder that has the samples; raises what a cell raises.

    Its progress bars are left out.
    """
    from nbclient import NotebookClient  # of the extra [notebook], as is the kernel

    shutil.copytree(DEMOS / "samples", Path(folder, "samples"), dirs_exist_ok=True)
    how = dict(timeout=SECONDS, kernel_name="python3", coalesce_streams=True)
    NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **how).execute()
    notebook.metadata.pop("widgets", None)
    for cell in code_cells(notebook):
        cell.outputs = [item for item in cell.outputs if WIDGET not in item.get("data", {})]
    return notebook


def write(notebook, name):
    """Write demos/NAME.ipynb with its outputs, but without times of day."""
    notebook.metadata.language_info = {"name": "python"}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{name.replace('_', '-')}-{number}"
        cell.metadata.pop("execution", None)
    write_file(DEMOS / f"{name}.ipynb", f"{nbformat.writes(notebook)}\n".encode())


def text_of(cell):
    """What a cell prints and shows, as text."""
    shown = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        text = data.get("text/html") or data.get("text/markdown") or data.get("text/plain", "")
        shown.append(output.get("text", "") + text)
    return "\n".join(shown)
