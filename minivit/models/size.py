"""How large a model is, told from its arguments before memory is taken for it."""

from typing import Any

from ..layers import Stem
from ..layers.refusals import pair, positive_integers

SIZES = ("dim", "depth", "heads", "mlp_dim", "classes", "channels")
MOST_NUMBERS = 2**28  # of one image: its pixels, tokens or attention


def expect_no_larger(sizes, weights):
    """Refuse a ViT that is larger than its weights, or whose images fit into no memory.

    sizes:   the model's arguments, by name, as a file says them
    weights: the Params that are to be its own
    Errors: KeyError for a size that is missing; ValueError, TypeError or OverflowError for one that
    makes no sense.
    """
    if not isinstance(sizes, dict):
        raise ValueError(f"expected its sizes by name, got {str(sizes)[:40]}")
    sizes = {"classes": 1} | sizes  # without a head, less than with one
    if sizes["classes"] == 0:
        raise ValueError("it has no classes, only features; give it a head, and train that")
    whole = positive_integers("ViT", **{name: sizes[name] for name in SIZES})
    dim, depth, heads, _, _, channels = whole
    P, Q = positive_integers("ViT", **patch_sides(sizes))
    height, width = pair("ViT", "image_size", sizes["image_size"])
    height, width = positive_integers("ViT", height=height, width=width)
    if sizes.get("pre_logits") is not None:
        positive_integers("ViT", pre_logits=sizes["pre_logits"])
    stem = Stem(height, width, channels, sizes.get("stem", []))
    of_stem = sum(conv.linear.d_in * conv.linear.d_out for conv in stem.convs)
    rest, arrays = sizes | {"channels": stem.dim}, len(weights.named())
    if of_stem + fewest_parameters(rest) > weights.flat.size or depth > arrays:
        raise ValueError(
            f"it has more parameters than the {weights.flat.size:,} in {arrays:,} arrays that "
            "weights.safetensors holds"
        )
    tokens = stem.rows * stem.columns // (P * Q)
    squares = (conv.rows * conv.columns * conv.linear.d_in for conv in stem.convs)
    of_image = height * width * channels
    if max(of_image, *squares, stem.numbers, tokens * dim, tokens**2 * heads) > MOST_NUMBERS:
        raise ValueError(
            f"images of {height:,} x {width:,} pixels, {tokens:,} patches, are too large"
        )


def fewest_parameters(sizes: dict[str, Any]) -> int:
    """How many numbers the matrices of a ViT of these arguments have, without its other parts."""
    dim, hidden = sizes["dim"], sizes.get("pre_logits") or 0
    of_block = dim * (4 * dim + 2 * sizes["mlp_dim"])  # attention and MLP
    P, Q = patch_sides(sizes).values()
    of_patches = dim * P * Q * sizes["channels"]
    of_head = hidden * dim + sizes["classes"] * (hidden or dim)
    return sizes["depth"] * of_block + of_patches + of_head


def patch_sides(sizes):
    """The height and width of a patch, by name."""
    P, Q = pair("ViT", "patch_size", sizes["patch_size"])
    return {"patch_size": P, "patch_size (width)": Q}
