"""The MLP of a block (Vaswani et al. 2017, arXiv:1706.03762, equation 2, with GELU as in ViT)."""

import numpy as np

from .gelu import GELU
from .gelu_exact import ExactGELU
from .linear import Linear
from .refusals import expect_one_of

ACTIVATIONS = {"gelu_tanh": GELU, "gelu_exact": ExactGELU}


class MLP:
    """Each token by itself is widened, gated and narrowed again: y = fc2(gelu(fc1(x))).

    Params   fc1 {w (D, F), b (F,)}   fc2 {w (F, D), b (D,)}
    Forward  x (..., D) -> y (..., D)
    Cache    fc1, act, fc2: the caches of the three

    The backward runs the same three in reverse; that is all the chain rule says about a chain.
    """

    def __init__(self, dim, mlp_dim, gain=1.0, activation="gelu_tanh"):
        """`gain` scales the initial weights of the way out, fc2.

        activation: "gelu_tanh" or "gelu_exact", the gate between the two
        """
        expect_one_of("MLP", "activation", activation, list(ACTIVATIONS))
        self.fc1 = Linear(dim, mlp_dim)
        self.act = ACTIVATIONS[activation]()
        self.fc2 = Linear(mlp_dim, dim, gain)

    def init(self, rng, dtype=np.float32):
        return {"fc1": self.fc1.init(rng, dtype), "fc2": self.fc2.init(rng, dtype)}

    def forward(self, params, x):
        cache = {}
        hidden, cache["fc1"] = self.fc1.forward(params["fc1"], x)  # (..., F)
        gated, cache["act"] = self.act.forward(hidden)  # (..., F)
        y, cache["fc2"] = self.fc2.forward(params["fc2"], gated)  # (..., D)
        return y, cache

    def backward(self, params, dy, cache, grads):
        dgated = self.fc2.backward(params["fc2"], dy, cache["fc2"], grads["fc2"])  # (..., F)
        dhidden = self.act.backward(dgated, cache["act"])  # (..., F)
        dx = self.fc1.backward(params["fc1"], dhidden, cache["fc1"], grads["fc1"])  # (..., D)
        return dx
