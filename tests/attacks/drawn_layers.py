"""Every layer of minivit, cross-entropy, CNNs and Vision Transformers, of random sizes.

Each function draws one as (layer, shape of its input).
"""

import minivit
from minivit import layers
from minivit.checks.inside import Loss
from minivit.models import CNN, Encoder, ViT


def size(rng, most=6):
    """From 1 to `most`; 1 in a fifth of all cases, where layers degenerate; a few are larger."""
    drawn = rng.random()
    return 1 if drawn < 0.2 else int(rng.integers(1, (3 * most if drawn > 0.97 else most) + 1))


def front(rng, fewest=0):
    """The axes before the features."""
    return [size(rng, 4) for _ in range(rng.integers(fewest, 4))]


def eps(rng):
    return 10 ** rng.uniform(-6, -3)


def rate(rng):
    return float(rng.choice([0, 0.95, rng.uniform(0, 0.95), rng.uniform(0, 0.95)]))


def activation(rng):
    return str(rng.choice(["gelu_tanh", "gelu_exact"]))


def width_and_heads(rng, most_heads=3):
    heads = size(rng, most_heads)
    return heads * size(rng, 4), heads


def linear(rng):
    d_in, d_out = size(rng, 8), size(rng, 8)
    return layers.Linear(d_in, d_out), (*front(rng), d_in)


def mlp(rng):
    dim = size(rng)
    return layers.MLP(dim, size(rng, 8), activation=activation(rng)), (*front(rng), dim)


def gelu(rng):
    return layers.GELU(), front(rng, fewest=1)


def gelu_exact(rng):
    return layers.ExactGELU(), front(rng, fewest=1)


def layernorm(rng):
    dim = size(rng, 9)
    return layers.LayerNorm(dim, eps(rng)), (*front(rng), dim)


def softmax(rng):
    return layers.Softmax(), (*front(rng), size(rng, 8))


def attention(rng):
    dim, heads = width_and_heads(rng)
    return layers.Attention(dim, heads), (size(rng, 3), size(rng), dim)


def dropout(rng):
    return layers.Dropout(rate(rng), rate(rng)), front(rng, fewest=1)


def block(rng):
    dim, heads = width_and_heads(rng)
    options = dict(eps=eps(rng), activation=activation(rng))
    options |= dict(dropout=rate(rng), drop_path=rate(rng))
    shape = size(rng, 3), size(rng, 4), dim
    if rng.random() < 0.3:
        return layers.PostNormBlock(dim, heads, size(rng), **options), shape
    scale = None if rng.random() < 0.5 else 10 ** rng.uniform(-6, 0)
    return layers.PreNormBlock(dim, heads, size(rng), layer_scale=scale, **options), shape


def layer_scale(rng):
    dim = size(rng, 8)
    return layers.LayerScale(dim, 10 ** rng.uniform(-6, 0)), (*front(rng), dim)


def identity(rng):
    return layers.Identity(), front(rng, fewest=1)


def patches(rng):
    P, Q = size(rng, 3), size(rng, 3)
    patch_size = (P, Q) if rng.random() < 0.5 else P
    Q = Q if isinstance(patch_size, tuple) else P
    height, width, channels = P * size(rng, 3), Q * size(rng, 3), size(rng, 3)
    layer = layers.Patches(height, width, patch_size, channels, size(rng))
    return layer, (size(rng, 3), height, width, channels)


def class_token(rng):
    dim = size(rng)
    return layers.ClassToken(dim), (size(rng, 4), size(rng, 5), dim)


def positions(rng):
    tokens, dim = size(rng, 5), size(rng)
    return layers.Positions(tokens, dim), (size(rng, 4), tokens, dim)


def sinusoids(rng):
    first, rows, columns = bool(rng.integers(2)), size(rng, 4), size(rng, 4)
    if rng.random() < 0.5:
        layer = layers.SinusoidalPositions(rows, 2 * size(rng, 5), first)
    else:
        layer = layers.SinusoidalPositions2D(rows, columns, 4 * size(rng, 3), first)
    return layer, (size(rng, 3), layer.tokens, layer.dim)


def pool(rng):
    made = (layers.MeanPool, layers.PatchMeanPool, layers.FirstToken)[rng.integers(3)]()
    fewest = isinstance(made, layers.PatchMeanPool)
    return made, (size(rng, 4), size(rng, 5) + fewest, size(rng))


def pre_logits(rng):
    dim = size(rng, 8)
    return layers.PreLogits(dim, size(rng, 8)), (size(rng), dim)


def cross_entropy(rng):
    B, K = size(rng, 8), size(rng, 8)
    labels = rng.integers(0, K, B)
    smoothing = float(rng.choice([0, rng.uniform(0, 0.99)]))
    loss = Loss(lambda logits: minivit.cross_entropy(logits, labels, smoothing=smoothing))
    return loss, (B, K)


def convolution(rng):
    channels, kernel = size(rng, 3), int(rng.choice([1, 3, 5]))
    layer = layers.Convolution(channels, size(rng, 4), kernel)
    return layer, (size(rng, 3), size(rng, 5), size(rng, 5), channels)


def halve(rng):
    return layers.Halve(), (size(rng, 3), 2 * size(rng, 3), 2 * size(rng, 3), size(rng, 3))


def stage(rng):
    channels = size(rng, 3)
    shape = size(rng, 2), size(rng, 4), size(rng, 4), channels
    return layers.Stage(channels, size(rng, 4)), shape


def stem(rng):
    sizes, channels, convolutions = (size(rng, 3), size(rng, 3)), size(rng, 3), []
    for _ in range(size(rng, 2)):  # from the last to the first: each as large as it must be
        kernel, stride = size(rng, 3), size(rng, 2)
        sizes = tuple((side - 1) * stride + kernel for side in sizes)
        convolutions.insert(0, (kernel, stride, size(rng, 4)))
    return layers.Stem(*sizes, channels, convolutions), (size(rng, 3), *sizes, channels)


def cnn(rng):
    dims = [size(rng, 4) for _ in range(size(rng, 3))]
    factor = 2 ** (len(dims) - 1)
    height, width, channels = factor * size(rng, 2), factor * size(rng, 2), size(rng, 3)
    model = CNN(image_size=(height, width), channels=channels, classes=size(rng, 4), dims=dims)
    return model, (size(rng, 3), height, width, channels)


def encoder_options(rng, narrowest):
    """Arguments of an Encoder whose width is at least `narrowest`."""
    positions = rng.choice([None, "learned", "sincos1d", "sincos2d"])
    multiple = {"sincos1d": 2, "sincos2d": 4}.get(positions, 1)
    dim = multiple * size(rng, 8 // multiple)
    dim = max(dim, narrowest)
    heads = int(rng.choice([h for h in range(1, dim + 1) if dim % h == 0]))
    P, norm = size(rng, 3), str(rng.choice(["pre", "post"]))
    scale = None if norm == "post" or rng.random() < 0.5 else 10 ** rng.uniform(-6, 0)
    return dict(
        image_size=(P * size(rng, 3), P * size(rng, 3)), patch_size=P, channels=size(rng, 3),
        dim=dim, depth=size(rng, 3), heads=heads, mlp_dim=size(rng, 8), positions=positions,
        norm=norm, eps=eps(rng), activation=activation(rng), layer_scale=scale,
        dropout=rate(rng), drop_path=rate(rng),
    )  # fmt: skip


def images_of(model, rng):
    sizes = model.patches
    return size(rng, 3), sizes.height, sizes.width, sizes.channels


def encoder(rng):
    model = Encoder(class_token=bool(rng.integers(2)), **encoder_options(rng, 1))
    return model, images_of(model, rng)


def vit_of(rng, *, narrowest, fewest):
    """A ViT of random sizes, at least `narrowest` wide, with at least `fewest` classes."""
    return ViT(
        classes=max(fewest, size(rng, 4)), pool=str(rng.choice(["mean", "cls", "patch_mean"])),
        norm_pooled=bool(rng.random() < 0.3),
        pre_logits=size(rng) if rng.random() < 0.3 else None,
        **encoder_options(rng, narrowest),
    )  # fmt: skip


def vit(rng):
    model = vit_of(rng, narrowest=1, fewest=1)
    return model, images_of(model, rng)


LAYERS = {
    function.__name__: function
    for function in (
        linear, gelu, gelu_exact, mlp, layernorm, softmax, attention, dropout, block, layer_scale,
        identity, patches, class_token, positions, sinusoids, pool, pre_logits, cross_entropy,
        convolution, halve, stage, stem, cnn, encoder, vit,
    )
}  # fmt: skip
TWICE = ("layernorm", "softmax", "attention", "block", "mlp", "cross_entropy", "vit", "gelu_exact")
