"""The mathematics: one file a layer, forward and backward side by side.

Reading order: linear, gelu, mlp, layernorm, softmax, attention, dropout, block, patches,
class_token, positions, pool; then the variants gelu_exact, layer_scale, pre_logits, post_norm,
sinusoids and identity; then keep_tokens, fill_tokens and twice, for models that see a part of an
image, and patch_boxes, which says where things are; then masked_attention, rotary, cross_attention,
decoder_block and embedding, for models that write; then convolution, halve and stage, which do
without attention, and stem, which does so before patches are cut. (Small helpers: initial for
initial values, sums for sums and means as products, keys_first for a product in another order of
memory, hiding for hidden scores, refusals for the checks of sizes and shapes.)

A token is a vector of D numbers. `patches` makes one of each of the N patches of an image, the
blocks turn tokens into tokens, and `pool` makes one vector of them for the head to read.

Every layer is an object that holds sizes and sub-layers, nothing else:

    nest     = layer.init(rng, dtype)                        nested dicts of arrays: the parameters
    y, cache = layer.forward(params, x)                      cache: what backward needs
    dx       = layer.backward(params, dy, cache, grads)      adds to grads, returns dLoss/dx

A layer that never has parameters (softmax, GELU, dropout, pooling) is called without them, and has
no init:

    y, cache = layer.forward(x)
    dx       = layer.backward(dy, cache)

A layer that reads two sequences, such as cross-attention, takes the second one, its memory, after
x, and its backward returns two gradients, in their order:

    y, cache    = layer.forward(params, x, memory)
    dx, dmemory = layer.backward(params, dy, cache, grads)

`dx` always means dLoss/dx, for any array x, and has its shape. backward gets `dy`, the gradient of
its own output, from the layer after it. `params` and `grads` have the same nest; `cache` nests like
the layers. Parameters are only read. Gradients are added to, so several batches may be summed by
calling backward several times. The cache may hold x itself: leave x as it is until after backward.

The legend, for every shape in this folder:

    B  batch                     D  width of the model (dim)      H, W  height, width of the image
    T  tokens: N, or N + 1       h  heads                         C     channels of the image
       with a class token        d  width of a head, D / h        P, Q  height, width of a patch
    R  rows: all the tokens      F  width of the MLP (mlp_dim)    N     patches, (H / P) · (W / Q)
       of a batch, B · T         L  blocks (depth)                K     classes
    M  tokens that are kept      A  patches that are asked for    E     width of a decoder
    S  tokens of a memory        V  words                         t     tokens so far
    d_in, d_out  widths of a linear map, before and after; S of a hidden layer before the head
"""

from .attention import Attention
from .block import PreNormBlock
from .class_token import ClassToken
from .convolution import Convolution
from .cross_attention import CrossAttention
from .decoder_block import CausalBlock, PostNormDecoderBlock, PreNormDecoderBlock
from .dropout import Dropout
from .embedding import Embedding
from .fill_tokens import FillTokens
from .gelu import GELU
from .gelu_exact import ExactGELU
from .halve import Halve
from .identity import Identity
from .keep_tokens import KeepTokens
from .layer_scale import LayerScale
from .layernorm import LayerNorm
from .linear import Linear
from .masked_attention import MaskedAttention
from .mlp import MLP
from .patch_boxes import PatchBoxes
from .patches import Patches
from .pool import FirstToken, MeanPool, PatchMeanPool
from .positions import Positions
from .post_norm import PostNormBlock
from .pre_logits import PreLogits
from .rotary import Rotary
from .sinusoids import SinusoidalPositions, SinusoidalPositions2D
from .softmax import Softmax
from .stage import Stage
from .stem import Stem, StridedConvolution
from .twice import Twice

__all__ = [
    "GELU",
    "MLP",
    "Attention",
    "CausalBlock",
    "ClassToken",
    "Convolution",
    "CrossAttention",
    "Dropout",
    "Embedding",
    "ExactGELU",
    "FillTokens",
    "FirstToken",
    "Halve",
    "Identity",
    "KeepTokens",
    "LayerNorm",
    "LayerScale",
    "Linear",
    "MaskedAttention",
    "MeanPool",
    "PatchBoxes",
    "PatchMeanPool",
    "Patches",
    "Positions",
    "PostNormBlock",
    "PostNormDecoderBlock",
    "PreLogits",
    "PreNormBlock",
    "PreNormDecoderBlock",
    "Rotary",
    "SinusoidalPositions",
    "SinusoidalPositions2D",
    "Softmax",
    "Stage",
    "Stem",
    "StridedConvolution",
    "Twice",
]
