"""Backward passes that are public and not right, as public_code.py has those that are."""

import numpy as np

from minivit import gradcheck

from .public_code import NEIGHBOURS, TOKENS, cmu, neighbour, numbers

__all__ = ["NEIGHBOURS"]  # all of them, once this is read
FEW = "it is right to a few digits only: a constant cut short, an eps, a clip or float32"


@neighbour(
    "Ultron09/Numpy-Transformer", "d9e0e9b5716fe918de31ac24e0b9a48cda838a70",
    "gpt_numpy.py", "MultiHeadAttention", licence="MIT (README)",
    found="wrong: the gradient of v takes the attention weights from before dropout",
    says="x, W_v.weight, W_v.bias: cause unknown",
    true="yes: it names no cause; what v passes back is wrong, and nothing else",
)  # fmt: skip
def ultron_attention(source):
    return gradcheck(source.module("gpt_numpy").MultiHeadAttention(6, 2), numbers(*TOKENS))


@neighbour(
    "AkiRusProd/numpy-transformer", "656470af9a5a13cb43975e148085a0aeadb87fda",
    "transformer/layers/combined/self_attention.py", "MultiHeadAttention",
    found="wrong: softmax's gradient is divided by the batch size (activations.py)",
    says="activation is wrong on its own: x: it is 1/batch_size = 1/4 times what it should be, "
    "in every entry",
)  # fmt: skip
def aki_attention(source):
    code = source.module("transformer.layers.combined.self_attention")
    attention = code.MultiHeadAttention(6, 2, 0.0, data_type=np.float64)
    return gradcheck(attention, *numbers(3, 4, 5, 6), np.ones((4, 5, 5)))


@neighbour(
    "AkiRusProd/numpy-transformer", "656470af9a5a13cb43975e148085a0aeadb87fda",
    "transformer/layers/base/layer_norm.py", "LayerNormalization",
    found="wrong: gamma multiplies the result, but it belongs inside both means",
    says="it is right where gamma is 1 everywhere: look at where gamma enters",
)  # fmt: skip
def aki_layer_norm(source):
    code = source.module("transformer.layers.base.layer_norm")
    return gradcheck(code.LayerNormalization(6, data_type=np.float64), numbers(*TOKENS))


@neighbour(
    "Michel-Liao/scratch-vit", "60f17995e89e4a8091d222ceb4ddeee6b230179c",
    "src/multi_head_attention.py", "MultiHeadAttention",
    found="wrong: softmax subtracts the maximum of another row, which does not cancel (softmax.py)",
    says="softmax.0 is wrong on its own: x: it is right for each token alone: look at what mixes "
    "the tokens of an image",
)  # fmt: skip
def scratch_vit(source):
    return gradcheck(
        source.module("src.multi_head_attention").MultiHeadAttention(6, 2), numbers(*TOKENS)
    )


@neighbour(
    "xinghaow99/transformer_from_scratch", "b1f3bad4086adfa5695595dd99c75a88d4819119",
    "modules/layer_normalization.py", "LayerNormalization",
    found="wrong: the gradients of gamma and beta are swapped",
    says="gamma: it is the gradient of beta",
)  # fmt: skip
def swapped(source):
    class Optimizer:
        def count_layers(self, name):
            return 0

        def register_params(self, name, array):
            pass

    code = source.module("layer_normalization", "modules")
    layer = code.LayerNormalization(Optimizer(), 6, data_type=np.float64)
    return gradcheck(layer, numbers(*TOKENS))


UESINA = "Transformer-algorithm-application-numpy.py"


@neighbour(
    "uesina15-max/Transformer-algorithm-application-numpy-",
    "027f5bddbb0593d70f4dfc2656407fb16385dcff", UESINA, "Linear", licence="MIT",
    found="wrong: x is transposed image by image and then reshaped, which mixes the images; "
    "and the result is divided by the batch size",
    says="W: it is right for each image alone: look at what mixes the images of a batch",
)  # fmt: skip
def mixed_batch(source):
    return gradcheck(source.definitions(UESINA).Linear(6, 4), numbers(*TOKENS))


@neighbour(
    "uesina15-max/Transformer-algorithm-application-numpy-",
    "027f5bddbb0593d70f4dfc2656407fb16385dcff", UESINA, "MultiHeadAttention", licence="MIT",
    found="wrong: the weights as in Linear; and the gradient of x is the sum of those of q, k and "
    "v, which do not go back through their weights",
    says="Wq is wrong on its own: W: it is right for each image alone: look at what mixes the "
    "images of a batch",
    true="yes, of the weights; that x is wrong it says, but not why",
)  # fmt: skip
def projections_left_out(source):
    return gradcheck(source.definitions(UESINA).MultiHeadAttention(6, 2), numbers(*TOKENS))


@neighbour(
    "JackHanke/nets", "2715d3fbee6d1e014d3a0c4c9db7e1023cf688dd",
    "models/attention/attention.py", "MultiHeadAttention",
    found="wrong for q and k: the slopes y (1 − y) of softmax are multiplied as a matrix",
    says="w_q, w_k: cause unknown",
    true="yes: it names no cause; w_v and w_o are right",
)  # fmt: skip
def nets(source):
    attention = source.module("models.attention.attention").MultiHeadAttention
    softmax = source.module("functions.activation_funcs").SoftMax()
    x, label = numbers(2, *TOKENS)

    def loss(w_q, w_k, w_v, w_o):
        heads = attention(6, 2, softmax, list(w_q), list(w_k), list(w_v), w_o)
        y = heads._forward(x, x, x)
        dw_o, *others = heads._backward(x, x, x, label)
        return 0.5 * ((y - label) ** 2).sum() / len(x), *map(np.array, others), dw_o

    return gradcheck(loss, *numbers(3, 2, 6, 3), numbers(6, 6))


@neighbour(
    "arpita-sethii/Transformers-from-scratch", "164b360b5eefeb6ecb33d4aac5a535aee3747721",
    "Attention_is_all_you_need_encoder_block (1).ipynb", "layer_norm_backward",
    licence="a line in the README",
    found="not quite: the forward adds eps to the standard deviation, the backward to the variance",
    says=FEW,
)  # fmt: skip
def eps_beside_the_root(source):
    code = source.definitions("Attention_is_all_you_need_encoder_block (1).ipynb")
    return gradcheck(code.layer_norm, code.layer_norm_backward, numbers(*TOKENS))


@neighbour(
    "puru-samal/IDL-HW4", "9b3855a7a75c3670dd4e041592d7f2a9a2d133f9",
    "mytorch/nn/scaled_dot_product_attention.py", "ScaledDotProductAttention",
    found="not quite: softmax adds 1e-8 to its sum, and the backward does not know of it",
    says=f"softmax is wrong on its own: Z: {FEW}",
)  # fmt: skip
def cmu_eps(source):
    return cmu(source)


@neighbour(
    "nisheetdas1/mytorch", "c6f4500ab2c0018afc639ddcec9f30bc9799afaa",
    "mytorch/nn/scaled_dot_product_attention.py", "ScaledDotProductAttention",
    found="wrong where values have another width than keys: the backward divides by its root",
    says="it is 0.866025 times what it should be, in every entry",
)  # fmt: skip
def cmu_width(source):
    return cmu(source)


@neighbour(
    "zk2275/IDL-HW4", "654e0cd906de4e48633f1e71f410904dd1e2581c",
    "mytorch/nn/activation.py", "Softmax over another axis than the last",
    found="wrong: the axis that was moved to the end is not moved back",
    says="its axes are in the wrong order, as after transpose(0, 2, 1) and a reshape",
)  # fmt: skip
def cmu_axis(source):
    return gradcheck(source.module("mytorch.nn.activation").Softmax(1), numbers(2, 3, 4))


@neighbour(
    "zk2275/IDL-HW4", "654e0cd906de4e48633f1e71f410904dd1e2581c",
    "mytorch/nn/linear.py", "Linear",
    found="wrong: the gradient of the bias is a column",
    says="the gradient of b has shape (3, 1), but b has shape (3,)",
)  # fmt: skip
def cmu_column(source):
    return gradcheck(source.module("mytorch.nn.linear").Linear(4, 3), numbers(2, 5, 4))
