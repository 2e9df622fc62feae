"""One case a layer: the layer, the shape of its input, and its twin in PyTorch.

All sizes differ from each other, most are prime, none is square: a transposition or a wrong axis
cannot hide.
"""

from typing import Any, NamedTuple

from minivit.layers import (
    GELU,
    MLP,
    Attention,
    ClassToken,
    FirstToken,
    LayerNorm,
    Linear,
    MeanPool,
    Patches,
    Positions,
    PreNormBlock,
    Softmax,
)


class Case(NamedTuple):
    layer: Any
    shape: tuple
    twin: Any  # (torch_reference module, parameters, x) -> y


CASES = {
    "linear": Case(Linear(7, 5), (2, 3, 7), lambda ref, p, x: ref.linear(p, x)),
    "layernorm": Case(LayerNorm(7), (2, 3, 7), lambda ref, p, x: ref.layer_norm(p, x)),
    "gelu": Case(GELU(), (2, 3, 7), lambda ref, p, x: ref.gelu(p, x)),
    "softmax": Case(Softmax(), (2, 3, 7), lambda ref, p, x: ref.softmax(p, x)),
    "mlp": Case(MLP(5, 11), (2, 3, 5), lambda ref, p, x: ref.mlp(p, x)),
    "attention": Case(Attention(15, 3), (2, 7, 15), lambda ref, p, x: ref.attention(p, x, 3)),
    "block": Case(PreNormBlock(6, 2, 11), (3, 5, 6), lambda ref, p, x: ref.block(p, x, 2)),
    "patches": Case(Patches(6, 10, 2, 3, 7), (2, 6, 10, 3), lambda ref, p, x: ref.patches(p, x, 2)),
    "class_token": Case(ClassToken(5), (2, 3, 5), lambda ref, p, x: ref.class_token(p, x)),
    "positions": Case(Positions(3, 5), (2, 3, 5), lambda ref, p, x: ref.positions(p, x)),
    "mean_pool": Case(MeanPool(), (2, 3, 5), lambda ref, p, x: x.mean(dim=1)),
    "first_token": Case(FirstToken(), (2, 3, 5), lambda ref, p, x: x[:, 0]),
}
