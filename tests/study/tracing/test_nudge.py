import numpy as np
import pytest

from minivit.layers import Dropout, LayerNorm, Linear, PreNormBlock
from minivit.study import nudge, trace
from tests.samples import sample
from tests.study.cases import traced, traced_vit

ROUNDING = 1e-11  # that of a loss near 1, divided by twice the step


def agrees(result):
    return abs(result.slope - result.gradient) <= 1e-6 * abs(result.gradient) + ROUNDING


@pytest.mark.parametrize("pool", sample(["cls", "mean"], 2))
def test_agrees_with_the_backward_at_every_line(pool):
    record = traced_vit(seed=1, pool=pool, depth=1, batch=2)
    movable = [r for r in [*record.parameters, *record] if r.movable and r.gradient_record]
    assert {r.phase for r in movable} == {"forward", "parameter"}
    for r in movable:
        index = np.unravel_index(np.abs(r.gradient).argmax(), r.shape)
        assert agrees(nudge(record, r, index)), r


def test_names_stand_for_the_last_line_that_changes_them():
    record = traced_vit()
    before, after = record.versions("blocks.0.attn.scores")
    index = (1, 0, 3, 2)
    assert nudge(record, "blocks.0.attn.scores", index) == nudge(record, after, index)
    ratio = nudge(record, before, index).slope / nudge(record, after, index).slope
    assert ratio == pytest.approx(7**-0.5, rel=1e-3)


def test_moves_one_name_of_an_array_that_has_several():
    """A block's x goes into its first branch, and past it."""
    record = traced(PreNormBlock(6, 2, 11), (3, 5, 6))
    stream, branch = (nudge(record, name, (1, 2, 3)) for name in ("x", "ln1.x"))
    assert agrees(stream)
    assert agrees(branch)
    assert stream.slope != pytest.approx(branch.slope, rel=1e-2)


def test_finds_a_wrong_gradient():
    class Wrong(Linear):
        def backward(self, params, dy, cache, grads):
            return 1.01 * super().backward(params, dy, cache, grads)

    record = traced(Wrong(3, 5), (2, 3))
    assert not agrees(nudge(record, "x", (1, 2)))
    assert agrees(nudge(record, "w", (1, 2)))


def test_leaves_the_trace_as_it_was():
    record = traced_vit()
    kept = record.params.flat.copy(), record.x.copy(), record["blocks.0.mid"].value.copy()
    for name in ("images", "head.w", "blocks.0.mid"):
        nudge(record, name, (0,) * record[name].value.ndim)
    now = record.params.flat, record.x, record["blocks.0.mid"].value
    assert all((a == b).all() for a, b in zip(now, kept, strict=True))


def test_a_trace_in_float32_is_moved_in_float64():
    record = traced_vit()
    params, images = record.params.astype(np.float32), record.x.astype(np.float32)
    single = trace(record.layer, params, images, record.labels)
    for name in ("blocks.0.attn.scores", "images"):
        result = nudge(single, name, (0, 1, 2, 1))
        assert result.slope == pytest.approx(result.gradient, rel=1e-3)


def test_counts_from_the_end_and_takes_a_single_number():
    record = traced(Linear(3, 5), (2, 3))
    assert nudge(record, "b", 4) == nudge(record, "b", -1) == nudge(record, "b", (4,))


@pytest.mark.parametrize(
    "name, index, error, message",
    [
        ("loss.labels", (0,), ValueError, "loss.labels of the forward, int64, cannot be moved"),
        ("blocks.0.attn.dq", (0, 0, 0, 0), ValueError, "dq of the backward, .* cannot be moved"),
        ("ln.w", (0, 0), IndexError, r"ln.w has the shape \(14,\); got the index \(0, 0\)"),
        ("ln.w", (14,), IndexError, "out of bounds"),
        ("ln.w", (True,), IndexError, r"got the index \(True,\)"),
    ],
)
def test_refuses_what_cannot_be_moved(name, index, error, message):
    with pytest.raises(error, match=message):
        nudge(traced_vit(), name, index)
    with pytest.raises(ValueError, match="eps must not be zero"):
        nudge(traced_vit(), "ln.w", (0,), eps=0)


def test_refuses_to_go_through_a_layer_thousands_of_times():
    record = traced(LayerNorm(9), (600, 8, 9))
    assert record["x"].gradient.shape == (600, 8, 9)  # by hand
    assert nudge(record, "centered", (1, 2, 3)).gradient == pytest.approx(
        nudge(record, "centered", (1, 2, 3)).slope, rel=1e-5
    )
    with pytest.raises(ValueError, match="43,200 numbers .* trace fewer images, or nudge"):
        _ = record["centered"].gradient


def test_says_when_the_repeated_pass_takes_another_way():
    class Moody(Dropout):
        passes = 0

        def forward(self, x, rng=None):
            Moody.passes += 1
            if Moody.passes > 2:
                x = x + 1
            y = 2 * x
            return y, {"mask": 2.0}

    record = traced(Moody(0.0), (2, 3))
    with pytest.raises(ValueError, match="the repeated pass computes .* here"):
        nudge(record, "y", (0, 0))
