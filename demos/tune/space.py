"""What is searched: the parameters of a trial, and the command line of train_mnist they make."""

from ..train_mnist import RECIPES

RATES = {"muon": 0.04, "adamw": 6e-3}  # the usual learning rates; a trial has a multiple of one
FEWEST, MOST = 4, 64  # patches of an image


def space(height, width):
    """{name: Optuna's distribution} for images of that size. Any combination can be trained.

    Errors: ValueError if no square patch cuts such an image into a fair number of them.
    """
    from optuna.distributions import CategoricalDistribution as OneOf
    from optuna.distributions import FloatDistribution as Float
    from optuna.distributions import IntDistribution as Int

    return dict(
        optimizer=OneOf(list(RATES)),
        rate=Float(0.1, 4.0, log=True),  # learning rate, as a multiple of the usual one
        dim=Int(32, 128, step=32),
        depth=Int(2, 8),
        heads=OneOf([1, 2, 4]),
        patch_size=OneOf(patch_sizes(height, width)),
        dropout=Float(0.0, 0.3, step=0.05),
        augment=Float(0.0, 2.0, step=0.25),  # strength of the data's usual augmentation
    )


def patch_sizes(height, width):
    """The sides of square patches that cut an image into FEWEST to MOST."""
    sides = [
        side
        for side in range(1, min(height, width) + 1)
        if height % side == width % side == 0
        and FEWEST <= (height // side) * (width // side) <= MOST
    ]
    if not sides:
        raise ValueError(
            f"no square patch cuts {height} x {width} pixels into {FEWEST} to {MOST}; expected "
            "images such as 28 x 28"
        )
    return sides


def usual(height, width):
    """The parameters of train_mnist's defaults, with the patch nearest to its own that fits."""
    patch = min(patch_sizes(height, width), key=lambda side: abs(side - 7))
    return dict(
        optimizer="muon", rate=1.0, dim=64, depth=4, heads=4, patch_size=patch, dropout=0.0,
        augment=1.0,
    )  # fmt: skip


def recipe(params, data):
    """The options of train_mnist that parameters stand for, as texts."""
    rate = RATES[params["optimizer"]] * params["rate"]
    return [
        "--data", data, "--optimizer", params["optimizer"], "--lr", f"{rate:.3g}",
        "--patch-size", f"{params['patch_size']}", "--dim", f"{params['dim']}",
        "--depth", f"{params['depth']}", "--heads", f"{params['heads']}",
        "--mlp-dim", f"{2 * params['dim']}", "--dropout", f"{params['dropout']:g}",
        "--augment", *changes(params["augment"], data),
    ]  # fmt: skip


def asked(params, settings, shards):
    """All options of a trial's training, as texts, without its epochs."""
    return [
        *recipe(params, settings["data"]), "--batch-size", str(settings["batch_size"]),
        "--seed", str(settings["seed"]), "--shards", str(shards),
    ]  # fmt: skip


def changes(strength, data):
    """The usual augmentation of the data, so many times as strong."""
    if strength == 0:
        return []
    strong = []
    for change in RECIPES.get(data, RECIPES["mnist"])["default"]["augment"]:
        name, _, amount = change.partition("=")
        if not amount:  # flip: all or nothing
            strong.append(name)
            continue
        much = float(amount) * strength
        strong.append(f"{name}={round(much) if name == 'shift' else much:g}")
    return strong


def told(params):
    """Parameters in few words, with the learning rate itself."""
    rate = RATES[params["optimizer"]] * params["rate"]
    return (
        f"{params['optimizer']} {rate:.3g}, dim {params['dim']}, depth {params['depth']}, heads "
        f"{params['heads']}, patch {params['patch_size']}, dropout {params['dropout']:g}, augment "
        f"{params['augment']:g}"
    )
