"""The ViT that is in a file: its arguments, by the shapes of its arrays and what is said of it."""

import math
import re

from ..layers.refusals import pair, positive_integers
from ..models.size import MOST_NUMBERS, fewest_parameters

ARRAYS_OF_BLOCK = 11  # at least: two norms and four maps, without the bias of q, k and v


def arguments_of(layout, shapes, facts, given):
    """The arguments of the ViT that is in the file, and how many positions it learned."""
    names = {rule.ours: rule.theirs[0] for rule in layout.rules}

    def shape_of(ours, axes):
        name = names[ours].format(0)
        if len(shapes.get(name, ())) != axes:
            raise ValueError(f"{name} is {shapes.get(name, 'missing')}; expected {axes} axes")
        return shapes[name]

    patch_size, channels = layout.sizes(shape_of("patches.w", 4))
    (dim,), (mlp_dim,) = shape_of("patches.b", 1), shape_of("blocks.{}.mlp.fc1.b", 1)
    depth = _depth(names["blocks.{}.ln1.w"], shapes)
    places = shape_of("pos", 3)[1]
    class_token = names["cls"] in shapes
    has = {ours for ours, name in names.items() if name.format(0) in shapes}
    arguments = dict(
        image_size=_image_size(places, class_token, facts.image_size, patch_size),
        patch_size=patch_size, channels=channels, dim=dim, depth=depth, mlp_dim=mlp_dim,
        classes=shape_of("head.b", 1)[0] if "head.b" in has else 0,
        norm_pooled="pooled_ln.w" in has,
        pre_logits=shape_of("pre_logits.b", 1)[0] if "pre_logits.b" in has else None,
        layer_scale=1e-5 if "blocks.{}.ls1.w" in has else None, activation=facts.activation,
        heads=_known("heads", given["heads"], facts.heads),
        eps=_known("eps", given["eps"], facts.eps),
    )  # fmt: skip
    pool = _known("pool", given["pool"], facts.pool)
    if pool not in ("cls", "mean") or (pool == "cls" and not class_token):
        raise ValueError(
            f'pool must be "mean", or "cls" where there is a class token; got {pool!r}'
        )
    arguments["pool"] = "patch_mean" if pool == "mean" and class_token else pool
    _refuse_other_claims(arguments, facts.claims)
    return arguments, places


def _depth(name, shapes):
    """How many blocks there are, by the name of an array that each of them has."""
    before, after = map(re.escape, name.split("{}"))
    return len({found for found in shapes if re.fullmatch(rf"{before}\d+{after}", found)})


def _refuse_other_claims(arguments, claims):
    for name, claim in claims.items():
        actual = arguments[name]
        if claim is not None and claim not in (actual, [actual] * 2):
            raise ValueError(f"config.json says {name} {claim!r:.40}; the arrays are of {actual}")


def _known(name, given, found):
    if given is None and found is None:
        raise ValueError(f"nothing in it says {name}; give {name}=")
    return found if given is None else given


def _image_size(places, class_token, image_size, patch_size):
    """[height, width] of the images for which the positions were learned."""
    counts = (places - class_token, places)  # the class token may have a position, or none
    if not image_size:
        for count in counts:
            side = math.isqrt(count)
            if side * side == count:
                return [side * patch_size] * 2
        raise ValueError(
            f"{places} positions are no square; expected a config.json with image_size"
        )
    height, width = pair("config.json", "image_size", image_size)
    H, W = positive_integers("config.json", height=height, width=width)
    if (H // patch_size) * (W // patch_size) not in counts:
        raise ValueError(f"config.json says images of {H} x {W} pixels, but has {places} positions")
    return [H, W]


def expect_usable_size(own, image_size, arrays):
    """Refuse a model that is larger than its file, before memory is taken for it."""
    dim, mlp_dim, P, C = (own[name] for name in ("dim", "mlp_dim", "patch_size", "channels"))
    total = sum(math.prod(array.shape) for array in arrays.values())
    if fewest_parameters(own) > total or own["depth"] * ARRAYS_OF_BLOCK > len(arrays):
        raise ValueError(
            f"its {len(arrays):,} arrays of {total:,} numbers are too few for {own['depth']:,} "
            f"blocks of {dim} features, {mlp_dim} in MLPs, and {own['classes']} classes"
        )
    H, W = pair("ViT", "image_size", image_size)
    tokens = H * W // P**2 + 1
    if max(H * W * C, tokens * dim, tokens**2) > MOST_NUMBERS:
        raise ValueError(f"images of {H} x {W} pixels, {tokens:,} tokens, are too large")
