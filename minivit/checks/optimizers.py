"""What an optimizer must do, seen in its steps under gradients chosen for it.

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
RNG = np.random.default_rng(1)
GRADIENT = RNG.uniform(0.5, 1.5, 22) * RNG.choice([-1, 1], 22)  # of the 22 parameters


def parameters():
    """One matrix, which may decay, and one vector, which may not; all random."""
    rng = np.random.default_rng(0)
    return Params({"w": rng.standard_normal((3, 5)), "b": rng.standard_normal(7)})


def moves(make, *gradients):
    """Return the optimizer, and what each step adds to the parameters, as Params.

    make(params, lr) makes the optimizer; each gradient is a flat vector, for one step.
    """
    params, steps = parameters(), []
    optimizer, grads = make(params, LR), params.zeros_like()
    for gradient in gradients:
        before = params.flat.copy()
        grads.flat[...] = gradient
        optimizer.step(grads)
        steps.append(params.astype(np.float64))
        steps[-1].flat -= before
    return optimizer, steps


def sgd(make):
    """Check stochastic gradient descent with momentum, make(params, lr); return Findings."""
    findings, g = Findings(), GRADIENT
    optimizer, (first, second, third) = moves(make, g, g, 0 * g)
    m = optimizer.momentum
    findings.expect("the first step is lr · velocity", first.flat, -LR * g)
    findings.expect("the second step is lr · velocity", second.flat, -LR * (1 + m) * g)
    name = "the third step, without a gradient, is lr · velocity"
    findings.expect(name, third.flat, -LR * (m + m**2) * g)
    return findings


def adam(make):
    """Check Adam, make(params, lr), at the vector b, which never decays; return Findings."""
    findings, g = Findings(), GRADIENT
    sign = np.sign(g[-7:])
    optimizer, (first, *others) = moves(make, g, g, g, g)
    findings.expect("the first step has size lr", first["b"], -LR * sign)
    others = [step["b"] for step in others]
    findings.expect("a constant gradient gives constant steps", others, first["b"])

    _, steps = moves(make, 1000 * g, 1000 * g)
    steps = [step["b"] for step in steps]
    findings.expect("the size of the gradient does not matter", steps, -LR * sign)

    _, (first, second) = moves(make, g, 0 * g)
    beta1, beta2 = optimizer.betas
    ratio = beta1 / (1 + beta1) / math.sqrt(beta2 / (1 + beta2))
    findings.expect("both averages decay at their rates", second["b"], ratio * first["b"])

    _, (step,) = moves(make, optimizer.eps * np.sign(g))
    findings.expect("eps is outside the root", step["b"], -LR * sign / 2)
    return findings


def adamw(make):
    """Check Adam with decoupled weight decay: all of `adam`, and the decay; return Findings."""
    findings, g, w = adam(make), GRADIENT, parameters()["w"]
    optimizer, (still,) = moves(make, 0 * g)
    decay = -LR * optimizer.decay * w
    findings.expect("a matrix decays by lr · decay", still["w"], decay)
    findings.add("a vector does not decay", not still["b"].any(), "it moves without a gradient")
    _, (step,) = moves(make, g)
    without_adam = step["w"] + LR * np.sign(g[:15].reshape(w.shape))
    findings.expect("the decay bypasses both averages", without_adam, decay, 1e-5)
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
    move = params.astype(np.float64)
    move.flat -= before * (1 - LR * optimizer.decay)
    for name in shapes:
        parts = np.split(move["blocks"][0][name]["w"], 3 if name == "qkv" else 1, axis=1)
        size = LR * math.sqrt(max(1, parts[0].shape[1] / parts[0].shape[0]))
        values = [np.linalg.svd(part, compute_uv=False) for part in parts]
        findings.expect(f"a step of {name} has equal singular values", values, size, 0.4)
    findings.add("a step goes downhill", move.flat @ grads.flat < 0, "it follows the gradient")
    return findings


def clipping(clip):
    """Check clip(grads, max_norm), which clips by the global norm; return Findings."""
    findings, grads = Findings(), parameters()
    grads.flat *= 5 / np.linalg.norm(grads.flat)
    large = grads.flat.copy()
    findings.expect("it returns the norm before clipping", float(clip(grads, 1.0)), 5, 1e-5)
    after = np.linalg.norm(grads.flat)
    findings.expect("a large gradient is clipped to the norm", after, 1, 1e-5)
    findings.expect("clipping keeps the direction", grads.flat / after, large / 5)
    grads.flat[...] = large / 50
    clip(grads, 1.0)
    findings.expect("a small gradient stays the same", grads.flat, large / 50, 1e-5)
    return findings


def schedule(rate):
    """Check a schedule rate(step, steps=, warmup=, peak=) with warm-up; return Findings."""
    findings, steps, warmup = Findings(), 50, 10
    rates = np.array([rate(i, steps=steps, warmup=warmup, peak=2.0) for i in range(steps)])
    observed = (
        f"from {rates[0]:.3g} to {rates.max():.3g} at step {rates.argmax()}, then {rates[-1]:.3g}"
    )
    findings.add("every step has a rate above zero", (rates > 0).all(), observed)
    findings.add("it rises during warm-up", (np.diff(rates[: warmup + 1]) > 0).all(), observed)
    findings.add("it falls after warm-up", (np.diff(rates[warmup:]) < 0).all(), observed)
    findings.expect("it peaks at the end of warm-up", rates[warmup], 2)
    findings.add("the last rate is small", rates[-1] < 0.1, observed)
    return findings


def average(make):
    """Check a moving average of the parameters, make(params); return Findings."""
    findings, params = Findings(), parameters()
    start = params.flat.copy()
    ema = make(params)
    params.flat += 1.0
    shares = []  # of the way to the new parameters
    for _ in range(200):
        ema.update()
        shares.append(float((ema.params.flat - start).mean()))
    forgets = 0.5 < shares[0] < 1
    findings.add("the first update forgets the start", forgets, f"it moves {shares[0]:.3g} of 1")
    findings.expect("it follows the parameters", shares[-1], 1, 1e-3)
    findings.expect("the parameters stay the same", params.flat, start + 1)
    return findings
