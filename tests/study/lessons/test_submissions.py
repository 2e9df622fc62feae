"""A folder of submissions is graded, whatever they try; nobody is harmed."""

import csv
import json
import os
import time

import pytest

import minivit
from minivit.study.lessons import process
from minivit.study.lessons.exercise import COURSE
from minivit.study.lessons.submissions import (
    COLUMNS,
    grade_folder,
    line_of,
    submissions,
    write_csv,
)
from tests.study.lessons.answers import wrong_answers
from tests.study.lessons.hostile import HOSTILE, submit, submit_answer

QUICK = [name for name, hostile in HOSTILE.items() if not hostile.slow]
SAMPLE = [
    "exits", "forks", "imports-the-solution", "reads-by-path", "patches-numpy", "writes-outside",
    "reads-stdin", "kills-the-grader",
]  # fmt: skip


def graded(folder, seed=0):
    """{student: row} of a folder, and what is left beside it stays what it was."""
    found, _ = submissions(folder)
    return {row["student"]: row for row in grade_folder(folder, found, seed, "0.0")}


def expect_refused(rows, outside):
    hostile = {student: row for student, row in rows.items() if student in HOSTILE}
    causes = {student: row["cause"] or "" for student, row in hostile.items()}
    assert not {name: why for name, why in causes.items() if HOSTILE[name].says not in why}
    assert not any(row["points"] for row in hostile.values())
    assert all(cause.isprintable() for cause in causes.values())
    assert not outside.exists()


def test_a_sample_of_the_hostile_ones_is_refused_and_the_others_get_their_due(tmp_path):
    folder, outside = tmp_path / "week 1", tmp_path / "outside"
    submit_answer(folder, "right", "softmax")
    submit_answer(folder, "half", "layernorm", wrong_answers("layernorm")["db_averaged"]["change"])
    for student in SAMPLE:
        submit(folder, student, outside)
    rows = graded(folder)
    expect_refused(rows, outside)
    assert len(rows) == len(SAMPLE) + 2
    assert rows["right"]["cause"] is None and rows["right"]["points"] == 1
    assert rows["half"]["points"] == 0.667
    assert rows["half"]["arrays"] == {"x": True, "w": True, "b": False}
    assert "b: it is 1/B·T" in rows["half"]["cause"]
    assert len({row["seed"] for row in rows.values()}) == len(rows)
    assert {student: row["seed"] for student, row in graded(folder, seed=1).items()} != {
        student: row["seed"] for student, row in rows.items()
    }


@pytest.mark.slow
@pytest.mark.thorough
def test_every_hostile_one_is_refused_in_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "CPU", 6)
    monkeypatch.setattr(process, "WALL", 30)
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    submit_answer(folder, "right", "softmax")
    for student in HOSTILE:
        submit(folder, student, outside)
    rows = graded(folder)
    expect_refused(rows, outside)
    assert rows["right"]["cause"] is None
    assert not process.RUNNING


@pytest.mark.slow
@pytest.mark.thorough
def test_thirty_submissions_of_all_kinds(tmp_path, capsys):
    """As in docs/teach.md; what is measured is printed with -s."""
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    for name in COURSE:
        submit_answer(folder, f"right-{name}", name)
        wrong = next(iter(wrong_answers(name).values()))
        submit_answer(folder, f"wrong-{name}", name, wrong["change"])
    hostile = [*SAMPLE[:-2], "loops", "sleeps", "finite-differences", *QUICK[:2], "exits-politely"]
    hostile += ["fills-memory", "prints"]
    for student in hostile:
        submit(folder, student, outside)
    start = time.monotonic()
    rows = graded(folder)
    seconds = time.monotonic() - start
    with capsys.disabled():
        print(
            f"\n{len(rows)} submissions in {seconds:.0f} s on {len(os.sched_getaffinity(0))} cores"
        )
    assert len(rows) == 2 * len(COURSE) + len(hostile) == 30
    expect_refused(rows, outside)
    for student, row in rows.items():
        if student not in HOSTILE:
            assert (row["cause"] is None) == student.startswith("right"), row


def test_students_are_named_by_folders_or_by_files(tmp_path):
    for name in (
        "ada/softmax_backward.py", "bob_layernorm_backward.py", "cy/repair_linear_backward.py",
        "d_patch_mean_pool_backward.py", "softmax_backward.py", "e/notes.py", "e/f/gelu.py",
        "g/unknown_backward.py",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found, others = submissions(tmp_path)
    assert {(each.student, each.exercise) for each in found} == {
        ("ada", "softmax"), ("bob", "layernorm"), ("cy", "repair_linear"), ("d", "patch_mean_pool"),
    }  # fmt: skip
    assert sorted(path.name for path in others) == [
        "notes.py", "softmax_backward.py", "unknown_backward.py",
    ]  # fmt: skip


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no submissions; expected .*STUDENT/LAYER"):
        submissions(tmp_path)


def test_what_is_no_answer_gets_its_line(tmp_path):
    submit_answer(tmp_path, "right", "softmax")
    texts = {"binary": b"\xff\x00\xfe", "empty": b"", "huge": b"#" * 2**21, "text": b"I am ill."}
    for student, text in texts.items():
        (tmp_path / student).mkdir()
        (tmp_path / student / "softmax_backward.py").write_bytes(text)
    (tmp_path / "link").mkdir()
    right = tmp_path / "right" / "softmax_backward.py"
    (tmp_path / "link" / "softmax_backward.py").symlink_to(right)
    rows = graded(tmp_path)
    causes = {student: row["cause"] for student, row in rows.items()}
    assert causes.pop("right") is None
    assert "is a link" in causes["link"] and "larger than" in causes["huge"]
    assert "has no class Softmax" in causes["empty"]
    assert "line 1 is not valid Python" in causes["text"]
    assert causes["binary"] and all(row["points"] == 0 for row in rows.values() if row["cause"])


def test_tables_have_a_line_each_and_no_formulas(tmp_path):
    rows = [
        dict(
            student="=cmd()", exercise="softmax", points=0.5, arrays={"x": True, "w": False},
            cause="+1", seconds=1.0, seed=3, minivit=minivit.__version__,
        )
    ]  # fmt: skip
    assert tuple(rows[0]) == COLUMNS
    write_csv(tmp_path / "grades.csv", rows)
    header, row = csv.reader((tmp_path / "grades.csv").read_text().splitlines())
    assert tuple(header) == COLUMNS
    assert row == ["'=cmd()", "softmax", "0.5", "x:1 w:0", "'+1", "1.0", "3", minivit.__version__]
    assert json.loads(json.dumps(rows)) == rows
    (tmp_path / "=cmd()").mkdir()
    (tmp_path / "=cmd()" / "softmax_backward.py").write_text("")
    found, _ = submissions(tmp_path)
    line = line_of(rows[0] | {"cause": "long " * 99}, found)
    assert line.startswith("=cmd()  softmax   50%  long long") and len(line) <= 100
