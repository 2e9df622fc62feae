"""What no gradient check can see: a forward and a backward that agree, and are both wrong.

Attention over the heads in place of the tokens, a softmax over the queries, positions that are not
added, dropout that is alive in evaluation: each has a gradient that is right, of the wrong thing.
What gives them away are properties that every Vision Transformer has.
"""

import copy

import numpy as np

from ..layers import Identity
from ..losses import cross_entropy
from ..models import ViT
from ..params import Params
from .numeric import random_params
from .report import Findings


def structure(model: ViT, seed: int = 0) -> Findings:
    """Check the properties of a `ViT`; return Findings, one for each.

    Runs a few images through the model, in float64, at random parameters and at the initial ones.
    """
    rng = np.random.default_rng(seed)
    params = random_params(model, rng)
    patches = model.patches
    shape = (3, patches.height, patches.width, patches.channels)
    images = rng.standard_normal(shape)
    logits, cache = model.forward(params, images)
    findings = Findings()

    again, _ = model.forward(params, images)
    findings.add("evaluation is deterministic", np.array_equal(again, logits), "two passes")

    alone = np.concatenate([model.forward(params, images[i : i + 1])[0] for i in range(3)])
    error = _difference(alone, logits)
    findings.add("images of a batch do not touch", error < 1e-9, f"they differ by {error:.1e}")

    rows = [block["attn"]["att"].sum(axis=-1) for block in cache["blocks"]]
    error = max(abs(row - 1).max() for row in rows)
    findings.add("attention of a query sums to one", error < 1e-9, f"off by {error:.1e}")

    error = max(_difference(*_attention(block["attn"])) for block in cache["blocks"])
    findings.add("attention is softmax(q kᵀ / √d)", error < 1e-9, f"off by {error:.1e}")

    reach = _reach(model, params, rng)
    findings.add(
        "every token reaches every token", reach.all(), f"{(~reach).sum()} of {reach.size} do not"
    )

    error = _identity(model, params, rng)
    findings.add("branches add to the residual stream", error < 1e-9, f"it changes by {error:.1e}")
    error = _normalised(model.blocks[0].ln1, rng)
    findings.add("layer norm leaves mean 0, variance 1", error < 1e-5, f"off by {error:.1e}")
    token = rng.standard_normal(model.config["dim"])
    pooled, _ = model.pool.forward(np.tile(token, (2, 5, 1)))
    error = abs(pooled - token).max()
    findings.add("equal tokens pool to that token", error < 1e-9, f"off by {error:.1e}")

    ones = np.ones((50, 20, 3))
    mean = model.dropout.forward(ones, rng)[0].mean()
    findings.add("dropout keeps the mean", abs(mean - 1) < 0.1, f"1 becomes {mean:.2f} on average")
    finite = np.isfinite(_with_large_scores(model, params, images)).all()
    findings.add("large scores do not overflow", finite, "logits are not finite")

    moved, _ = model.forward(params, _swap_patches(images, patches.patch_size))
    changes = _difference(moved, logits) > 1e-9
    if model.config["positions"] and patches.count > 1:
        findings.add("positions matter", changes, "two patches change places")
        still = copy.copy(model)
        still.pos = Identity()
        logits, _ = still.forward(params, images)
        moved, _ = still.forward(params, _swap_patches(images, patches.patch_size))
        changes = _difference(moved, logits) > 1e-9
    findings.add("without positions, order does not matter", not changes, "two change places")

    sizes = _gradient_sizes(model, rng, images)
    worst = max(sizes, key=lambda name: abs(np.log(sizes[name])))
    sane = 1e-3 < sizes[worst] < 1e3
    findings.add(
        "gradients start at a sane size", sane, f"{worst} is {sizes[worst]:.1e} times the median"
    )
    return findings


def _difference(a, b):
    return float(abs(a - b).max() / abs(b).max())


def _attention(cache):
    """The attention that the model used, and the same recomputed by loops over plain formulas."""
    q, k, att = cache["q"], cache["k"], cache["att"]
    expected = np.empty(att.shape)
    for place in np.ndindex(q.shape[:3]):  # image, head, query
        scores = [q[place] @ key / q.shape[-1] ** 0.5 for key in k[place[:2]]]
        weights = np.exp(scores)
        expected[place] = weights / weights.sum()
    return att, expected


def _reach(model, params, rng):
    """(T, T) whether a change of token i, before the first block, changes token j after it."""
    dim = model.config["dim"]
    x = rng.standard_normal((1, model.tokens, dim))
    block, block_params = model.blocks[0], params["blocks"][0]
    before, _ = block.forward(block_params, x)
    reached = []
    for token in range(model.tokens):
        changed = x.copy()
        changed[0, token] += rng.standard_normal(dim)
        after, _ = block.forward(block_params, changed)
        reached.append((abs(after - before)[0] > 1e-12).any(axis=-1))
    return np.array(reached)


def _with_large_scores(model, params, images):
    """Logits with scores of the attention around a million."""
    large = params.astype(np.float64)
    for block in large["blocks"]:
        block["attn"]["qkv"]["w"] *= 1e3
    with np.errstate(all="ignore"):
        return model.forward(large, images)[0]


def _identity(model, params, rng):
    """How much a block changes the stream, but for norms in it, if both branches end in zeros."""
    silent = params.astype(np.float64)["blocks"][0]
    for way_out in (silent["attn"]["proj"], silent["mlp"]["fc2"]):
        for leaf in way_out.values():
            leaf[...] = 0
    x = rng.standard_normal((1, model.tokens, model.config["dim"]))
    block, expected = model.blocks[0], x
    if model.config["norm"] == "post":  # both layer norms stand in the stream
        for name in ("ln1", "ln2"):
            expected, _ = getattr(block, name).forward(silent[name], expected)
    return _difference(block.forward(silent, x)[0], expected)


def _normalised(ln, rng):
    """How far the tokens of a layer norm with w = 1, b = 0 are from mean 0 and variance 1."""
    y, _ = ln.forward(ln.init(rng, np.float64), 3 + 2 * rng.standard_normal((2, 3, ln.dim)))
    return max(abs(y.mean(axis=-1)).max(), abs((y**2).mean(axis=-1) - 1).max())


def _swap_patches(images, patch_size):
    """The images with the first and the last patch in each other's place."""
    swapped, P = images.copy(), patch_size
    swapped[:, :P, :P], swapped[:, -P:, -P:] = images[:, -P:, -P:], images[:, :P, :P]
    return swapped


def _gradient_sizes(model, rng, images):
    """{name: root mean square of a block matrix's first gradients, over the median of them all}."""
    params = Params(model.init(rng, np.float64))
    params["head"]["w"][...] = rng.standard_normal(params["head"]["w"].shape)  # else all are zero
    logits, cache = model.forward(params, images)
    labels = np.arange(len(images)) % model.config["classes"]
    grads = params.zeros_like()
    model.backward(params, cross_entropy(logits, labels)[1], cache, grads)
    sizes = {
        name: float(np.sqrt((leaf**2).mean())) + 1e-300
        for name, leaf in grads.named()
        if name.startswith("blocks.") and leaf.ndim == 2
    }
    median = float(np.median(list(sizes.values())))
    return {name: size / median for name, size in sizes.items()}
