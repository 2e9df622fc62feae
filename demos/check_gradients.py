"""Check every hand-written gradient against numerical ones, layer by layer, then a whole model."""

import sys

import numpy as np

import minivit
from minivit import layers
from minivit.checks.sweep import step_sweep
from minivit.files import write_file
from minivit.study import figures

from .options import new_file, parser_of

MODEL = minivit.ViT(
    image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=2, heads=2, mlp_dim=5, classes=3,
    pool="cls",
)  # fmt: skip
CHECKS = {  # name: (layer, shape of its input); sizes that differ, so that no axis can hide
    "linear": (layers.Linear(7, 5), (2, 3, 7)),
    "gelu": (layers.GELU(), (2, 3, 7)),
    "mlp": (layers.MLP(5, 11), (2, 3, 5)),
    "layernorm": (layers.LayerNorm(7), (2, 3, 7)),
    "softmax": (layers.Softmax(), (2, 3, 7)),
    "attention": (layers.Attention(15, 3), (2, 7, 15)),
    "block": (layers.PreNormBlock(6, 2, 11), (3, 5, 6)),
    "patches": (layers.Patches(6, 10, 2, 3, 7), (2, 6, 10, 3)),
    "class_token": (layers.ClassToken(5), (2, 3, 5)),
    "positions": (layers.Positions(3, 5), (2, 3, 5)),
    "mean_pool": (layers.MeanPool(), (2, 3, 5)),
    "first_token": (layers.FirstToken(), (2, 3, 5)),
    "vit": (MODEL, (3, 4, 6, 3)),
}


def arguments(argv=None):
    parser = parser_of("check_gradients", __doc__)
    add = parser.add_argument
    add("--layer", choices=CHECKS, help="check this one alone")
    add("--method", choices=["complex", "central"], default="complex", help="numerical derivative")
    add("--mode", choices=["full", "directional"], default="full", help="entries, or directions")
    add("--seed", type=int, default=0, help="of all that is random")
    sweep_help = "draw the error of each method against its step"
    add("--sweep", type=new_file, metavar="FILE.png", help=sweep_help)
    options = parser.parse_args(argv)
    if options.seed < 0:
        parser.error(f"--seed must not be negative, got {options.seed}")
    return options


def main(argv=None):
    options = arguments(argv)
    names = [options.layer] if options.layer else list(CHECKS)
    reports = {name: check(name, options) for name in names}
    for name, report in reports.items():
        print(f"{name}\n{report}\n")
    wrong = [name for name, report in reports.items() if not report.ok]
    if "vit" in names:
        findings = minivit.structure(MODEL, options.seed)
        print(f"What no gradient check can see, of vit\n{findings}\n")
        wrong += ["the structure of vit"] * (not findings.ok)
    if options.sweep:
        sweep(options.layer or "attention", options)
    print(f"NOT RIGHT: {', '.join(wrong)}" if wrong else f"All right: {', '.join(names)}")
    return 1 if wrong else 0


def check(name, options):
    layer, shape = CHECKS[name]
    x = np.random.default_rng([options.seed, 1]).standard_normal(shape)
    chosen = dict(method=options.method, mode=options.mode, seed=options.seed)
    return minivit.gradcheck(layer, x, loss=loss if name == "vit" else None, **chosen)


def loss(logits):
    return minivit.cross_entropy(logits, np.arange(len(logits)) % logits.shape[1], smoothing=0.1)


def sweep(name, options):
    """Draw the error of the slope along one random direction, for steps from 1e-16 to 1."""
    layer, shape = CHECKS[name]
    x = np.random.default_rng([options.seed, 1]).standard_normal(shape)
    steps = 10.0 ** np.arange(-16, 0.5, 0.5)
    errors = step_sweep(layer, x, steps, seed=options.seed, loss=loss if name == "vit" else None)
    write_file(options.sweep, figures.png(figures.step_sweep(steps, errors, name)))
    print(f"Error against step, of {name}: {options.sweep}\n")


if __name__ == "__main__":
    sys.exit(main())
