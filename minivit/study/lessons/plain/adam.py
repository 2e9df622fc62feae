"""Adam (Kingma and Ba 2014, arXiv:1412.6980, algorithm 1)."""

import numpy as np

from ....optim.optimizer import Optimizer


class Adam(Optimizer):
    """Steps of about equal size for every parameter, whatever the size of its gradients.

        t ← t + 1
        m ← β₁ m + (1 − β₁) g            average of the gradients         m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²           average of their squares         v̂ = v / (1 − β₂ᵗ)
        p ← p − lr · m̂ / (√v̂ + ε)

    m and v start at zero and are too small at first; the divisions correct that.

    Params   p (n,), all of them in one vector, and their gradients g (n,)
    """

    lasting = ("t", "m", "v")  # what a checkpoint keeps

    def __init__(self, params, lr, *, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, lr)
        self.betas, self.eps, self.t = betas, eps, 0
        self.m = params.zeros_like().flat
        self.v = params.zeros_like().flat

    def update(self, p, g):
        beta1, beta2 = self.betas
        self.t += 1
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * g * g
        m_hat = self.m / (1 - beta1**self.t)
        v_hat = self.v / (1 - beta2**self.t)
        p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
