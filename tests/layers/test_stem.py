import numpy as np
import pytest

import minivit
from minivit.layers import Stem, StridedConvolution


def test_each_pixel_is_the_gated_sum_over_its_square():
    rng = np.random.default_rng(0)
    layer, x = StridedConvolution(7, 11, 2, 3, 2, 5), rng.standard_normal((1, 7, 11, 2))
    w, b = rng.standard_normal((3, 3, 2, 5)), rng.standard_normal(5)
    y, _ = layer.forward({"w": w.reshape(18, 5), "b": b}, x)
    seen = np.zeros((3, 5, 5)) + b
    for r, c in np.ndindex(3, 5):
        for i, j in np.ndindex(3, 3):
            seen[r, c] += x[0, 2 * r + i, 2 * c + j] @ w[i, j]
    gate = 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (seen + 0.044715 * seen**3)))
    np.testing.assert_allclose(y[0], seen * gate, rtol=1e-12)


def test_what_is_moved_by_a_stride_is_seen_one_pixel_further():
    rng = np.random.default_rng(0)
    stem = Stem(9, 9, 1, [(3, 2, 4), (2, 1, 5)])
    params, x = stem.init(rng, np.float64), np.zeros((1, 9, 9, 1))
    x[:, 2:7, 2:7] = rng.standard_normal((1, 5, 5, 1))
    still, _ = stem.forward(params, x)
    moved, _ = stem.forward(params, np.roll(x, 2, axis=2))
    np.testing.assert_allclose(moved[:, :, 1:], still[:, :, :-1], rtol=1e-12)
    assert (stem.rows, stem.columns, stem.dim, stem.numbers) == (3, 3, 5, 64)


def test_patches_are_cut_from_what_it_gives():
    sizes = dict(channels=2, classes=3, dim=6, depth=1, heads=2, mlp_dim=5, patch_size=2)
    model = minivit.ViT(image_size=(9, 5), stem=[(3, 2, 7)], **sizes)
    assert (model.patches.rows, model.patches.columns, model.patches.linear.d_in) == (2, 1, 28)
    assert model.config["image_size"] == [9, 5] and model.config["channels"] == 2
    assert model.config["stem"] == [[3, 2, 7]]
    assert minivit.ViT(**model.config).config == model.config
    params = minivit.Params(model.init(np.random.default_rng(0)))
    assert params["stem"]["convs"][0]["w"].shape == (18, 7)
    assert model.numbers == 4 * 2 * 7  # more than two tokens of 6
    findings = minivit.structure(model)
    assert findings.ok, findings


def test_refuses_what_cannot_work():
    with pytest.raises(ValueError, match="squares of 3 pixels, 2 from one to the next, leave some"):
        Stem(9, 8, 1, [(3, 2, 4)])
    with pytest.raises(ValueError, match="leave some of 2 x 9 over"):
        Stem(2, 9, 1, [(3, 1, 4)])
    with pytest.raises(ValueError, match=r"\(kernel, stride, dim\), three numbers, got \[3, 2\]"):
        Stem(9, 9, 1, [[3, 2]])
    with pytest.raises(ValueError, match="expected a list of convolutions, got 3"):
        Stem(9, 9, 1, 3)
    with pytest.raises(ValueError, match="StridedConvolution: stride must be at least 1, got 0"):
        Stem(9, 9, 1, [(3, 0, 4)])
    layer = Stem(9, 9, 2, [(3, 2, 4)])
    with pytest.raises(ValueError, match=r"expected shape \(B, 9, 9, 2\), got \(1, 9, 9, 1\)"):
        layer.forward(layer.init(np.random.default_rng(0)), np.ones((1, 9, 9, 1)))
