"""docs/neighbours.md shows what the script knows, and reports say it where the sources are."""

import re
from pathlib import Path

import pytest

from docs import neighbours
from docs.foreign import Source, stand_ins
from docs.neighbours import NEIGHBOURS, clone, differs, report_of, table
from docs.other_checks import PAGE

SOURCES = Path(__file__).parent.parent.parent / neighbours.FOLDER


def test_the_page_shows_the_table():
    assert "\n".join(table()) in PAGE.read_text(encoding="utf-8")


def test_there_are_enough_of_them_and_each_has_a_place():
    assert len({each.repository for each in NEIGHBOURS}) >= 12
    assert all(re.fullmatch("[0-9a-f]{40}", each.commit) for each in NEIGHBOURS)
    assert all(bool(each.says) != each.found.startswith("right") for each in NEIGHBOURS)


def test_every_repository_is_fetched_once_at_its_commit():
    fetched = [line for line in clone() if " fetch " in line]
    assert len(fetched) == len({each.repository for each in NEIGHBOURS})
    assert all(any(each.commit in line for line in fetched) for each in NEIGHBOURS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("each", NEIGHBOURS, ids=lambda each: f"{each.folder} {each.name}")
def test_the_report_says_what_the_table_shows(each):
    if not (SOURCES / each.folder).is_dir():
        pytest.skip(f"{each.repository} is not in {SOURCES}")
    try:
        report = report_of(each, SOURCES)
    except ImportError as why:
        pytest.skip(f"it needs {why.name}")
    assert differs(each, report) is None, report


def test_a_module_of_somebody_is_forgotten_and_its_namesake_is_read(tmp_path):
    for name, value in {"one": 1, "two": 2}.items():
        (tmp_path / name / "layers").mkdir(parents=True)
        (tmp_path / name / "layers" / "norm.py").write_text(
            f"import cupy\nvalue = cupy.add({value}, 0)"
        )
    with stand_ins():
        modules = [Source(tmp_path / name).module("layers.norm") for name in ("one", "two")]
    assert [module.value for module in modules] == [1, 2]


def test_definitions_are_read_without_what_a_script_runs(tmp_path):
    (tmp_path / "train.py").write_text("EPS = 1e-5\ndef f(x):\n    return x + EPS\nf(undefined)")
    assert Source(tmp_path).definitions("train.py").f(1) == 1 + 1e-5


def test_a_report_that_is_not_as_stored_is_said(monkeypatch, tmp_path, capsys):
    right = next(each for each in NEIGHBOURS if not each.says)
    (tmp_path / right.folder).mkdir()

    class Wrong:
        ok, problems = False, ["odd"]

        def explanation(self):
            return []

    there = right._replace(run=lambda source: Wrong())
    away = right._replace(repository="nobody/nothing")
    monkeypatch.setattr(neighbours, "NEIGHBOURS", [there, away])
    assert neighbours.main(["--sources", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "NOT AS IN THE TABLE: ok is False" in printed
    assert "nobody/nothing: not in" in printed
