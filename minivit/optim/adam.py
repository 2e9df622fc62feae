"""Adam (Kingma and Ba 2014, arXiv:1412.6980, algorithm 1), and AdamW with its weight decay."""

from ..backend import Array, array_module
from ..params import Params
from .optimizer import Optimizer, is_matrix


class Adam(Optimizer):
    """Steps of about equal size for every parameter, whatever the size of its gradients.

        t ← t + 1
        m ← β₁ m + (1 − β₁) g            average of the gradients         m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²           average of their squares         v̂ = v / (1 − β₂ᵗ)
        p ← p − lr · m̂ / (√v̂ + ε)

    m and v start at zero and are too small at first; the divisions correct that.

    rates: (n,) what lr is multiplied by for each number, such as `layer_rates`; or 1 for all
    """

    lasting = ("t", "m", "v")

    def __init__(
        self,
        params: Params,
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        rates: Array | float = 1.0,
    ) -> None:
        super().__init__(params, lr)
        self.betas, self.eps, self.rates, self.t = betas, eps, rates, 0
        self.m = params.zeros_like().flat
        self.v = params.zeros_like().flat

    def update(self, p: Array, g: Array) -> None:
        xp = array_module(p)
        beta1, beta2 = self.betas
        self.t += 1
        self.m *= beta1
        self.m += (1 - beta1) * g
        self.v *= beta2
        self.v += (1 - beta2) * (g * g)
        m_hat = self.m / (1 - beta1**self.t)
        v_hat = self.v / (1 - beta2**self.t)
        p -= self.lr * self.rates * m_hat / (xp.sqrt(v_hat) + self.eps)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2017, arXiv:1711.05101, algorithm 2).

        p ← p − lr · decay · p           then Adam's step (PyTorch's form: lr scales the decay)

    Only the matrices decay (`is_matrix`): not biases, layer norms, positions or the class token.
    """

    def __init__(
        self,
        params: Params,
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        decay: float = 0.05,
        rates: Array | float = 1.0,
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, rates=rates)
        self.decay = decay
        self.decays = params.mask(is_matrix)

    def update(self, p: Array, g: Array) -> None:
        p -= (self.lr * self.decay * self.rates) * (self.decays * p)
        super().update(p, g)
