import numpy as np
import pytest

import minivit
from minivit.backend import beside, to_device
from minivit.optim import is_matrix
from tests.numeric import relative_error

OPTIMIZERS = {
    "sgd": (
        lambda p: minivit.SGD(p, 0.1, momentum=0.8),
        lambda torch, p: torch.optim.SGD(p, 0.1, momentum=0.8),
    ),
    "sgd without momentum": (
        lambda p: minivit.SGD(p, 0.1, momentum=0.0),
        lambda torch, p: torch.optim.SGD(p, 0.1),
    ),
    "adam": (
        lambda p: minivit.Adam(p, 0.01),
        lambda torch, p: torch.optim.Adam(p, 0.01),
    ),
    "adam with other constants": (
        lambda p: minivit.Adam(p, 0.01, betas=(0.8, 0.95), eps=1e-3),
        lambda torch, p: torch.optim.Adam(p, 0.01, betas=(0.8, 0.95), eps=1e-3),
    ),
    "adamw": (
        lambda p: minivit.AdamW(p, 0.01, decay=0.3),
        lambda torch, p: torch.optim.AdamW(
            [{"params": p[:1], "weight_decay": 0.3}, {"params": p[1:], "weight_decay": 0}], 0.01
        ),
    ),
}


def start(seed=0):
    rng = np.random.default_rng(seed)
    return minivit.Params({"w": rng.standard_normal((3, 5)), "b": rng.standard_normal(5)}), rng


def test_ema_is_a_weighted_mean_of_all_parameters_so_far(device):
    params, rng = start()
    history = [params.flat.copy()]
    params = params.to(device)
    ema = minivit.EMA(params, 0.7)
    for _ in range(20):
        history.append(rng.standard_normal(params.flat.shape))
        params.flat[...] = beside(history[-1], params.flat)
        ema.update()
    weights = [1.0]
    for t in range(1, 21):
        decay = min(0.7, (1 + t) / (10 + t))
        weights = [weight * decay for weight in weights] + [1 - decay]
    assert sum(weights) == pytest.approx(1)
    average = to_device(ema.params.flat, "cpu")
    np.testing.assert_allclose(average, weights @ np.array(history), rtol=1e-12)
    np.testing.assert_array_equal(to_device(params.flat, "cpu"), history[-1])
    assert ema.params.named()[0][1].base is ema.params.flat


@pytest.mark.parametrize("decay", [1, -0.1, float("nan")])
def test_ema_refuses_a_decay_that_never_learns(decay):
    with pytest.raises(ValueError, match="EMA: decay must be at least 0 and less than 1"):
        minivit.EMA(start()[0], decay)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_pytorch_over_20_steps(name, device):
    torch = pytest.importorskip("torch")
    ours, theirs = OPTIMIZERS[name]
    params, rng = start()
    twins = [torch.tensor(leaf, requires_grad=True) for _, leaf in params.named()]
    grads, params = params.zeros_like(), params.to(device)
    optimizer, twin_optimizer = ours(params), theirs(torch, twins)
    for step in range(20):
        optimizer.lr = rate = 0.02 / (step + 1)
        for group in twin_optimizer.param_groups:
            group["lr"] = rate
        grads.flat[...] = rng.standard_normal(grads.flat.shape)
        for twin, (_, gradient) in zip(twins, grads.named(), strict=True):
            twin.grad = torch.tensor(gradient)
        optimizer.step(grads.to(device))
        twin_optimizer.step()
        for twin, (_, leaf) in zip(twins, params.to("cpu").named(), strict=True):
            assert relative_error(leaf, twin.detach().numpy()) <= 1e-12


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float32_is_kept_and_gradients_are_left_alone(name):
    params = start()[0].astype(np.float32)
    optimizer, grads = OPTIMIZERS[name][0](params), params.zeros_like()
    grads.flat += 1
    optimizer.step(grads)
    arrays = [value for value in vars(optimizer).values() if isinstance(value, np.ndarray)]
    assert {array.dtype for array in [*arrays, params.flat]} == {np.dtype(np.float32)}
    assert (grads.flat == 1).all()


def test_only_matrices_decay():
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=3,
        pool="cls",
    )  # fmt: skip
    params = minivit.Params(model.init(np.random.default_rng(0)))
    decays = [name for name, leaf in params.named() if is_matrix(name, leaf)]
    assert decays == [
        "patches.w", "blocks.0.attn.qkv.w", "blocks.0.attn.proj.w", "blocks.0.mlp.fc1.w",
        "blocks.0.mlp.fc2.w", "head.w",
    ]  # fmt: skip
    before = params.flat.copy()
    minivit.AdamW(params, 0.1, decay=0.5).step(params.zeros_like())
    shrunk = params.mask(is_matrix).astype(bool)
    np.testing.assert_allclose(params.flat[shrunk], 0.95 * before[shrunk], rtol=1e-6)
    np.testing.assert_array_equal(params.flat[~shrunk], before[~shrunk])


def test_notices_a_replaced_leaf():
    params, _ = start()
    optimizer = minivit.Adam(params, 0.01)
    grads = params.zeros_like()
    optimizer.step(grads)
    grads["b"] = np.ones(5)
    with pytest.raises(ValueError, match="gradient 'b' no longer shares memory"):
        optimizer.step(grads)
    params["w"] = np.ones((3, 5))
    with pytest.raises(ValueError, match="parameter 'w' no longer shares memory"):
        optimizer.step(params.zeros_like())


def test_refuses_gradients_of_another_model_or_an_array():
    params, _ = start()
    other = minivit.Params({"w": np.zeros((2, 2))})
    with pytest.raises(ValueError, match="4 gradients for 20 parameters"):
        minivit.SGD(params, 0.1).step(other)
    with pytest.raises(TypeError, match="expected the gradients as Params, .* got ndarray"):
        minivit.SGD(params, 0.1).step(params.flat)


@pytest.mark.parametrize("schedule", [minivit.warmup_linear, minivit.warmup_cosine])
@pytest.mark.parametrize("warmup", [0, 1, 15])
def test_schedules_go_up_to_the_peak_and_down_to_zero(schedule, warmup):
    rates = [schedule(step, steps=100, warmup=warmup, peak=3.0) for step in range(101)]
    assert rates[warmup] == 3.0 == max(rates)
    assert rates[0] > 0
    assert rates[100] == pytest.approx(0)
    assert rates[99] > 0
    assert rates[: warmup + 1] == sorted(rates[: warmup + 1])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    np.testing.assert_allclose(np.diff(rates[: warmup + 1]), 3 / (warmup + 1))
    halfway = schedule((100 + warmup) / 2, steps=100, warmup=warmup, peak=3.0)
    assert halfway == pytest.approx(1.5)
    near = schedule(warmup + (100 - warmup) / 5, steps=100, warmup=warmup, peak=3.0)
    assert near == pytest.approx(2.4 if schedule is minivit.warmup_linear else 2.7135, rel=1e-4)


@pytest.mark.parametrize("warmup", [0, 4000])
def test_the_inverse_root_is_the_papers_with_its_peak(warmup):
    """Vaswani et al. 2017, equation 3, whose first step is step 1, and whose warm-up ends there."""
    dim, last = 512, warmup + 1
    for step in (1, 2, last, last + 1, 100_000):
        paper = dim**-0.5 * min(step**-0.5, step * last**-1.5)
        rate = minivit.warmup_inverse_sqrt(step - 1, warmup=warmup, peak=(dim * last) ** -0.5)
        assert rate == pytest.approx(paper, rel=1e-12)


def test_clipping_equals_pytorch(device):
    torch = pytest.importorskip("torch")
    for limit in (0.5, 1e3):
        grads, _ = start()
        twins = [torch.zeros(leaf.shape, dtype=torch.float64) for _, leaf in grads.named()]
        for twin, (_, leaf) in zip(twins, grads.named(), strict=True):
            twin.grad = torch.tensor(leaf)
        grads = grads.to(device)
        norm = float(minivit.clip_by_global_norm(grads, limit))
        expected = torch.nn.utils.clip_grad_norm_(twins, limit)
        assert norm == pytest.approx(expected.item(), rel=1e-12)
        for twin, (_, leaf) in zip(twins, grads.to("cpu").named(), strict=True):
            assert relative_error(leaf, twin.grad.numpy()) <= 1e-12


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_refuses_to_clip_to_a_norm_that_is_not_positive(limit):
    with pytest.raises(ValueError, match="max_norm must be positive"):
        minivit.clip_by_global_norm(start()[0], limit)


@pytest.mark.parametrize("size", [1, 1e-3, 9e14, 9e17, 3e19, 3e36])
def test_clipping_keeps_direction_and_dtype_of_gradients_of_any_size(size, device):
    """The squares of a thousand float32 numbers of 9e17, added up, are no longer a float32."""
    rng = np.random.default_rng(0)
    before = size * rng.uniform(0.5, 1, 1000)
    grads = minivit.Params({"w": before.astype(np.float32)}).to(device)
    norm = minivit.clip_by_global_norm(grads, 1e-3)
    assert (grads.flat.dtype, norm.dtype) == (np.float32, np.float32)
    assert float(norm) == pytest.approx(np.linalg.norm(before), rel=1e-6)
    expected = 1e-3 * before / np.linalg.norm(before)
    np.testing.assert_allclose(to_device(grads.flat, "cpu"), expected, rtol=1e-4)


def test_clipping_leaves_zero_and_does_not_hide_what_is_not_finite():
    grads = start()[0].astype(np.float32)
    assert minivit.clip_by_global_norm(grads.zero(), 1.0) == 0
    assert not grads.flat.any()
    for value in (np.nan, np.inf, -np.inf):
        grads.zero()["b"][2] = value
        with np.errstate(invalid="ignore"):
            assert not np.isfinite(minivit.clip_by_global_norm(grads, 1.0))
