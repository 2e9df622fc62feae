import numpy as np
import pytest

from minivit.study.explorer.arrays import code_of, find, packed, quoted
from tests.study.explorer.cases import small_trace, unpacked


def test_a_version_of_a_name_can_be_asked_for():
    record = small_trace()
    first, last = record.versions("blocks.1.attn.scores")
    assert find(record, "blocks.1.attn.scores@0") is first
    assert find(record, "blocks.1.attn.scores@1") is last is find(record, "blocks.1.attn.scores")


@pytest.mark.parametrize(
    "name", ["nothing", "ln.w@1", "blocks.0.attn.scores@2", "ln.w@x", "ln.w@-1"]
)
def test_refuses_unknown_names_and_versions(name):
    with pytest.raises(KeyError, match="no array is called|has the versions 0 to"):
        find(small_trace(), name)


def test_numbers_keep_their_last_bit_whatever_their_order_in_memory():
    array = np.random.default_rng(0).standard_normal((3, 4, 5)).transpose(2, 0, 1)
    np.testing.assert_array_equal(unpacked(packed(array)), array)


def test_code_is_all_that_makes_an_array_with_its_place():
    record = small_trace()
    code = code_of(record, "blocks.0.attn.dscores")
    first, second = code["source"].splitlines()
    assert first.startswith("dscores = self.softmax.backward(")
    assert second == "dscores *= self.scale" and code["place"].startswith("attention.py:")
    assert code_of(record, "blocks.0.attn.dscores@0")["source"] == first
    for name in quoted(2):
        assert bool(code_of(record, name)["source"]) == (name[-2:] not in (".w", ".b")), name
