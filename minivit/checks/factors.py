"""What a factor is likely to be: 1/B, √d, −1, or a number that the source has a name for."""

import itertools
import math


def name_of_factor(factor, m):
    """A factor by the name of what it is likely to be: 1/B, √d, −1, …; m is a Mismatch."""
    known = {"−1": -1.0, "2": 2.0, "½": 0.5}
    for several in map(_powers, m.numbers) if m.numbers else _likely(m):
        fitting = [
            name
            for name, value in (known | several).items()
            if math.isclose(factor, value, rel_tol=1e-6)
        ]
        if fitting:
            return " or ".join(fitting)
    return f"{factor:.6g}"


def _likely(m):
    """Yield {text: number} of a layer of minivit, the likeliest first.

    First the sizes of the arrays and 1/ them, then what is made of the layer's rates, and of two
    sizes.
    """
    sizes = _sizes(m)
    yield _powers(sizes.items())
    for made in (_made_of_rates(m.rates), _made_of_sizes(sizes)):
        yield {f"{text} = {number:.6g}": number for text, number in made}


def _powers(sizes):
    """{text: number} of [(name, number)], of their roots if they are called √, and of 1/ them."""
    known = {}
    for name, size in sizes:
        root, value = ("√", size**0.5) if name[0] == "√" else ("", size)
        known |= {f"{name} = {root}{size:g}": value, f"1/{name} = 1/{root}{size:g}": 1 / value}
    return known


def _sizes(m):
    """{name: size}; those called √ stand for their roots."""
    sizes = dict(zip("B", m.x_shape, strict=False))
    dy = m.forward.get("dy")
    if len(m.x_shape) == 3:
        B, T, D = m.x_shape
        sizes |= {"D": D, "T": T, "B·T": B * T, "√D": D}
        sizes |= {"√d": D // m.heads, "d": D // m.heads} if m.heads else {}
    elif len(m.x_shape) == 4 and getattr(dy, "ndim", 0) == 3:  # patches of images
        B, N, _ = dy.shape
        sizes |= {"N": N, "B·N": B * N}
    elif len(m.x_shape) == 2:
        B, width = m.x_shape
        name = "K" if m.forward and not getattr(dy, "ndim", 0) else "D"  # a loss has classes
        sizes |= {name: width, f"B·{name}": B * width}
    return sizes


def _made_of_sizes(sizes):
    for name, other in itertools.permutations("BK" if "K" in sizes else "", 2):
        yield f"{name}/{other}", sizes[name] / sizes[other]
    for name in [name for name in sizes if len(name) == 1 and sizes[name] > 1]:
        yield f"{name}/({name} − 1)", sizes[name] / (sizes[name] - 1)
        yield f"({name} − 1)/{name}", (sizes[name] - 1) / sizes[name]
    if "√d" in sizes:
        yield "√d/√D", (sizes["√d"] / sizes["√D"]) ** 0.5


def _made_of_rates(rates):
    """Of numbers below one, such as the rates of dropout or smoothing."""
    kept = {f"(1 − {name})": 1 - rate for name, rate in rates.items()}
    names = rates | kept
    names |= {f"{a} · {b}": kept[a] * kept[b] for a, b in itertools.combinations(kept, 2)}
    for name, number in names.items():
        yield name, number
        yield f"1/({name})" if "·" in name else f"1/{name}", 1 / number
