import sys
from pathlib import Path

import numpy as np

from minivit.layers import Attention, Linear
from minivit.layers.refusals import expect_shape
from minivit.study import trace
from tests.study.cases import Scaled, traced, traced_vit


def steps(trace, path, function="forward"):
    return [r for r in trace if (r.path, r.call.function) == (path, function)]


def test_follows_attention_line_by_line():
    record = traced(Attention(15, 3), (2, 7, 15))
    bound = [(r.variable, r.source.split(" ")[0]) for r in steps(record, "") if r.bound]
    assert bound == [
        ("x", "def"), ("qkv", "qkv,"), ("q", "q,"), ("k", "q,"), ("v", "q,"), ("scores", "scores"),
        ("att", "att,"), ("merged", "merged"), ("mix", "mix"), ("y", "y,"),
    ]  # fmt: skip
    changed = [(r.variable, r.source.split(" ")[0]) for r in steps(record, "") if not r.bound]
    matmul = "xp.matmul(att,"  # into mix, a view of merged
    assert changed == [("scores", "scores"), ("merged", matmul), ("mix", matmul)]
    filled = ["dqkv", "dq", "dqkv", "dk", "dqkv", "dv", "dx"]  # dq, dk and dv are views of dqkv
    assert [r.variable for r in steps(record, "", "backward")][-7:] == filled
    assert [r.number for r in record] == list(range(len(record.records)))


def test_a_value_is_what_it_was_right_after_its_line():
    record = traced(Attention(15, 3), (2, 7, 15))
    q, k, v = (record[name].value for name in "qkv")
    before, after = record.versions("scores")
    np.testing.assert_array_equal(before.value, np.matmul(q, k.mT))
    np.testing.assert_array_equal(after.value, before.value * 5**-0.5)
    att = record["att"].value
    np.testing.assert_array_equal(record["mix"].value, np.matmul(att, v))
    rows = record["mix"].value.transpose(0, 2, 1, 3).reshape(2, 7, 15)
    np.testing.assert_array_equal(record["merged"].value, rows)
    shifted = record["softmax.shifted"].value  # its memory was taken for numer, and then for y
    np.testing.assert_array_equal(shifted, after.value - after.value.max(-1, keepdims=True))
    np.testing.assert_array_equal(record["softmax.numer"].value, np.exp(shifted))


def test_places_are_right():
    record = traced_vit()
    for r in record:
        assert r.source.split("\n")[0] in Path(r.file).read_text().split("\n")[r.line - 1], r
    r = record["blocks.1.mlp.act.gate"]
    assert (r.path, r.call.function, Path(r.file).name) == (
        "blocks.1.mlp.act",
        "forward",
        "gelu.py",
    )
    assert r.source == "gate *= 0.5"
    assert record["pos.y"].source == 'y = x + params["pos"]  # (B, T, D)'
    assert record["patches.cut_patches.grid"].call.function == "cut_patches"
    assert record["loss.dlogits"].phase == "backward"


def test_writes_through_views_and_helpers_are_seen():
    record = traced(Scaled(), (2, 5, 3))
    changes = [r.variable if r.bound else f"{r.variable} again" for r in steps(record, "")]
    assert changes[:7] == ["x", "skip", "hidden", "hidden again", "hidden again", "y", "half"]
    # by np.copyto and add_to, which do not name y, and by the loop; half shares y's memory
    assert changes[7:] == ["y again", "half again"] * 4
    assert record["add_to.target"].source == "target += amount"
    assert [r.source for r in steps(record, "", "add_to")] == ["target += amount"]
    x = record["parts.0.x"].value
    linear = x @ record["parts.0.w"].value + record["parts.0.b"].value
    expected = 3 * linear + 1
    expected[..., :2] += x[..., :2]
    expected[..., 2:] -= x[..., 2:]
    np.testing.assert_allclose(record["y"].value, expected, rtol=1e-13)


def test_neither_numpy_nor_small_checks_are_followed():
    record = traced_vit()
    assert not any(r.file and "numpy" in Path(r.file).parts for r in record)
    assert not any(expect_shape.__name__ in r.name for r in record)


def test_gives_back_the_trace_function_even_after_an_error():
    def watch(frame, event, argument):
        return None

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        trace(Linear(3, 5), {}, np.ones((2, 3)), dy=np.ones((2, 5)))  # without its parameters
    except KeyError:
        assert sys.gettrace() is watch
    finally:
        sys.settrace(before)
