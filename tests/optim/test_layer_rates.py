import numpy as np
import pytest

import minivit
from minivit.backend import to_device
from minivit.optim import is_matrix
from minivit.optim.layer_rates import layer_rates
from tests.numeric import relative_error


def start(**changes):
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=3, heads=2, mlp_dim=5, classes=3,
        pool="cls", **changes,
    )  # fmt: skip
    return minivit.Params(model.init(np.random.default_rng(0), float))


def test_each_layer_moves_less_than_the_one_above_it():
    params = start(layer_scale=0.1, norm_pooled=True, pre_logits=7)
    rates = dict(params.of(layer_rates(params, 0.5)).named())
    expected = {
        "patches.w": 1 / 16, "cls": 1 / 16, "pos": 1 / 16, "blocks.0.attn.qkv.w": 1 / 8,
        "blocks.1.ln1.b": 1 / 4, "blocks.2.mlp.fc2.w": 1 / 2, "blocks.2.ls1.w": 1 / 2,
        "pooled_ln.w": 1, "pre_logits.w": 1, "head.b": 1,
    }  # fmt: skip
    for name, rate in expected.items():
        np.testing.assert_array_equal(rates[name], np.full(rates[name].shape, rate), name)
    assert (dict(start().of(layer_rates(start(), 0.5)).named())["ln.w"] == 1).all()
    stemmed = start(stem=[(1, 1, 2)])
    assert (dict(stemmed.of(layer_rates(stemmed, 0.5)).named())["stem.convs.0.w"] == 1 / 16).all()
    assert (layer_rates(params, 1) == 1).all()
    assert layer_rates(params.astype(np.float32), 0.75).dtype == np.float32


def test_adamw_with_rates_equals_pytorch_with_a_group_for_each_array(device):
    torch = pytest.importorskip("torch")
    params, rng = start(), np.random.default_rng(1)
    twins = {name: torch.tensor(leaf, requires_grad=True) for name, leaf in params.named()}
    grads, rates = params.zeros_like(), params.of(layer_rates(params, 0.7))
    groups = [
        dict(params=[twins[name]], lr=0.02 * rate.flat[0], weight_decay=0.3 * is_matrix(name, rate))
        for name, rate in rates.named()
    ]
    twin_optimizer, params = torch.optim.AdamW(groups), params.to(device)
    optimizer = minivit.AdamW(params, 1.0, decay=0.3, rates=rates.to(device).flat)
    optimizer.lr = 0.02  # may be set at any time
    for _ in range(10):
        grads.flat[...] = rng.standard_normal(grads.flat.shape)
        for name, gradient in grads.named():
            twins[name].grad = torch.tensor(gradient)
        optimizer.step(grads.to(device))
        twin_optimizer.step()
    for name, leaf in params.to("cpu").named():
        assert relative_error(leaf, twins[name].detach().numpy()) <= 1e-12


def test_rates_of_one_change_nothing_and_those_of_zero_freeze(device):
    params = start().astype(np.float32).to(device)
    grads = params.zeros_like()
    grads.flat[...] = 0.5
    results = []
    for rates in (1.0, layer_rates(params, 1), 0 * params.flat):
        copy = params.astype(np.float32)
        minivit.AdamW(copy, 0.1, rates=rates).step(grads)
        assert copy.flat.dtype == np.float32
        results.append(to_device(copy.flat, "cpu"))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6)
    np.testing.assert_array_equal(results[2], to_device(params.flat, "cpu"))


@pytest.mark.parametrize("decay", [0, 1.1, -0.5, float("nan")])
def test_refuses_a_decay_that_is_no_share(decay):
    with pytest.raises(ValueError, match="layer_rates: decay must be more than 0 and at most 1"):
        layer_rates(start(), decay)
