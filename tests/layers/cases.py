"""One case a layer: the layer, the shape of its input, and its twin in PyTorch.

The layers and shapes are those that the demo checks. All sizes differ from each other, most are
prime, none is square: a transposition or a wrong axis cannot hide.
"""

from typing import Any, NamedTuple

from minivit.checks.cases import CASES as CHECKED
from minivit.checks.one_input import words_at


class Case(NamedTuple):
    layer: Any
    shape: tuple
    twin: Any  # (torch_reference module, parameters, x) -> y


TWINS = {
    "linear": lambda ref, p, x: ref.linear(p, x),
    "gelu": lambda ref, p, x: ref.gelu(p, x),
    "gelu_exact": lambda ref, p, x: ref.gelu_exact(p, x),
    "mlp": lambda ref, p, x: ref.mlp(p, x),
    "layernorm": lambda ref, p, x: ref.layer_norm(p, x),
    "softmax": lambda ref, p, x: ref.softmax(p, x),
    "attention": lambda ref, p, x: ref.attention(p, x, 3),
    "masked_attention": lambda ref, p, x: ref.causal_attention(p, x, 3),
    "rotary": lambda ref, p, x: ref.rotary(x),
    "rotary_attention": lambda ref, p, x: ref.rotary_attention(p, x, 2),
    "cross_attention": lambda ref, p, x: ref.cross_attention(p, x[:, :5], x[:, 5:], 3),
    "decoder_block": lambda ref, p, x: ref.decoder_block(p, x[:, :3], x[:, 3:], 2),
    "post_norm_decoder": lambda ref, p, x: ref.post_norm_decoder(p, x[:, :3], x[:, 3:], 2),
    "causal_block": lambda ref, p, x: ref.causal_block(p, x, 2),
    "embedding": lambda ref, p, x: ref.embedding(p, x, words_at(x, 7)),
    "shared_words": lambda ref, p, x: ref.embedding(p, x, words_at(x, 7)) @ p["w"].T,
    "block": lambda ref, p, x: ref.block(p, x, 2),
    "layer_scale": lambda ref, p, x: ref.layer_scale(p, x),
    "scaled_block": lambda ref, p, x: ref.block(p, x, 2),
    "post_norm": lambda ref, p, x: ref.post_norm_block(p, x, 2),
    "identity": lambda ref, p, x: x.clone(),
    "convolution": lambda ref, p, x: ref.convolution(p, x),
    "halve": lambda ref, p, x: ref.halve(x),
    "stage": lambda ref, p, x: ref.stage(p, x),
    "strided": lambda ref, p, x: ref.strided(p, x, 3, 2),
    "stem": lambda ref, p, x: ref.stem(p, x, [(3, 2, 5), (2, 1, 4)]),
    "patches": lambda ref, p, x: ref.patches(p, x, 2),
    "class_token": lambda ref, p, x: ref.class_token(p, x),
    "positions": lambda ref, p, x: ref.positions(p, x),
    "sinusoids_1d": lambda ref, p, x: x + ref.sinusoids_1d(3, 10),
    "sinusoids_2d": lambda ref, p, x: x + ref.sinusoids_2d(2, 5, 12),
    "mean_pool": lambda ref, p, x: x.mean(dim=1),
    "patch_mean_pool": lambda ref, p, x: x[:, 1:].mean(dim=1),
    "patch_boxes": lambda ref, p, x: ref.patch_boxes(x, 2, 5, 3),
    "first_token": lambda ref, p, x: x[:, 0],
    "twice": lambda ref, p, x: ref.twice(x, ref.positions(p, x)),
    "pre_logits": lambda ref, p, x: ref.pre_logits(p, x),
}
CASES = {
    name: Case(CHECKED[name].make(), CHECKED[name].shape, twin) for name, twin in TWINS.items()
}
