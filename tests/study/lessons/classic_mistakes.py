"""What the grader says of classic wrong answers: `python -m tests.study.lessons.classic_mistakes`.

For each exercise: how many there are, how many are refused, of how many the cause is named, and the
points that they get on average.
"""

import tempfile
import warnings
from pathlib import Path

from minivit.study.lessons.exercise import COURSE
from tests.study.lessons.answers import body_of, graded_here, written, wrong_answers


def main():
    print(f"{'exercise':15} wrong answers  refused  cause named  points")
    for name in COURSE:
        grades = [graded(name, about["change"]) for about in wrong_answers(name).values()]
        refused = sum(grade.cause is not None for grade in grades)
        named = sum("cause unknown" not in (grade.cause or "") for grade in grades)
        points = sum(grade.points for grade in grades) / len(grades)
        print(f"{name:15} {len(grades):13} {refused:8} {named:12} {points:7.2f}", flush=True)


def graded(name, change):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return graded_here(written(Path(folder), name, body_of(name, change)), name)


if __name__ == "__main__":
    main()
