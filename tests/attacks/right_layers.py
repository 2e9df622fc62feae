"""Draw thousands of right layers and models, and count those that the checker accuses.

    .venv/bin/python -m tests.attacks.right_layers [--count 5000] [--seed 0]
    .venv/bin/python -m tests.attacks.right_layers --seed 0 --only 1234

Every layer of minivit, cross-entropy, CNNs and Vision Transformers, of any sizes they take (one
among them), at inputs of scale 1e-6 to 1e4, many of them with nothing to see: constant, zero or
equal tokens, tokens far from zero. Each number of a seed is one case, the same in every run;
`--only` runs one alone and prints its whole report. Every 20th is a model for `structure`.

A case is right if its report is ok. Rounding may hide what is to be compared, such as the slopes of
a large loss, and a report may say so. The case is refused, not accused, if no gradient is called
wrong, every problem is one of rounding, and the complex step, of a report of central differences,
does not accuse either. Anything else is an accusation, and so is an exception.
"""

import argparse
import collections
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import minivit
from minivit import layers
from minivit.checks.inside import Loss, has_params
from minivit.models import CNN, Encoder, ViT


class Case(NamedTuple):
    kind: str  # of the layer, or "structure"
    check: Callable  # of options -> the report
    described: str


# --- layers, each drawn as (layer, shape of x, whether y are logits) ---------------------------


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
        convolution, halve, stage, cnn, encoder, vit,
    )
}  # fmt: skip
TWICE = ("layernorm", "softmax", "attention", "block", "mlp", "cross_entropy", "vit", "gelu_exact")


# --- inputs, of a size around 1 ------------------------------------------------------------------


def token_axis(shape):
    """The axis along which tokens, or the rows of an image, follow one another."""
    return 1 if len(shape) > 2 else 0


def equal_tokens(rng, shape):
    x, axis = rng.standard_normal(shape), token_axis(shape)
    return np.repeat(x.take([0], axis), shape[axis], axis)


def two_equal_tokens(rng, shape):
    x = rng.standard_normal(shape)
    along = np.moveaxis(x, token_axis(shape), 0)  # a view
    along[-1] = along[0]
    return x


def some_constant(rng, shape):
    """Half of all tokens have equal features."""
    x = rng.standard_normal(shape)
    chosen = rng.random(shape[:-1]) < 0.5
    x[chosen] = x[chosen][..., :1]
    return x


def mixed(rng, shape):
    """Each token, or each number, has a scale of its own, over ten powers of ten."""
    of_tokens = (*shape[:-1], 1) if rng.random() < 0.5 else shape
    return rng.standard_normal(shape) * 10 ** rng.uniform(-10, 0, of_tokens)


INPUTS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "one number": lambda rng, shape: np.full(shape, rng.standard_normal()),
    "constant tokens": lambda rng, shape: np.broadcast_to(
        rng.standard_normal((*shape[:-1], 1)), shape
    ),
    "some tokens constant": some_constant,
    "equal tokens": equal_tokens,
    "two equal tokens": two_equal_tokens,
    "equal images": lambda rng, shape: np.broadcast_to(rng.standard_normal(shape[1:]), shape),
    "zeros": lambda rng, shape: np.zeros(shape),
    "half zeros": lambda rng, shape: rng.standard_normal(shape) * (rng.random(shape) < 0.5),
    "an offset": lambda rng, shape: (
        rng.choice([-1, 1]) + 10 ** rng.uniform(-8, 0) * rng.standard_normal(shape)
    ),
    "whole numbers": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),
    "mixed scales": mixed,
}


def squares(y):
    """Half the sum of squares, a loss."""
    return 0.5 * (y * y).sum(), y


# --- a case --------------------------------------------------------------------------------------


def drawn(seed, number):
    """The Case of that number."""
    rng = np.random.default_rng([seed, number])
    return structure_case(rng) if number % 20 == 19 else gradcheck_case(rng)


def structure_case(rng):
    model, seed = vit_of(rng, narrowest=2, fewest=2), int(rng.integers(1000))
    return Case("structure", lambda: minivit.structure(model, seed=seed), f"{model}, seed={seed}")


def gradcheck_case(rng):
    kind = str(rng.choice([*LAYERS, *TWICE]))
    layer, shape = LAYERS[kind](rng)
    name = str(rng.choice(["normal", *INPUTS]))
    scale = 10 ** rng.uniform(-6, 4)
    dtype = np.float32 if rng.random() < 0.1 else np.float64
    x = (scale * INPUTS[name](rng, tuple(shape))).astype(dtype)
    if rng.random() < 0.1:
        x = np.asfortranarray(x)
    options: dict[str, Any] = dict(
        method=str(rng.choice(["complex", "complex", "central"])),
        mode=str(rng.choice(["full", "full", "directional"])),
        entries=int(rng.choice([1, 7, 40, 1000])), seed=int(rng.integers(1000)),
    )  # fmt: skip
    options["loss"], loss_name = loss_of(rng, layer, x)
    initial = has_params(layer) and rng.random() < 0.15
    options["params"] = minivit.Params(layer.init(rng, np.float64)) if initial else None
    shown = {**options, "loss": loss_name, "params": "initial" if initial else "random"}
    described = (
        f"{described_layer(layer)} at x {x.dtype} {x.shape}, {name} x {scale:.2g}; "
        + " ".join(map(str, shown.values()))
    )
    return Case(kind, lambda **other: minivit.gradcheck(layer, x, **(options | other)), described)


def loss_of(rng, layer, x):
    """A loss that fits the layer, or None, and its name."""
    if isinstance(layer, (CNN, ViT)) and rng.random() < 0.7:
        labels = rng.integers(0, layer.config["classes"], len(x))
        smoothing = float(rng.choice([0, rng.uniform(0, 0.9)]))
        name = f"cross-entropy({smoothing:.2g})"
        return lambda y: minivit.cross_entropy(y, labels, smoothing=smoothing), name
    return (squares, "squares") if rng.random() < 0.15 else (None, "no loss")


def described_layer(layer):
    """A layer with its sizes."""
    if hasattr(layer, "config"):
        return repr(layer)
    sizes = {
        name: value
        for name, value in vars(layer).items()
        if isinstance(value, (int, float, tuple, list)) and name != "blocks"
    }
    return f"{type(layer).__name__}({', '.join(f'{k}={v}' for k, v in sizes.items())})"


# --- the judgement -------------------------------------------------------------------------------


def judged(case):
    """(outcome, what is said): "right", "refused" or "accused", and the first reason in a line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report = case.check()
            if report.ok:
                return "right", ""
            if case.kind == "structure":
                return "accused", "; ".join(f.name for f in report if not f.ok)
            others = [case.check(method="complex")] if report.method == "central" else []
        except Exception as error:
            return "accused", f"raises {type(error).__name__}: {error}"
    if all(each.ok or refuses(each) for each in [report, *others]):
        return "refused", report.problems[0]
    wrong = [row for row in report.rows if not row.ok]
    said = report.problems + [f"{row.name} {row.verdict}" for row in wrong]
    return "accused", (said or ["nothing was compared"])[0]


def refuses(report):
    """Whether a report says only that rounding hides what it should compare."""
    return (
        bool(report.problems)
        and all("rounding" in problem for problem in report.problems)
        and not any(row.verdict == "WRONG" for row in report.rows)
        and not report.explanation()
    )


def kind_of(said):
    """What is said without its numbers."""
    return re.sub(r"[-+]?\d[\d.]*(e[-+]?\d+)?", "#", said)[:100]


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.right_layers")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run the case of this number alone")
    options = parser.parse_args(argv)
    if options.only is not None:
        case = drawn(options.seed, options.only)
        print(f"{case.kind}: {case.described}")
        print(case.check())
        print(*judged(case))
        return None
    outcomes, kinds = collections.Counter(), collections.Counter()
    for number in tqdm(range(options.count), disable=None):
        case = drawn(options.seed, number)
        outcome, said = judged(case)
        outcomes[outcome] += 1
        if outcome != "right":
            kinds[outcome, case.kind, kind_of(said)] += 1
            print(f"{outcome} --seed {options.seed} --only {number}: {case.described}\n    {said}")
    print()
    for (outcome, kind, said), count in sorted(kinds.items()):
        print(f"{count:4} {outcome}: {kind}: {said}")
    print(
        f"{options.count} right layers and models: {outcomes['accused']} accused, "
        f"{outcomes['refused']} refused"
    )
    return outcomes


if __name__ == "__main__":
    main()
