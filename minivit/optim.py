"""Optimizers on one flat vector, learning-rate schedules, and clipping by the global norm.

    optimizer = Adam(params, lr=1e-3)
    optimizer.step(grads)               reads grads.flat, changes params.flat

An optimizer sees two vectors, p and g, and nothing of the network; what it remembers between steps
are vectors of the same length.
"""

import math

from .backend import array_module, device_of
from .memory import Memory


class Optimizer(Memory):
    """What all optimizers share: the parameters, the rate `lr` (set it at any time), two checks.

    A subclass defines `update(p, g)`, which changes the flat vector p in place, given its gradient,
    and names in `memory` what it remembers between steps (memory.py).
    """

    def __init__(self, params, lr):
        self.params, self.lr = params, lr

    def step(self, grads):
        """Change the parameters by one step against `grads` (Params of the same nest; not changed).

        Errors: ValueError if a leaf of either was replaced and so left the flat vector, or if their
        sizes or places differ.
        """
        self.params.require_views("parameter")
        grads.require_views("gradient")
        if grads.flat.shape != self.params.flat.shape:
            raise ValueError(
                f"{grads.flat.size} gradients for {self.params.flat.size} parameters; "
                "make them with params.zeros_like()"
            )
        if device_of(grads.flat) != device_of(self.params.flat):
            raise ValueError(
                f"gradients are on {device_of(grads.flat)}, the parameters on "
                f"{device_of(self.params.flat)}; make them with params.zeros_like()"
            )
        self.update(self.params.flat, grads.flat)


class SGD(Optimizer):
    """Gradient descent with momentum (Polyak 1964, in the form that PyTorch uses).

        velocity ← momentum · velocity + g
        p ← p − lr · velocity

    A gradient that keeps its direction is followed up to 1 / (1 − momentum) times as fast.
    """

    memory = ("velocity",)

    def __init__(self, params, lr, *, momentum=0.9):
        super().__init__(params, lr)
        self.momentum = momentum
        self.velocity = params.zeros_like().flat

    def update(self, p, g):
        self.velocity *= self.momentum
        self.velocity += g
        p -= self.lr * self.velocity


class Adam(Optimizer):
    """Adam (Kingma and Ba 2014, arXiv:1412.6980, algorithm 1).

        t ← t + 1
        m ← β₁ m + (1 − β₁) g            average of the gradients         m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²           average of their squares         v̂ = v / (1 − β₂ᵗ)
        p ← p − lr · m̂ / (√v̂ + ε)

    m and v start at zero and so are too small at first; the divisions correct that.
    """

    memory = ("t", "m", "v")

    def __init__(self, params, lr, *, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, lr)
        self.betas, self.eps, self.t = betas, eps, 0
        self.m = params.zeros_like().flat
        self.v = params.zeros_like().flat

    def update(self, p, g):
        xp = array_module(p)
        beta1, beta2 = self.betas
        self.t += 1
        self.m *= beta1
        self.m += (1 - beta1) * g
        self.v *= beta2
        self.v += (1 - beta2) * (g * g)
        m_hat = self.m / (1 - beta1**self.t)
        v_hat = self.v / (1 - beta2**self.t)
        p -= self.lr * m_hat / (xp.sqrt(v_hat) + self.eps)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2017, arXiv:1711.05101, algorithm 2).

        p ← p − lr · decay · p           then Adam's step (PyTorch's form: lr scales the decay)

    Only the matrices decay (`is_matrix`): not biases, layer norms, positions or the class token.
    """

    def __init__(self, params, lr, *, betas=(0.9, 0.999), eps=1e-8, decay=0.05):
        super().__init__(params, lr, betas=betas, eps=eps)
        self.decay = decay
        self.decays = params.mask(is_matrix)

    def update(self, p, g):
        p -= (self.lr * self.decay) * (self.decays * p)
        super().update(p, g)


class EMA(Memory):
    """The exponential moving average of the parameters, to evaluate in their place.

        average ← average + (1 − min(decay, (1 + t) / (10 + t))) (p − average)       t = 1, 2, …

    (The idea: Polyak and Juditsky 1992, with equal weights; this form: TensorFlow's
    ExponentialMovingAverage with num_updates.)

    Steps jump to and fro across the valley of the loss; their average lies nearer to its floor. It
    looks back over about 1 / (1 − decay) steps, at first over fewer, so as to forget the start.
    """

    memory = ("t", "average")

    def __init__(self, params, decay=0.999):
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay must be at least 0 and less than 1, got {decay!r}")
        self.source, self.params = params, params.astype(params.flat.dtype)  # params: the average
        self.average = self.params.flat
        self.decay, self.t = decay, 0

    def update(self):
        """Take in the parameters as they are after a step of the optimizer."""
        self.t += 1
        decay = min(self.decay, (1 + self.t) / (10 + self.t))
        self.average += (1 - decay) * (self.source.flat - self.average)


def is_matrix(name, leaf):
    """Whether a parameter is the weight matrix of a linear map: a two-dimensional `w`."""
    return name.rpartition(".")[2] == "w" and leaf.ndim == 2


def warmup_linear(step, *, steps, warmup, peak):
    """Learning rate of `step` (0 … steps − 1): up to `peak` in `warmup` steps, then down to 0."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * (steps - step) / (steps - warmup)


def warmup_cosine(step, *, steps, warmup, peak):
    """The same way up, then half a cosine down (Loshchilov and Hutter 2016, arXiv:1608.03983)."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def clip_by_global_norm(grads, max_norm):
    """Scale the gradients, in place, to a global norm of at most `max_norm`; return what it was.

    Pascanu, Mikolov and Bengio 2012, arXiv:1211.5063, algorithm 1; one norm for all of them keeps
    their direction.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_by_global_norm: max_norm must be positive, got {max_norm!r}")
    xp = array_module(grads.flat)
    norm = xp.sqrt(grads.flat @ grads.flat)
    grads.flat *= xp.minimum(1.0, max_norm / (norm + 1e-6))  # no division by zero
    return norm
