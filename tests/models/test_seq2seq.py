import numpy as np
import pytest

import minivit
from minivit.backend import device_of, to_device
from minivit.checks.numeric import random_params
from minivit.losses import sequence_cross_entropy
from minivit.models import Seq2Seq
from tests.numeric import relative_error

SIZES = dict(words=7, source=4, length=5, dim=12, depth=2, heads=3, mlp_dim=5)


def case(**changes):
    rng = np.random.default_rng(0)
    model = Seq2Seq(**SIZES | changes)
    source, tokens = rng.integers(0, 7, (3, 4)), rng.integers(0, 7, (3, 5))
    return model, random_params(model, rng), source, tokens


def loss_of(logits):
    return sequence_cross_entropy(logits, np.arange(15).reshape(3, 5) % 7, np.array([5, 2, 1]))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_equal_the_complex_step(dropout):
    model, params, source, tokens = case(dropout=dropout)

    def forward(given):
        return model.forward(given, source, tokens, np.random.default_rng(1))

    logits, cache = forward(params)
    grads = params.zeros_like()
    assert model.backward(params, loss_of(logits)[1], cache, grads) is None
    for seed, (name, leaf) in enumerate(grads.named()):
        shifted = params.astype(complex)
        direction = np.random.default_rng(seed).standard_normal(leaf.shape)
        dict(shifted.named())[name][...] += 1e-30j * direction
        slope = loss_of(forward(shifted)[0])[0].imag / 1e-30
        error = abs((leaf * direction).sum() - slope)
        assert error <= 1e-12 * max(1, abs(slope)), name


def test_equals_pytorch():
    torch = pytest.importorskip("torch")
    from tests import torch_reference as ref

    model, params, source, tokens = case()
    grads = params.zeros_like()
    logits, cache = model.forward(params, source, tokens)
    _, dlogits = loss_of(logits)
    model.backward(params, dlogits, cache, grads)
    nest = ref.tensors(params.nest)

    def read(w, numbers):
        T = len(numbers[0])
        waves = [[w for i in range(6) for w in wave(place, i)] for place in range(T)]
        return w[torch.tensor(numbers)] * 12**0.5 + torch.tensor(waves)

    def wave(place, i):
        return np.sin(place / 10000 ** (i / 6)), np.cos(place / 10000 ** (i / 6))

    memory = read(nest["embed"]["w"], source)
    for block in nest["blocks"]:
        memory = ref.block(block, memory, 3)
    memory = ref.layer_norm(nest["ln"], memory)
    w = nest["decoder"]["embed"]["w"]
    x = read(w, tokens)
    for block in nest["decoder"]["blocks"]:
        x = ref.decoder_block(block, x, memory, 3)
    out = ref.layer_norm(nest["decoder"]["ln"], x) @ w.T
    assert relative_error(logits, out.detach().numpy()) <= 1e-10
    out.backward(torch.tensor(dlogits))
    of_twin = ref.gradients(nest)
    for name, leaf in grads.named():
        if not name.endswith(("qkv.b", "kv.b")):  # the key bias has gradient zero
            assert relative_error(leaf, of_twin[name]) <= 1e-10, name


def test_what_is_written_depends_on_what_is_given_and_on_what_was_written_before():
    model, params, source, tokens = case()
    logits, _ = model.forward(params, source, tokens)
    for place in range(4):
        other = source.copy()
        other[:, place] = (other[:, place] + 1) % 7
        assert (model.forward(params, other, tokens)[0] != logits).all()
    later = tokens.copy()
    later[:, 3:] = 0
    np.testing.assert_array_equal(model.forward(params, source, later)[0][:, :3], logits[:, :3])


def test_a_pass_is_the_same_on_every_backend(device):
    model, params, source, tokens = case()
    results = []
    for place in ("cpu", device):
        there = params.to(place)
        grads = there.zeros_like()
        logits, cache = model.forward(there, source, tokens)
        model.backward(there, logits, cache, grads)
        assert device_of(logits) == device_of(grads.flat) == place
        results.append([to_device(array, "cpu") for array in (logits, grads.flat)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_the_repr_is_the_call_that_makes_the_same_model_and_float32_stays():
    model, *_ = case(dropout=0.1)
    assert eval(repr(model), {"Seq2Seq": Seq2Seq}).config == model.config
    params = minivit.Params(model.init(np.random.default_rng(0)))
    logits, _ = model.forward(params, np.zeros((2, 4), int), np.zeros((2, 3), int))
    assert logits.dtype == np.float32 and logits.shape == (2, 3, 7)


def test_refuses_what_cannot_work():
    with pytest.raises(ValueError, match="source must be at least 1"):
        case(source=0)
    model, params, _, tokens = case()
    with pytest.raises(ValueError, match=r"expected shape \(B, 4, 12\)"):
        model.forward(params, np.zeros((3, 5), int), tokens)
