"""What an optimizer must do, seen from outside: in its steps under gradients chosen for it.

    from minivit.checks import optimizers
    print(optimizers.adam(minivit.Adam))

An optimizer has no gradient to check. But each of its formulas leaves a mark: the bias correction
in the size of the first step, ε where gradients are tiny, the decay where they are zero.
"""

import math

import numpy as np

from ..params import Params
from .report import Findings

LR = 0.25


def parameters():
    """One matrix, which may decay, and one vector, which may not; all random."""
    rng = np.random.default_rng(0)
    return Params({"w": rng.standard_normal((3, 5)), "b": rng.standard_normal(7)})


def moves(make, *gradients):
    """Return what each step adds to the parameters, as Params, under one gradient after another.

    make(params, lr) makes the optimizer; a gradient is a flat vector.
    """
    params, made = parameters(), []
    optimizer, grads = make(params, LR), params.zeros_like()
    for gradient in gradients:
        before = params.flat.copy()
        grads.flat[...] = gradient
        optimizer.step(grads)
        move = params.zeros_like()
        move.flat[...] = params.flat - before
        made.append(move)
    return optimizer, made


def random_gradient():
    """A flat gradient whose numbers are all between 0.5 and 1.5 in size."""
    rng = np.random.default_rng(1)
    size = parameters().flat.size
    return rng.uniform(0.5, 1.5, size) * rng.choice([-1, 1], size)


def sgd(make):
    """Check stochastic gradient descent with momentum, make(params, lr); return Findings."""
    g, findings = random_gradient(), Findings()
    optimizer, made = moves(make, g, g, 0 * g)
    momentum = optimizer.momentum
    sizes = [1, 1 + momentum, momentum + momentum**2]
    for move, size, step in zip(
        made, sizes, ("first", "second", "third, without a gradient,"), strict=True
    ):
        ratio = float((move.flat / (-LR * g)).mean())
        findings.add(
            f"the {step} step is lr · velocity",
            np.allclose(move.flat, -LR * size * g, rtol=1e-9),
            f"it is {ratio:.4g} lr · g; expected {size:.4g}",
        )
    return findings


def adam(make):
    """Check Adam, make(params, lr), at the vector b, which never decays; return Findings."""
    findings, g = Findings(), random_gradient()
    optimizer, made = moves(make, g, g, g, g)
    beta1, beta2 = optimizer.betas
    sign = np.sign(g[-7:])
    sizes = [float((move["b"] / (-LR * sign)).mean()) for move in made]
    seen = f"steps are {', '.join(f'{size:.3g}' for size in sizes)} times lr"
    findings.add("the first step has size lr", abs(sizes[0] - 1) < 1e-6, seen)
    steady = np.ptp(sizes) < 1e-6 * sizes[0]
    findings.add("under a constant gradient all steps have one size", steady, seen)

    _, made = moves(make, 1000 * g, 1000 * g)
    same = all(np.allclose(move["b"], -LR * sign, rtol=1e-6) for move in made)
    findings.add("the size of the gradient does not matter", same, "1000 times as large")

    _, made = moves(make, g, 0 * g)
    ratio = float((made[1]["b"] / made[0]["b"]).mean())
    expected = beta1 / (1 + beta1) / math.sqrt(beta2 / (1 + beta2))
    findings.add(
        "both averages are remembered at their rates",
        abs(ratio - expected) < 1e-6,
        f"without a gradient the second step is {ratio:.4g} of the first; expected {expected:.4g}",
    )

    _, made = moves(make, optimizer.eps * np.sign(g))
    half = float((made[0]["b"] / (-LR * sign)).mean())
    findings.add(
        "eps stands outside the root",
        abs(half - 0.5) < 1e-6,
        f"a gradient of size eps makes a step of {half:.4g} lr; expected 0.5",
    )
    return findings


def adamw(make):
    """Check Adam with decoupled weight decay: all of `adam`, and the decay; return Findings."""
    findings, g, w = adam(make), random_gradient(), parameters()["w"]
    optimizer, (still,) = moves(make, 0 * g)
    expected = -LR * optimizer.decay * w
    share = float((still["w"] / (-LR * w)).mean())
    seen = f"without a gradient it moves by {share:.4g} lr · w; expected {optimizer.decay:.4g}"
    findings.add("a matrix decays by lr · decay", np.allclose(still["w"], expected), seen)
    findings.add("a vector does not decay", not still["b"].any(), "without a gradient it moves")
    _, (moved,) = moves(make, g)
    step = -LR * np.sign(g[:15].reshape(w.shape))
    findings.add(
        "the decay is no part of the gradient",
        np.allclose(moved["w"] - step, expected, rtol=1e-5),
        "with a gradient the decay is another",
    )
    return findings


def muon(make):
    """Check Muon's steps of the matrices inside the blocks; return Findings."""
    findings, rng = Findings(), np.random.default_rng(0)
    shapes = {"qkv": (6, 18), "proj": (6, 6), "fc": (10, 6)}
    nest = {name: {"w": rng.standard_normal(shape)} for name, shape in shapes.items()}
    params = Params({"blocks": [nest]})
    optimizer = make(params, LR)
    before, grads = params.flat.copy(), params.zeros_like()
    grads.flat[...] = rng.standard_normal(grads.flat.shape)
    optimizer.step(grads)
    move = params.zeros_like()
    move.flat[...] = params.flat - before * (1 - LR * optimizer.decay)
    for name in shapes:
        parts = np.split(move["blocks"][0][name]["w"], 3 if name == "qkv" else 1, axis=1)
        size = LR * math.sqrt(max(1, parts[0].shape[1] / parts[0].shape[0]))
        values = np.concatenate([np.linalg.svd(part, compute_uv=False) for part in parts]) / size
        findings.add(
            f"a step of {name} has all singular values near 1",
            abs(values - 1).max() < 0.4,
            f"they go from {values.min():.2g} to {values.max():.2g} times its size",
        )
    findings.add("a step goes downhill", move.flat @ grads.flat < 0, "it goes along the gradient")
    return findings


def clipping(clip):
    """Check clip(grads, max_norm), which clips by the global norm; return Findings."""
    findings = Findings()
    grads = parameters()
    large = grads.flat / np.linalg.norm(grads.flat) * 5
    grads.flat[...] = large
    norm = float(clip(grads, 1.0))
    findings.add("the norm before is returned", abs(norm - 5) < 1e-5, f"{norm:.4g}; expected 5")
    after = float(np.linalg.norm(grads.flat))
    findings.add("a large gradient is cut to the norm asked for", abs(after - 1) < 1e-5,
                 f"its norm is {after:.4g}; expected 1")  # fmt: skip
    cosine = float(grads.flat @ large) / (5 * after)
    findings.add("its direction is kept", cosine > 1 - 1e-9, f"cosine {cosine:.4g}")
    grads.flat[...] = large / 50
    clip(grads, 1.0)
    left = np.allclose(grads.flat, large / 50, rtol=1e-5)
    findings.add("a small gradient is left as it is", left, "it was changed")
    return findings


def schedule(rate):
    """Check a schedule rate(step, steps=, warmup=, peak=) with warm-up; return Findings."""
    findings, steps, warmup = Findings(), 50, 10
    rates = np.array([rate(i, steps=steps, warmup=warmup, peak=2.0) for i in range(steps)])
    seen = (
        f"first {rates[0]:.3g}, largest {rates.max():.3g} at {rates.argmax()}, last {rates[-1]:.3g}"
    )
    findings.add("every step has a rate above zero", (rates > 0).all(), seen)
    findings.add("it rises during warm-up", (np.diff(rates[: warmup + 1]) > 0).all(), seen)
    findings.add("it falls after warm-up", (np.diff(rates[warmup:]) < 0).all(), seen)
    findings.add("the peak is reached when warm-up ends", abs(rates[warmup] - 2) < 1e-9, seen)
    findings.add("the last rate is small", rates[-1] < 0.1, seen)
    return findings


def average(make):
    """Check a moving average of the parameters, make(params); return Findings."""
    findings, params = Findings(), parameters()
    start = params.flat.copy()
    ema = make(params)
    params.flat += 1.0
    shares = []
    for _ in range(200):
        ema.update()
        shares.append(float((ema.params.flat - start).mean()))
    seen = f"of a move by 1 it has taken in {shares[0]:.3g}, at last {shares[-1]:.3g}"
    findings.add("the first update forgets the start", 0.5 < shares[0] < 1, seen)
    findings.add("it follows the parameters", abs(shares[-1] - 1) < 1e-3, seen)
    findings.add("the parameters are left alone", np.allclose(params.flat, start + 1), "moved")
    return findings
