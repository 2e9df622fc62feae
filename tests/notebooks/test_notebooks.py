"""The notebooks: paired, run from the top, their prose true, their exercises solvable."""

import contextlib
import io
import json
import re

import numpy as np
import pytest

pytest.importorskip("jupytext")
from tests.notebooks.notebooks import (
    DEMOS,
    NAMES,
    code_cells,
    committed,
    executed,
    shortened,
    source,
    tagged,
    text_of,
)

LINK = re.compile(r"\]\(([^)\s]+)\)")
NUMBER = re.compile(r"(?<![\w.,/^_])(\d[\d,]*\d|\d)(\.\d+)?(?![\w.]*\d)( ?%)?")
LEFT_OUT = [  # of the prose, before its numbers are looked at
    r"^```[^`]*^```$", r"`[^`]*`", r"\]\([^)]*\)", r"^#+ .*$", r"<[^>]*>", r"\(20\d\d\)",
    r"et al\. \(?20\d\d", r"and \w+ 20\d\d", r"[Ss]ections? [\d.]+( and [\d.]+)?",
    r"\d+x\d+", r"10⁻\S+", r"\$\$[^$]*\$\$", r"\$[^$\n]*\$",
]  # fmt: skip
every_notebook = pytest.mark.parametrize("name", NAMES)


@every_notebook
def test_the_notebook_is_that_of_the_paired_file(name):
    pair = [(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in source(name).cells]
    cells = [
        (cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in committed(name).cells
    ]
    advice = f"python -m tests.notebooks.build {name} writes it anew"
    assert len(cells) == len(pair), advice
    for ours, theirs in zip(cells, pair, strict=True):
        assert ours == theirs, advice


@every_notebook
def test_it_was_run_from_the_top_and_nothing_went_wrong(name):
    cells = code_cells(committed(name))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text


@every_notebook
def test_it_shows_nothing_of_the_machine_that_ran_it(name):
    for cell in code_cells(committed(name)):
        assert not re.search(r"/(home|root|tmp|work|Users)/|site-packages", text_of(cell))


@every_notebook
def test_it_is_small_enough_to_be_shown_by_a_web_site(name):
    assert (DEMOS / f"{name}.ipynb").stat().st_size < 2_500_000


@every_notebook
def test_links_lead_somewhere(name):
    notebook = committed(name)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    titles = {title.replace(" ", "-") for title in re.findall(r"^#+ (.*)$", prose, re.MULTILINE)}
    for target in LINK.findall(prose):
        path, _, heading = target.partition("#")
        if not target.startswith("https://"):
            assert not path or (DEMOS / path).exists(), target
            assert not heading or heading in titles, target


def sections(notebook):
    """(prose, the text of code and outputs) of each part under a heading of up to three #."""
    prose, shown = [], []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"^(?=#{1,3} )", cell.source, flags=re.MULTILINE):
                if re.match("#{1,3} ", part) and (prose or shown):
                    yield "\n".join(prose), "\n".join(shown)
                    prose, shown = [], []
                prose.append(part)
        else:
            shown += [cell.source, text_of(cell)]
    yield "\n".join(prose), "\n".join(shown)


def numbers(text):
    """The numbers in a text, without their commas, and whether they are percentages."""
    text = re.sub(r"(?<=\d)_(?=\d)", "", text)
    for whole, decimals, percent in NUMBER.findall(text):
        yield whole.replace(",", "") + decimals, bool(percent)


def unsupported(notebook):
    """The figures in the prose that no output or code bears out.

    Percentages and decimals must be in the same section, other numbers there or earlier; those of
    one digit, such as 3 tokens, may be anything.
    """
    earlier = set()
    for prose, shown in sections(notebook):
        here = {number for number, _ in numbers(shown)}
        earlier |= here
        for pattern in LEFT_OUT:
            prose = re.sub(pattern, " ", prose, flags=re.MULTILINE)
        for number, percent in numbers(prose):
            exact = percent or "." in number
            if (exact or len(number) > 1) and number not in (here if exact else earlier):
                yield number


@every_notebook
def test_the_figures_in_the_prose_are_those_of_the_outputs(name):
    assert [*unsupported(committed(name))] == []


@pytest.mark.parametrize("wrong", ["98.74 %", "86,567,657", "0.0051", "197 ×"])
def test_a_wrong_figure_in_the_prose_is_noticed(wrong):
    notebook = committed("gradients")
    notebook.cells[-1].source += f"\nIt is {wrong} of it."
    assert [*unsupported(notebook)] == [wrong.replace(",", "").split()[0]]


def exercises():
    """(notebook, number, code before, the unsolved cell, the check, the solution)"""
    for name in NAMES:
        cells = source(name).cells
        setup = code_cells(source(name))[0].source
        for place, cell in enumerate(cells):
            if tagged(cell, "exercise"):
                check, answer = cells[place + 1 : place + 3]
                assert tagged(check, "check")
                (solution,) = re.findall(
                    r"<summary>Solution</summary>\n\n```python\n(.*?)^```\n\n</details>",
                    answer.source,
                    re.DOTALL | re.MULTILINE,
                )
                hint = cells[place - 1].source
                assert "<details><summary>Hint</summary>" in hint
                title = re.search(r"^### ([\d.]+)", hint, re.MULTILINE)[1]
                codes = setup, cell.source, check.source, solution
                yield pytest.param(*codes, id=f"{name} {title}")


def printed(*codes):
    text, names = io.StringIO(), {}
    with contextlib.redirect_stdout(text), np.printoptions():  # which a notebook sets
        for code in codes:
            exec(re.sub(r"^%.*$", "", code, flags=re.MULTILINE), names)
    return text.getvalue()


GRADER = "from minivit.study.lessons.grading import grade_class"


@pytest.mark.parametrize("setup, unsolved, check, solution", [*exercises()])
def test_an_exercise_is_refused_unsolved_and_accepted_solved(setup, unsolved, check, solution):
    pytest.importorskip("IPython")
    assert "Not right yet" in printed(setup, GRADER, unsolved, check)
    answer = printed(setup, GRADER, solution, check)
    assert "Right" in answer
    assert "Not right yet" not in answer


def test_there_are_exercises_in_the_tutorial_and_in_the_notebook_on_gradients():
    assert len([*exercises()]) == 9


@pytest.mark.slow
@every_notebook
def test_it_runs_from_the_top_in_a_short_form(name, tmp_path):
    """And up to what is shortened, it prints what is in the notebook."""
    pytest.importorskip("nbclient")
    notebook = executed(shortened(name), tmp_path)
    for cell, before in zip(code_cells(notebook), code_cells(committed(name)), strict=True):
        for output in cell.outputs:
            assert output.get("name") != "stderr", output.text
        assert pictures(cell) == pictures(before), cell.source
        if tagged(cell, "parameters"):
            break
        same_text(text_of(cell), text_of(before))


def pictures(cell):
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


# In a report on right gradients, the number whose rounding is worst: processors differ.
WORST = re.compile(r"<td>\d\.\d+e-1[3-9]</td><td>\[[^]]*\]</td><td>[^<]*</td><td>[^<]*</td>")


def same_text(text, before):
    """Equal but for rounding, the sign of what is rounded to zero, and where rounding is worst."""
    text, before = (WORST.sub("", each) for each in (text, before))
    number = re.compile(r"[ -]?\d+\.?\d*(?:e[+-]\d+)?")
    assert number.sub("#", text) == number.sub("#", before)
    found, expected = ([float(x) for x in number.findall(each)] for each in (text, before))
    assert found == pytest.approx(expected, rel=1e-2, abs=1e-2)


@every_notebook
def test_the_file_is_plain_json_of_the_format_that_all_programs_read(name):
    notebook = json.loads((DEMOS / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
