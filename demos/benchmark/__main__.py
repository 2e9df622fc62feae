"""How fast minivit trains, beside PyTorch and beside what the machine's matrix products allow."""

import importlib.util
import sys

from ..options import parser_of, status
from .engines import ANSWERS, ENGINES
from .report import machine
from .tables import compare, costs

SAME = dict(image_size=[28, 28], channels=1, heads=4, classes=10)
MODELS = {
    f"patch {patch}, dim {dim}, depth {depth}, mlp {mlp}": SAME
    | dict(patch_size=patch, dim=dim, depth=depth, mlp_dim=mlp)
    for patch, dim, depth, mlp in [(7, 64, 4, 128), (4, 64, 4, 256), (4, 128, 6, 512)]
}
TASKS = {
    "profile": "where the time of a training step goes, by source line and by kind of work",
    "costs": "predictions, larger batches, the import, more tokens and wider models",
    "recipe": "the default training of train_mnist and the same in PyTorch",
}


def arguments(argv=None):
    parser = parser_of("benchmark", __doc__)
    task = parser.add_mutually_exclusive_group()
    for name, text in TASKS.items():
        task.add_argument(f"--{name}", dest="task", action="store_const", const=name, help=text)
    add = parser.add_argument
    add("--epochs", type=int, default=12, help="of --recipe")
    add("--batch-size", type=int, default=128, help="images in a step")
    add("--rounds", type=int, default=11, help="how often each engine has its turn")
    add("--seconds", type=float, default=0.5, help="length of a turn")
    options = parser.parse_args(argv)
    for name in ("epochs", "batch_size", "rounds", "seconds"):
        if not getattr(options, name) > 0:
            parser.error(f"--{name.replace('_', '-')} must be greater than 0")
    return options


def main(argv=None):
    return status("benchmark", lambda: measure(arguments(argv)))


def measure(options):
    print(machine())
    has_torch = importlib.util.find_spec("torch") is not None
    if not has_torch and options.task != "profile":
        print("PyTorch is not installed; to compare: python -m pip install torch==2.13.0")
    small = next(iter(MODELS.values()))
    names = [name for name in (*ENGINES, *ANSWERS) if has_torch or "torch" not in name]
    # A task's imports stand here, since the processes that are measured import this file too.
    if options.task == "profile":
        if not importlib.util.find_spec("line_profiler"):
            raise ImportError("--profile needs: python -m pip install line_profiler")
        from .profile import profile

        profile(MODELS, options.rounds * options.seconds)
    elif options.task == "costs":
        costs(small, names, options)
    elif options.task == "recipe":
        from ..train_mnist import arguments as recipe_options
        from .recipe import compare_recipes

        compare_recipes(recipe_options(["--epochs", str(options.epochs)]), has_torch)
    else:
        compare(MODELS, [name for name in names if name in ENGINES], options)


if __name__ == "__main__":
    sys.exit(main())
