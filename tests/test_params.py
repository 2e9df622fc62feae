import copy

import numpy as np
import pytest

import minivit


def nest():
    return {
        "fc1": {"w": np.arange(6.0).reshape(2, 3), "b": np.full(3, 6.0)},
        "act": {},
        "blocks": [{"w": np.full((3, 1), 7.0)}, {"b": np.full(1, 8.0)}],
    }


def test_leaves_are_views_of_the_flat_vector_in_order():
    params = minivit.Params(nest())
    np.testing.assert_array_equal(params.flat, [0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 7, 7, 8])
    assert [name for name, _ in params.named()] == ["fc1.w", "fc1.b", "blocks.0.w", "blocks.1.b"]
    params.flat += 1
    np.testing.assert_array_equal(params["fc1"]["b"], 7)
    params["blocks"][1]["b"][...] = -1
    assert params.flat[-1] == -1


def test_the_given_nest_is_copied():
    given = nest()
    params = minivit.Params(given)
    params.flat[...] = 0
    assert given["fc1"]["w"].sum() == 15
    assert isinstance(given["fc1"]["w"], np.ndarray)


def test_zeros_like_and_astype_are_copies():
    params = minivit.Params(nest())
    zeros, single = params.zeros_like(), params.astype(np.float32)
    zeros.flat += 5
    single.flat += 5
    assert params.flat[0] == 0
    assert (zeros.flat.dtype, single.flat.dtype) == (np.float64, np.float32)
    assert single["fc1"]["w"].dtype == np.float32
    zeros.require_views("gradient")
    single.require_views("parameter")
    assert zeros.zero() is zeros
    assert not zeros["fc1"]["w"].any()


def test_adding_to_a_leaf_of_the_top_level_keeps_the_view():
    params = minivit.Params({"pos": np.zeros((2, 3), np.float32)})
    params["pos"] += 1
    np.testing.assert_array_equal(params.flat, 1)
    params.require_views("gradient")


def test_mask():
    mask = minivit.Params(nest()).mask(lambda name, leaf: name.endswith("w") and leaf.ndim == 2)
    np.testing.assert_array_equal(mask, [1] * 6 + [0] * 3 + [1] * 3 + [0])
    large = minivit.Params(nest()).mask(lambda name, leaf: leaf.min() > 6)
    np.testing.assert_array_equal(large, [0] * 9 + [1] * 4)
    assert minivit.Params(nest()).astype(np.float32).mask(lambda *_: True).dtype == np.float32


def test_a_replaced_leaf_is_noticed():
    for spoiled in (minivit.Params(nest()), copy.deepcopy(minivit.Params(nest()))):
        spoiled["fc1"]["b"] = np.zeros(3)
        with pytest.raises(ValueError, match=r"gradient 'fc1\.[wb]' no longer shares memory"):
            spoiled.require_views("gradient")


def test_refuses_mixed_and_integer_dtypes():
    with pytest.raises(TypeError, match="mixed dtypes \\['float32', 'float64'\\]"):
        minivit.Params({"w": np.zeros(2, np.float32), "b": np.zeros(2)})
    with pytest.raises(TypeError, match="parameters are int64; expected floating-point"):
        minivit.Params({"w": np.zeros(2, np.int64)})


def test_a_layer_without_parameters():
    params = minivit.Params({"act": {}})
    assert params.named() == []
    assert params.flat.size == 0
    assert params["act"] == {}


def test_printed_form_names_every_array():
    text = repr(minivit.Params(nest()))
    assert "13 numbers, float64" in text
    assert "blocks.0.w" in text
    assert "(3, 1)" in text
