"""How fast minivit trains, beside PyTorch, JAX and what the machine's matrix products allow."""

import importlib.util
import sys

from minivit.files import write_json

from ..options import new_file, parser_of, propose, status
from .engines import ENGINES, RIVALS
from .report import compare, machine

TESTED = {"torch": "torch==2.13.0", "jax": "jax==0.10.2"}
SAME = dict(image_size=[28, 28], channels=1, heads=4, classes=10)
MODELS = {
    f"patch {patch}, dim {dim}, depth {depth}, mlp {mlp}": SAME
    | dict(patch_size=patch, dim=dim, depth=depth, mlp_dim=mlp)
    for patch, dim, depth, mlp in [(7, 64, 4, 128), (4, 64, 4, 256), (4, 128, 6, 512)]
}

READER = dict(  # that of demos.read
    image_size=[28, 160], patch_size=[28, 4], channels=1, dim=96, depth=3, heads=3, mlp_dim=192,
    words=13, longest=8, decoder_depth=2,
)  # fmt: skip
READERS = {"encoder and decoder of demos.read": READER}


def arguments(argv=None):
    parser = parser_of("benchmark", __doc__)
    task = parser.add_mutually_exclusive_group()
    profile_help = "where the time of a training step goes, by source line and by kind of work"
    task.add_argument("--profile", action="store_true", help=profile_help)
    recipe_help = "the default training of train_mnist and the same in PyTorch"
    task.add_argument("--recipe", action="store_true", help=recipe_help)
    add = parser.add_argument
    add("--batch-size", type=int, default=128, help="images in a step")
    add("--rounds", type=int, default=11, help="how often each engine has its turn")
    add("--seconds", type=float, default=0.5, help="length of a turn")
    add("--json", type=new_file, metavar="FILE", help="write the rows of the comparison there too")
    options = parser.parse_args(argv)
    if options.json and (options.profile or options.recipe):
        parser.error("--json is for the comparison; give neither --profile nor --recipe")
    for name in ("batch_size", "rounds", "seconds"):
        if not getattr(options, name) > 0:
            parser.error(f"--{name.replace('_', '-')} must be greater than 0")
    return options


def main(argv=None):
    return status("benchmark", lambda: measure(arguments(argv)))


def measure(options):
    print(machine())
    missing = {name for name in RIVALS.values() if not importlib.util.find_spec(name)}
    for name in sorted(missing):
        if not (options.profile or (options.recipe and name == "jax")):
            print(f"{name} is not installed; to compare: python -m pip install {TESTED[name]}")
    # A task's imports stand here, since the processes that are measured import this file too.
    if options.profile:
        if not importlib.util.find_spec("line_profiler"):
            raise ImportError("--profile needs: python -m pip install line_profiler")
        from .profile import profile

        profile(MODELS, options.rounds * options.seconds)
        propose("see what the lines compute", "explore")
        return
    if options.recipe:
        from ..train_mnist import arguments as recipe_options
        from .recipe import compare_recipes

        compare_recipes(recipe_options([]))
    else:
        names = [name for name in ENGINES if RIVALS.get(name) not in missing]
        rows = compare(MODELS | READERS, names, options)
        if options.json:
            write_json(options.json, rows)
    propose("see where a training step spends its time", "benchmark", "--profile")


if __name__ == "__main__":
    sys.exit(main())
