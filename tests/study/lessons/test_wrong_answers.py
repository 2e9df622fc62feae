"""Classic wrong answers to the exercises of a course: none is accepted, and each is told why."""

import pytest

from minivit.study.lessons.exercise import COURSE, EXERCISES, solved
from minivit.study.lessons.trials import compared, expected, fill
from tests.samples import sample
from tests.study.lessons.answers import body_of, graded_here, written, wrong_answers

ANSWERS = [(name, wrong) for name in COURSE for wrong in wrong_answers(name)]


@pytest.mark.parametrize("name, wrong", sample(ANSWERS, 8))
def test_a_wrong_answer_is_refused_and_its_cause_is_named(name, wrong, tmp_path):
    about = wrong_answers(name)[wrong]
    graded = graded_here(written(tmp_path, name, body_of(name, about["change"])), name)
    assert graded.cause and graded.points < 1
    assert "kink" not in graded.report  # there are none, only zeros
    assert about.get("says", "") in graded.cause


@pytest.mark.parametrize("name", COURSE)
def test_there_are_twenty_for_each_and_few_causes_are_unknown(name):
    wrong = wrong_answers(name)
    changes = {about["change"] for about in wrong.values()}
    assert len(changes) == len(wrong) >= 20
    assert sum("says" in about for about in wrong.values()) >= 0.65 * len(wrong)


@pytest.mark.parametrize("name", EXERCISES)
def test_a_right_answer_is_right_at_any_seed(name):
    for seed in range(1, 4):
        right = expected(name, seed)
        assert all(compared(fill({}, solved(name), name, seed), right).values())
