import copy
import pickle

import numpy as np
import pytest
import safetensors.numpy

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


def test_the_nest_is_copied():
    original = nest()
    params = minivit.Params(original)
    params.flat[...] = 0
    assert original["fc1"]["w"].sum() == 15


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


def pickled(params, protocol=5):
    return pickle.loads(pickle.dumps(params, protocol))


WAYS = [copy.copy, copy.deepcopy, *(lambda p, n=n: pickled(p, n) for n in range(6))]


@pytest.mark.parametrize("way", WAYS, ids=["copy", "deepcopy", *map(str, range(6))])
@pytest.mark.parametrize("sliced", [False, True])
def test_copies_and_pickles_are_views_of_their_own_flat_vector(way, sliced):
    params = minivit.Params(nest())
    params = params.of(np.arange(20.0)[3:16]) if sliced else params
    again = way(params)
    np.testing.assert_array_equal(again.flat, params.flat)
    assert [name for name, _ in again.named()] == [name for name, _ in params.named()]
    assert again["act"] == {} and isinstance(again["blocks"], list)
    again.require_views("parameter")
    again.flat += 1
    np.testing.assert_array_equal(again["fc1"]["w"], again.flat[:6].reshape(2, 3))
    shares = way is copy.copy
    assert (params.flat[0] == again.flat[0]) == shares


@pytest.mark.parametrize("way", [copy.deepcopy, pickled])
def test_what_else_holds_the_flat_vector_is_copied_with_it(way):
    params, zeros = minivit.Params(nest()), minivit.Params({})
    params, flat, optimizer, zeros = way((params, params.flat, minivit.AdamW(params, 1), zeros))
    optimizer.step(params)
    assert flat is params.flat is optimizer.params.flat
    assert (params["fc1"]["w"] != nest()["fc1"]["w"]).any()
    assert zeros.flat.shape == (0,)


def test_a_pickle_holds_the_numbers_once():
    params = minivit.Params({"w": np.zeros((100, 100))})
    assert len(pickle.dumps(params)) < 100 * 100 * 8 + 1000


def test_a_replaced_leaf_is_noticed():
    for spoiled in (minivit.Params(nest()), copy.deepcopy(minivit.Params(nest()))):
        spoiled["fc1"]["b"] = np.zeros(3)
        with pytest.raises(ValueError, match=r"gradient 'fc1\.[wb]' no longer shares memory"):
            spoiled.require_views("gradient")
        with pytest.raises(ValueError, match=r"no longer shares memory"):
            copy.deepcopy(spoiled)


def test_params_of_a_slice_of_a_longer_vector_are_views_of_it():
    big = np.zeros(40)
    params = minivit.Params(nest()).of(big[10:23])
    params["blocks"][0]["w"] += 1
    np.testing.assert_array_equal(np.flatnonzero(big), [19, 20, 21])
    params.require_views("gradient")
    minivit.SGD(params, 0.1).step(params)
    with pytest.raises(ValueError, match="no longer shares memory"):
        params["fc1"]["b"] = np.zeros(3)
        params.require_views("gradient")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_was_saved_is_loaded_in_the_same_order(tmp_path, dtype):
    params = minivit.Params(nest()).astype(dtype)
    params.save(tmp_path / "a.safetensors")
    again = minivit.Params.load(tmp_path / "a.safetensors")
    assert [name for name, _ in again.named()] == [name for name, _ in params.named()]
    np.testing.assert_array_equal(again.flat, params.flat)
    assert again.flat.dtype == dtype
    assert isinstance(again["blocks"], list)
    again.require_views("parameter")


def load(path, **arrays):
    safetensors.numpy.save_file(arrays, path / "a.safetensors")
    return minivit.Params.load(path / "a.safetensors")


def test_loads_the_files_of_others_with_blocks_in_the_order_of_their_numbers(tmp_path):
    names = {f"blocks.{number}.w": np.full(2, number, np.float32) for number in range(12)}
    params = load(tmp_path, **{"head.1": np.ones(3, np.float32)}, **names)
    assert [block["w"][0] for block in params["blocks"]] == list(range(12))
    assert list(params["head"]) == ["1"]  # a lone 1 is no list
    assert params.flat.shape == (27,)


ONE = np.ones(2, np.float32)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"a": ONE, "b": np.ones(2)}, "holds float32 and float64 numbers; expected float32 or"),
        ({"a": ONE.astype(int)}, "holds int64 numbers; expected float32 or float64, all of one"),
        ({"a": ONE, "a.w": ONE}, "is damaged: 'a' is both an array and a group of arrays"),
        ({"a.0.w": ONE, "a.0": ONE}, "is damaged: 'a.0' is both an array and a group"),
        ({"a": ONE, "a.": ONE}, "is damaged: 'a' is both an array and a group"),
        ({"." * 5000: ONE}, "is damaged: maximum recursion depth"),
    ],
)
def test_refuses_by_name_files_that_hold_no_nest_of_floats(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=f"a.safetensors {message}"):
        load(tmp_path, **arrays)


@pytest.mark.parametrize("order", ['["a"]', '["a", "b", "c"]', '["a", "a"]', "3", "{", "[1, 2]"])
def test_refuses_by_name_an_order_that_is_not_that_of_its_arrays(tmp_path, order):
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file({"a": ONE, "b": ONE}, path, {"order": order})
    with pytest.raises(ValueError, match="a.safetensors is damaged: "):
        minivit.Params.load(path)


def test_refuses_by_name_a_damaged_file_or_none(tmp_path):
    path = tmp_path / "a.safetensors"
    minivit.Params(nest()).save(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="a.safetensors is damaged"):
        minivit.Params.load(path)
    path.unlink()
    with pytest.raises(ValueError, match="a.safetensors is not a file"):
        minivit.Params.load(path)
    with pytest.raises(TypeError, match="complex128 parameters cannot be saved"):
        minivit.Params(nest()).astype(complex).save(path)


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
