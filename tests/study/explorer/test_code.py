import inspect

import pytest

from minivit.layers import attention
from minivit.study.explorer.code import code_of
from tests.study.explorer.cases import (
    classifier_of,
    data_of,
    digits_of,
    small_data,
    traced,
    transcriber_of,
)


def test_code_is_all_that_makes_an_array_with_its_place():
    code = small_data()["code"]
    first, last = code["blocks.*.attn.dscores@0"], code["blocks.*.attn.dscores"]
    one, two = last["source"].splitlines()
    assert one.startswith("dscores = self.softmax.backward(") and one == first["source"]
    assert two == "dscores *= self.scale" and code["blocks.*.attn.dscores@1"] == last
    lines, start = inspect.getsourcelines(attention)
    for quoted, line in [(first, one), (last, two)]:
        file, _, number = quoted["place"].partition(":")
        assert file == "attention.py" and lines[int(number) - max(1, start)].strip() == line


def test_a_statement_of_several_lines_is_not_indented():
    code = small_data(pre_logits=7)["code"]["dnormed"]
    first, second, third = code["source"].splitlines()
    assert first.startswith("dnormed = self.pre_logits.backward(")
    assert second.startswith("    params") and third == ")"


def test_a_line_that_runs_several_times_is_quoted_once():
    mean = small_data()["code"]["blocks.*.ln1.mean_features.return"]
    assert len(mean["source"].splitlines()) == 1 and mean["place"].startswith("sums.py:")


@pytest.mark.parametrize("changes", [{}, dict(pool="cls", norm="post", layer_scale=None)], ids=str)
def test_all_names_and_versions_are_there_but_those_of_later_blocks(changes):
    classifier = classifier_of(**changes)
    record = traced(classifier, digits_of(classifier)[0])
    expected, parameters = set(), set()
    for one in [*record, *record.parameters]:
        if not one.name.startswith("blocks.1."):
            name = one.name.replace("blocks.0.", "blocks.*.")
            count = len(record.versions(one.name))
            expected |= {name, *(f"{name}@{version}" for version in range(count))}
            if record[one.name].phase == "parameter":
                parameters |= {name, f"{name}@0"}
    code = code_of(record)
    assert set(code) == expected
    assert {name for name, quoted in code.items() if not quoted["source"]} == parameters
    assert {name for name, quoted in code.items() if not quoted["place"]} == parameters


def test_of_a_reader_the_names_are_those_inside_it():
    code = data_of(transcriber_of())["code"]
    hidden = code["decoder.blocks.*.attn.scores"]["source"].splitlines()
    assert hidden[1:] == ["scores *= self.scale", "hide_later(scores)"]
    assert code["decoder.blocks.*.attn.scores@1"]["source"].splitlines() == hidden[:2]
    assert code["blocks.*.attn.scores"]["place"].startswith("attention.py:")
    assert code["memory"]["source"].startswith("memory, cache = self.encode(")
    assert code["dlogits"]["source"].startswith("dlogits = xp.zeros(")
    assert code["dlogits"]["place"].startswith("letter.py:"), "not what the reader receives"
    assert not any(name.startswith("reader.") or ".blocks.1." in name for name in code)
