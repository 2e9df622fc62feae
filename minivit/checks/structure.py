"""What no gradient check can see: a forward and a backward that agree, and are both wrong.

Attention over the heads instead of the tokens, a softmax over the queries, positions that are not
added, dropout that is alive in evaluation: each has the right gradient of the wrong thing. They
break properties that every Vision Transformer has.
"""

import copy
from typing import Any

import numpy as np

from ..layers import Identity
from ..losses import cross_entropy, detection
from ..models import Encoder, ViT
from ..params import Params
from .inside import all_sublayers, takes_rng
from .masks import mask_fault
from .numeric import random_params
from .report import Findings

IMAGES = 16  # so many that no chance hides a difference from all of them


def structure(model: Any, seed: int = 0) -> Findings:
    """Check the properties of a `ViT` or a `Detector`; return Findings, one for each.

    Runs a few images through the model, in float64, at random parameters and at the initial ones,
    and every dropout in the model many times, at its rates (or at rates of 0.5 where they are 0).
    """
    rng = np.random.default_rng(seed)
    params = random_params(model, rng)
    shape = (*model.config["image_size"], model.config["channels"])
    images = rng.standard_normal((IMAGES, *shape))
    logits, cache = model.forward(params, images)
    findings = Findings()

    def expect_small(name, error, limit=1e-9):
        findings.add(name, error < limit, f"off by {error:.1e}")

    again, _ = model.forward(params, images)
    findings.add("evaluation is deterministic", np.array_equal(again, logits), "two passes differ")
    light, _ = model.forward(params, images, keep=False)
    expect_small("without a cache, the answer is the same", _difference(light, logits))
    alone = np.concatenate([model.forward(params, image[None])[0] for image in images])
    expect_small("images of a batch do not affect each other", _difference(alone, logits))

    attention = [block["attn"] for block in cache["blocks"]]
    sums = max(abs(each["att"].sum(axis=-1) - 1).max() for each in attention)
    expect_small("attention weights of a query sum to one", sums)
    error = max(_difference(each["att"], _attention(each["q"], each["k"])) for each in attention)
    expect_small("attention is softmax(q kᵀ / √d)", error)
    expect_small("branches add to the residual stream", _identity(model, params, rng))
    ln = model.blocks[0].ln1
    x = 3 + 2 * rng.standard_normal((2, 3, ln.dim))
    y, _ = ln.forward(ln.init(rng, np.float64), x)
    variance = 1 / (1 + model.config["eps"] / x.var(axis=-1))  # 1, but for eps
    errors = y.mean(axis=-1), (y**2).mean(axis=-1) - variance
    expect_small("layer norm gives mean 0, variance 1", np.abs(errors).max())
    if isinstance(model, ViT):
        token = rng.standard_normal(model.config["dim"])
        pooled, _ = model.pool.forward(np.tile(token, (2, 5, 1)))
        expect_small("equal tokens pool to that token", abs(pooled - token).max())

    fault = next(_wrong_masks(model, rng), None)
    findings.add("dropouts leave out what their rates say", fault is None, fault)
    rates = [block.drop1.path_rate for block in model.blocks]
    evenly = np.arange(1, len(rates) + 1) * model.config["drop_path"] / len(rates)
    observed = f"the rates of the blocks are {np.round(rates, 4).tolist()}"
    findings.add("stochastic depth grows evenly", np.allclose(rates, evenly, 1e-9, 0), observed)
    large = params.astype(np.float64)
    for block in large["blocks"]:
        block["attn"]["qkv"]["w"] *= 1e3  # scores around a million
    with np.errstate(all="ignore"):
        finite = np.isfinite(model.forward(large, images)[0]).all()
    findings.add("large scores do not overflow", finite, "logits are not finite")

    # Layer norm makes ±1 of two features, whatever their size: next to nothing gets through it.
    passes = model.config["dim"] > 2
    if passes:
        reach = _reach(model, params, rng)
        missing = f"{(~reach).sum()} of {reach.size} pairs do not"
        findings.add("every token reaches every token", reach.all(), missing)
    rest, seen = _after_stem(model, params, images)
    if passes and model.config["positions"] and model.patches.count > 1:
        moves = _difference(*_swapped(rest, params, seen)) > 1e-9
        findings.add("positions matter", moves, "two patches can change places")
    still = copy.deepcopy(rest)
    still.pos = Identity()
    for block in still.blocks:
        block.attn.rotary = False
    error = _difference(*_swapped(still, params, seen))
    expect_small("without positions, order does not matter", error)

    if passes:
        silent = ", ".join(_silent_dropouts(model, params, images))
        findings.add("every dropout takes part in training", not silent, f"{silent} does not")
        sizes = _gradient_sizes(model, rng, images)
        worst = max(sizes, key=lambda name: abs(np.log(sizes[name])))
        observed = f"{worst} is {sizes[worst]:.1e} times the median"
        findings.add("initial gradients have a sane size", 1e-3 < sizes[worst] < 1e3, observed)
    return findings


def _difference(a, b):
    return float(abs(a - b).max() / abs(b).max())


def _attention(q, k):
    """The attention weights (B, h, T, T) by their plain formula."""
    weights = np.exp(np.einsum("bhtd,bhsd->bhts", q, k) / q.shape[-1] ** 0.5)
    return weights / weights.sum(axis=-1, keepdims=True)


def _reach(model, params, rng):
    """(T, T) whether a change of token i, before the first block, changes token j after it."""
    T, D = model.tokens, model.config["dim"]
    reach = np.eye(T, dtype=bool)
    for _ in range(IMAGES):
        x, change = rng.standard_normal((2, T, D))
        changed = x + np.eye(T)[:, :, None] * change  # (T, T, D), an image for each token
        before, after = (
            model.blocks[0].forward(params["blocks"][0], a)[0] for a in (x[None], changed)
        )
        reach |= (abs(after - before) > 1e-12).any(axis=-1)
    return reach


def _identity(model, params, rng):
    """How much a block with silent branches changes the stream, beside the layer norms in it."""
    silent = params.astype(np.float64)["blocks"][0]
    for last in (silent["attn"]["proj"], silent["mlp"]["fc2"]):
        for leaf in last.values():
            leaf[...] = 0
    x = rng.standard_normal((1, model.tokens, model.config["dim"]))
    block = model.blocks[0]
    y, _ = block.forward(silent, x)
    if model.config["norm"] == "post":  # both layer norms stand in the stream
        x, _ = block.ln1.forward(silent["ln1"], x)
        x, _ = block.ln2.forward(silent["ln2"], x)
    return _difference(y, x)


def _wrong_masks(model, rng):
    """Yield a sentence for each dropout inside whose masks are wrong (masks.py)."""
    for name, dropout in _dropouts(model):
        if fault := mask_fault(dropout, rng):
            yield f"{name} {fault}"


def _dropouts(model):
    """[(name, dropout)] of every dropout inside."""
    inside = list(all_sublayers(model))
    return [(name, sub) for name, sub in inside if takes_rng(sub) and hasattr(sub, "rate")]


def _silent_dropouts(model, params, images):
    """Yield the names of dropouts that change nothing in training, though all others are off."""
    model = copy.deepcopy(model)
    for _, dropout in _dropouts(model):
        dropout.rate = dropout.path_rate = 0.0
    usual, _ = model.forward(params, images)
    for name, dropout in _dropouts(model):
        dropout.rate = 0.5
        dropped, _ = model.forward(params, images, np.random.default_rng(0))
        dropout.rate = 0.0
        if np.array_equal(dropped, usual):
            yield name


def _after_stem(model, params, images):
    """The model without its stem, if it has one, and what that makes of the images."""
    if not model.config.get("stem"):
        return model, images
    rest = copy.deepcopy(model)
    rest.stem = Identity()
    return rest, model.stem.forward(params["stem"], images)[0]


def _swapped(model, params, images):
    """The answer with the first and the last patch in each other's place, and as it is.

    Where each patch answers for itself, that is the tokens', those two back in their old places.
    """
    swapped, (P, Q) = images.copy(), np.broadcast_to(model.patches.patch_size, 2)
    swapped[:, :P, :Q], swapped[:, -P:, -Q:] = images[:, -P:, -Q:], images[:, :P, :Q]
    if isinstance(model, ViT):
        return [model.forward(params, each)[0] for each in (swapped, images)]
    moved, still = (Encoder.forward(model, params, each)[0] for each in (swapped, images))
    moved[:, [0, -1]] = moved[:, [-1, 0]]
    return [moved, still]


def _gradient_sizes(model, rng, images):
    """{name: root mean square of a block matrix's first gradients, over the median of them all}."""
    params = Params(model.init(rng, np.float64))
    params["head"]["w"][...] = rng.standard_normal(params["head"]["w"].shape)  # else all are zero
    for name, leaf in params.named():
        if ".ls" in name:
            leaf[...] = 1  # else it may be tiny, as it starts
    answer, cache = model.forward(params, images)
    numbers, grads = np.arange(len(images)) % model.config["classes"], params.zeros_like()
    if isinstance(model, ViT):
        _, danswer = cross_entropy(answer, numbers)
    else:
        side = model.patches.patch_size
        targets = [model.targets([[number, 0, 0, side, side]]) for number in numbers]
        _, danswer = detection(answer, np.stack(targets))
    model.backward(params, danswer, cache, grads)
    sizes = {
        name: float(np.sqrt((leaf**2).mean())) + 1e-300
        for name, leaf in grads.named()
        if name.startswith("blocks.") and leaf.ndim == 2
    }
    return {name: size / np.median(list(sizes.values())) for name, size in sizes.items()}
