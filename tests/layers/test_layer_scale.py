import numpy as np
import pytest

from minivit.layers import LayerScale, PreNormBlock


def test_a_small_scale_leaves_little_but_the_stream():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 6))
    distances = []
    for scale in (1e-6, 1e-3, 1.0):
        block = PreNormBlock(6, 2, 11, layer_scale=scale)
        y, _ = block.forward(block.init(np.random.default_rng(1), np.float64), x)
        distances.append(abs(y - x).max())
    assert distances[0] < 1e-5 < distances[1] < 1e-2 < distances[2]


def test_a_block_without_is_a_block_with_a_scale_of_one():
    plain, scaled = PreNormBlock(6, 2, 11), PreNormBlock(6, 2, 11, layer_scale=1.0)
    x = np.random.default_rng(0).standard_normal((2, 5, 6))
    rngs = [np.random.default_rng(1) for _ in range(2)]
    expected, y = (
        block.forward(block.init(rng, np.float64), x)[0]
        for block, rng in zip((plain, scaled), rngs, strict=True)
    )
    np.testing.assert_array_equal(y, expected)


def test_refuses_another_width():
    with pytest.raises(ValueError, match=r"LayerScale: expected shape \(..., 6\), got \(2, 1\)"):
        LayerScale(6).forward({"w": np.ones(6)}, np.ones((2, 1)))
