import numpy as np
import pytest

import minivit
from minivit.optim.muon import is_inner_matrix, orthogonalised
from minivit.threads import threads

SMALL = dict(
    image_size=4, patch_size=2, channels=1, dim=6, depth=2, heads=2, mlp_dim=9, classes=3,
    pool="cls",
)  # fmt: skip


def case(dtype=np.float64):
    rng = np.random.default_rng(0)
    params = minivit.Params(minivit.ViT(**SMALL).init(rng, dtype))
    params.flat += 0.1 * rng.standard_normal(params.flat.shape)
    return params, rng


def polynomial(s, rounds=5):
    """What the Newton–Schulz rounds do to a singular value."""
    for _ in range(rounds):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return s


@pytest.mark.parametrize("shape", [(7, 7), (5, 11), (11, 5), (1, 4)])
def test_orthogonalised_keeps_directions_and_moves_every_singular_value(shape):
    g = np.random.default_rng(0).standard_normal((3, *shape))
    for matrix, result in zip(g, orthogonalised(g), strict=True):
        u, s, vt = np.linalg.svd(matrix, full_matrices=False)
        expected = u @ np.diag(polynomial(s / np.linalg.norm(matrix))) @ vt
        np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("count", [1, 3])
def test_threads_change_nothing(count):
    results = []
    with threads(count) as mapper:
        for how in ((), (mapper,)):
            params, rng = case(np.float32)
            optimizer, grads = minivit.Muon(params), params.zeros_like()
            for _ in range(3):
                grads.flat[...] = rng.standard_normal(grads.flat.shape)
                optimizer.step(grads, *how)
            results.append(params.flat)
    np.testing.assert_array_equal(*results)
    assert (results[0] != case(np.float32)[0].flat).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_singular_values_end_near_one(dtype):
    rng = np.random.default_rng(0)
    g = rng.standard_normal((20, 64, 128)).astype(dtype) * np.logspace(-6, 6, 20)[:, None, None]
    x = orthogonalised(g.astype(dtype))
    assert x.dtype == dtype
    s = np.linalg.svd(x, compute_uv=False)
    assert s.min() > 0.65
    assert s.max() < 1.25
    assert not orthogonalised(np.zeros((2, 3, 5), dtype)).any()


def test_follows_a_re_derivation_from_the_singular_values_over_five_steps(device):
    params, rng = case()
    model = {name: leaf.copy() for name, leaf in params.named()}
    velocity = {name: np.zeros_like(leaf) for name, leaf in model.items()}
    twin = minivit.Params(params.nest)  # for the rest: AdamW, on every parameter
    rest = minivit.AdamW(twin, 3e-3, betas=(0.9, 0.98), decay=0.05)
    grads, params = params.zeros_like(), params.to(device)
    optimizer = minivit.Muon(params)
    for step in range(5):
        optimizer.lr = 0.02 / (step + 1)
        rest.lr = 3e-3 / (step + 1)
        grads.flat[...] = rng.standard_normal(grads.flat.shape)
        optimizer.step(grads.to(device))
        rest.step(grads)
        for name, g in grads.named():
            if not is_inner_matrix(name, g):
                model[name] = dict(twin.named())[name]
                continue
            velocity[name] = 0.95 * velocity[name] + g
            ahead = g + 0.95 * velocity[name]
            model[name] *= 1 - optimizer.lr * 0.05
            parts = 3 if "qkv" in name else 1
            width = ahead.shape[1] // parts
            for i in range(parts):
                columns = slice(i * width, (i + 1) * width)
                u, s, vt = np.linalg.svd(ahead[:, columns], full_matrices=False)
                values = polynomial(s / np.linalg.norm(s))
                size = optimizer.lr * max(1, width / ahead.shape[0]) ** 0.5
                model[name][:, columns] -= size * (u * values) @ vt
        for name, leaf in params.to("cpu").named():
            np.testing.assert_allclose(leaf, model[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_orthogonalises_only_the_matrices_of_the_blocks():
    params, _ = case()
    inner = [name for name, leaf in params.named() if is_inner_matrix(name, leaf)]
    layers = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    assert inner == [f"blocks.{block}.{layer}.w" for block in range(2) for layer in layers]
    shapes = {shape: len(pairs) for shape, pairs in minivit.Muon(params).groups.items()}
    assert shapes == {(6, 6): 8, (6, 9): 2, (9, 6): 2}  # q, k, v and proj of two blocks; fc1; fc2


def test_orthogonalises_the_matrices_of_a_decoder_too():
    sizes = dict(words=5, length=3, dim=6, depth=2, heads=2, mlp_dim=9, shared=False)
    params = minivit.Params({"decoder": minivit.models.Decoder(**sizes).init(np.random)})
    rest = [n for n, leaf in params.named() if leaf.ndim == 2 and not is_inner_matrix(n, leaf)]
    assert rest == ["decoder.embed.w", "decoder.head.w"]
    shapes = {shape: len(pairs) for shape, pairs in minivit.Muon(params).groups.items()}
    assert shapes == {(6, 6): 16, (6, 9): 2, (9, 6): 2}  # of each block q, k, v and proj, twice


def test_equals_pytorch_loosely():
    """PyTorch's own orthogonalises in bfloat16, which leaves three digits."""
    torch = pytest.importorskip("torch")
    params, rng = case(np.float32)
    optimizer, grads = minivit.Muon(params), params.zeros_like()
    names = [name for name, leaf in params.named() if is_inner_matrix(name, leaf)]
    names = [name for name in names if "qkv" not in name]
    twins = {n: torch.tensor(leaf.T.copy()) for n, leaf in params.named() if n in names}
    before = {name: leaf.copy() for name, leaf in params.named()}
    twin_optimizer = torch.optim.Muon(
        [torch.nn.Parameter(twin) for twin in twins.values()], lr=0.02, weight_decay=0.05,
        momentum=0.95, nesterov=True, ns_coefficients=(3.4445, -4.7750, 2.0315), ns_steps=5,
        adjust_lr_fn="original",
    )  # fmt: skip
    for _ in range(3):
        grads.flat[...] = rng.standard_normal(grads.flat.shape)
        gradients = dict(grads.named())
        parameters = twin_optimizer.param_groups[0]["params"]
        for name, parameter in zip(names, parameters, strict=True):
            parameter.grad = torch.tensor(gradients[name].T.copy())
        gradient = grads.flat.copy()
        optimizer.step(grads)
        np.testing.assert_array_equal(grads.flat, gradient)
        twin_optimizer.step()
    assert {params.flat.dtype, optimizer.velocity.dtype} == {np.dtype(np.float32)}
    for name, parameter in zip(names, parameters, strict=True):
        ours = dict(params.named())[name] - before[name]
        theirs = parameter.detach().numpy().T - before[name]
        assert np.linalg.norm(ours - theirs) <= 0.05 * np.linalg.norm(theirs), name


def test_refuses_a_rate_that_leaves_no_proportion():
    with pytest.raises(ValueError, match="lr must be positive, got 0"):
        minivit.Muon(case()[0], lr=0)
