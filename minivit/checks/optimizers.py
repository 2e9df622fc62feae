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
GRADIENT = RNG.uniform(0.5, 1.5, 26) * RNG.choice([-1, 1], 26)  # of the 26 parameters


def parameters():
    """One matrix, which may decay, and two vectors, which may not; all random."""
    rng = np.random.default_rng(0)
    w, b, of_norm = (rng.standard_normal(shape) for shape in ((3, 5), 7, 4))
    return Params({"w": w, "b": b, "ln": {"w": of_norm}})


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


def expect_rule(findings, make, rule):
    """Add that eight steps under random gradients, at changing rates, follow a rule.

    rule(optimizer, t, p, g, memory) returns p after step t; memory is a dict that lasts. The rule
    is the textbook's, one line for each line there.
    """
    rng, optimizer = np.random.default_rng(2), make(parameters(), LR)
    params, grads, memory = optimizer.params, parameters(), {"m": 0.0, "v": 0.0}
    expected, after = params.flat.copy(), params.flat
    if hasattr(optimizer, "rates"):
        optimizer.rates = rng.uniform(0.5, 1.5, expected.shape)
    for t in range(1, 9):
        optimizer.lr = LR * rng.uniform(0.5, 1.5)
        grads.flat[...] = rng.standard_normal(expected.shape)
        optimizer.step(grads)
        expected = rule(optimizer, t, expected, grads.flat, memory)
    findings.expect("eight steps at changing rates follow the rule", after, expected, 1e-9)


def sgd_rule(optimizer, t, p, g, memory):
    memory["v"] = optimizer.momentum * memory["v"] + g
    return p - optimizer.lr * memory["v"]


def adam_rule(optimizer, t, p, g, memory):
    beta1, beta2 = optimizer.betas
    memory["m"] = beta1 * memory["m"] + (1 - beta1) * g
    memory["v"] = beta2 * memory["v"] + (1 - beta2) * g**2
    m_hat, v_hat = memory["m"] / (1 - beta1**t), memory["v"] / (1 - beta2**t)
    return p - optimizer.lr * optimizer.rates * m_hat / (np.sqrt(v_hat) + optimizer.eps)


def adamw_rule(optimizer, t, p, g, memory):
    decays = np.repeat([1.0, 0.0], [15, 11])  # w decays, the others do not
    decayed = p * (1 - optimizer.lr * optimizer.rates * optimizer.decay * decays)
    return adam_rule(optimizer, t, decayed, g, memory)


def sgd(make):
    """Check stochastic gradient descent with momentum, make(params, lr); return Findings."""
    findings, g = Findings(), GRADIENT
    optimizer, (first, second, third) = moves(make, g, g, 0 * g)
    m = optimizer.momentum
    findings.expect("the first step is lr · velocity", first.flat, -LR * g)
    findings.expect("the second step is lr · velocity", second.flat, -LR * (1 + m) * g)
    name = "the third step, without a gradient, is lr · velocity"
    findings.expect(name, third.flat, -LR * (m + m**2) * g)
    expect_rule(findings, make, sgd_rule)
    return findings


def adam(make, rule=adam_rule):
    """Check Adam, make(params, lr), at the vector b, which never decays; return Findings.

    rule: see `expect_rule`; None to leave that out
    """
    findings, g = Findings(), GRADIENT
    sign = np.sign(g[15:22])
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
    if rule:
        expect_rule(findings, make, rule)
    return findings


def adamw(make):
    """Check Adam with decoupled weight decay: all of `adam`, and the decay; return Findings."""
    findings, g, w = adam(make, adamw_rule), GRADIENT, parameters()["w"]
    optimizer, (still,) = moves(make, 0 * g)
    decay = -LR * optimizer.decay * w
    findings.expect("a matrix decays by lr · decay", still["w"], decay)
    moved = still["b"].any() or still["ln"]["w"].any()
    findings.add("a vector does not decay", not moved, "it moves without a gradient")

    def without_decay(params, lr):
        optimizer = make(params, lr)
        optimizer.decay = 0.0
        return optimizer

    (_, (step,)), (_, (undecayed,)) = moves(make, g), moves(without_decay, g)
    findings.expect("the decay bypasses both averages", step["w"] - undecayed["w"], decay)
    return findings


def muon(make):
    """Check Muon's steps of the matrices inside the blocks, and of the rest; return Findings."""
    findings, rng = Findings(), np.random.default_rng(0)
    shapes = {"qkv": (6, 18), "kv": (6, 12), "proj": (6, 6), "fc": (10, 6)}
    nest = {name: {"w": rng.standard_normal(shape)} for name, shape in shapes.items()}
    params = Params({"blocks": [nest], "ln": {"w": rng.standard_normal(4)}})
    optimizer = make(params, LR)
    rest_lr, grads = optimizer.rest.lr, params.zeros_like()

    def step(gradient, share=1.0):
        """Step at a share of the rate; return what moved, but for the decay."""
        optimizer.lr, decay = share * LR, share * LR * optimizer.decay
        before = params.flat * (1 - decay)
        grads.flat[...] = gradient
        optimizer.step(grads)
        return params.of(params.flat - before)

    gradient = rng.standard_normal(grads.flat.shape)
    move = step(gradient)
    for name in shapes:
        side_by_side = {"qkv": 3, "kv": 2}.get(name, 1)
        parts = np.split(move["blocks"][0][name]["w"], side_by_side, axis=1)
        size = LR * math.sqrt(max(1, parts[0].shape[1] / parts[0].shape[0]))
        values = [np.linalg.svd(part, compute_uv=False) for part in parts]
        findings.expect(f"a step of {name} has equal singular values", values, size, 0.4)
    findings.add("a step goes downhill", move.flat @ grads.flat < 0, "it follows the gradient")

    optimizer.decay = optimizer.rest.decay = 0.0
    slower = step(gradient, share=0.5)
    expected = -0.5 * rest_lr * np.sign(grads["ln"]["w"])  # Adam's, as the gradient is the same
    findings.expect("the rest moves at its rate, slower as the others", slower["ln"]["w"], expected)

    velocity = (1 + optimizer.momentum) * gradient
    for _ in range(60):  # until little is left of the first
        gradient = rng.standard_normal(gradient.shape)
        velocity = optimizer.momentum * velocity + gradient
        move = step(gradient)
    ahead = params.of(gradient + optimizer.momentum * velocity)
    share = _along(move["blocks"][0]["fc"]["w"], -ahead["blocks"][0]["fc"]["w"])
    observed = f"only {share:.2f} of a step goes where it should"
    findings.add("old gradients fade at the rate of the momentum", share > 0.95, observed)
    return findings


def _along(move, gradient):
    """The share of a step that goes along U Vᵀ of a gradient, −1 … 1."""
    u, _, vt = np.linalg.svd(gradient, full_matrices=False)
    straight = u @ vt
    return float((move * straight).sum() / np.linalg.norm(move) / np.linalg.norm(straight))


def clipping(clip):
    """Check clip(grads, max_norm), which clips by the global norm; return Findings."""
    findings, grads = Findings(), parameters()
    grads.flat *= 5 / np.linalg.norm(grads.flat)
    large = grads.flat.copy()
    findings.expect("it returns the norm before clipping", float(clip(grads, 2.0)), 5, 1e-5)
    after = np.linalg.norm(grads.flat)
    findings.expect("a large gradient is clipped to the norm", after, 2, 1e-5)
    findings.expect("clipping keeps the direction", grads.flat / after, large / 5)
    grads.flat[...] = large / 50
    clip(grads, 2.0)
    findings.expect("a small gradient stays the same", grads.flat, large / 50, 1e-5)
    norms = []
    for sign in (1, -1):  # their squares overflow
        huge = parameters().astype(np.float32)
        huge.flat[...] = sign * 1e30 * abs(large)
        with np.errstate(over="ignore"):
            norms.append(float(clip(huge, 2.0)))
    findings.expect("squares of huge gradients do not overflow", norms, [5e30, 5e30], 1e-5)
    return findings


def schedule(rate, ends=True):
    """Check a schedule rate(step, steps=, warmup=, peak=) with warm-up; return Findings.

    ends: whether it goes down to zero; one that does not is not told the number of steps
    """
    findings, steps, warmup = Findings(), 50, 10
    given = dict(warmup=warmup, peak=2.0) | (dict(steps=steps) if ends else {})
    rates = np.array([rate(i, **given) for i in range(steps)])
    observed = (
        f"from {rates[0]:.3g} to {rates.max():.3g} at step {rates.argmax()}, then {rates[-1]:.3g}"
    )
    findings.add("every step has a rate above zero", (rates > 0).all(), observed)
    findings.add("it rises during warm-up", (np.diff(rates[: warmup + 1]) > 0).all(), observed)
    findings.add("it falls after warm-up", (np.diff(rates[warmup:]) < 0).all(), observed)
    findings.expect("it peaks at the end of warm-up", rates[warmup], 2)
    if ends:
        findings.add("the last rate is small", rates[-1] < 0.1, observed)
    else:
        expected = 2 * np.sqrt((warmup + 1) / np.arange(warmup + 1, steps + 1))
        findings.expect("it falls as the root of the step", rates[warmup:], expected)
    return findings


def layer_rates(rates_of):
    """Check rates_of(params, decay), the share of the rate for each layer; return Findings."""
    findings, one = Findings(), np.ones(2)
    names = ["patches", "cls", "pos", "ln", "head"]
    nest = {name: {"w": one} for name in names} | {"blocks": [{"attn": {"w": one}}] * 3}
    params = Params(nest)
    rates = params.of(rates_of(params, 0.5))
    blocks = [float(block["attn"]["w"][0]) for block in rates["blocks"]]
    findings.expect(
        "the rate halves from block to block, going down", blocks, [1 / 8, 1 / 4, 1 / 2]
    )
    others = [float(rates[name]["w"][0]) for name in names]
    expected = [1 / 16, 1 / 16, 1 / 16, 1, 1]
    findings.expect("below the blocks it is least, above them whole", others, expected)
    return findings


def average(make):
    """Check a moving average of the parameters, make(params); return Findings."""
    findings, params = Findings(), parameters()
    start = params.flat.copy()
    ema = make(params)
    params.flat += 1.0
    ema.update()
    share = float((ema.params.flat - start).mean())  # of the way to the new parameters
    findings.add(
        "the first update forgets the start", 0.5 < share < 1, f"it moves {share:.3g} of 1"
    )
    findings.expect("the parameters stay the same", params.flat, start + 1)
    ema.decay, expected = 0.9, ema.params.flat.copy()
    for t in range(2, 200):
        params.flat += RNG.standard_normal(params.flat.shape)
        ema.update()
        expected += (1 - min(ema.decay, (1 + t) / (10 + t))) * (params.flat - expected)
    findings.expect("it follows the parameters at its rate", ema.params.flat, expected)
    return findings
