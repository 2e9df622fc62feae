import numpy as np

import minivit
from minivit.checks.inside import arrays_of, replaced, sublayers
from minivit.checks.numeric import random_params
from minivit.layers import LayerNorm, Linear, Softmax

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 7, 6))


def test_the_arrays_of_a_pass_have_the_names_of_the_source():
    layer = LayerNorm(6)
    params, dy = random_params(layer, RNG), RNG.standard_normal(X.shape)
    forward, backward = arrays_of(layer, layer.forward, params, X, dy)
    assert {"dy", "x", "y", "w", "b", "normed", "rstd"} <= forward.keys()
    assert {"dnormed", "along_normed", "dx"} <= backward.keys()
    np.testing.assert_allclose(forward["normed"].mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(backward["dnormed"], dy * params["w"])


def test_sublayers_are_found_in_lists_and_dicts():
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
        pool="cls",
    )  # fmt: skip
    names = [name for name, _ in sublayers(model)]
    assert names == [
        "patches", "cls", "pos", "kept", "dropout", "blocks.0", "blocks.1", "ln", "stem",
        "pool", "pooled_ln", "pre_logits", "head",
    ]  # fmt: skip
    assert list(sublayers(Softmax())) == []


def test_replaced_puts_back_what_was_there():
    layer = Linear(3, 2)
    with replaced(layer, "init", lambda real: "inner"):
        assert layer.init() == "inner"
        with replaced(layer, "init", lambda real: "outer " + real()):
            assert layer.init() == "outer inner"
        assert layer.init() == "inner"
    assert "init" not in vars(layer)
