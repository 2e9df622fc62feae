import numpy as np

from minivit.study.report import confusion_table


def test_a_row_for_what_it_is_and_a_column_for_what_was_said():
    logits = np.eye(3)[[1, 1, 2, 0]]  # says 1, 1, 2, 0
    table = confusion_table(np.array([0, 1, 1, 0]), logits, ["cat", "ankle boots", "owl"])
    assert [line.split() for line in table.splitlines()] == [
        ["cat", "ankle", "bo", "owl"],
        ["cat", "1", "1", "0"],
        ["ankle", "bo", "0", "1", "1"],
        ["owl", "0", "0", "0"],
    ]
    assert len({len(line) for line in table.splitlines()}) == 1
