"""How fast minivit trains, beside PyTorch and beside what the machine's matrix products allow."""

import importlib.util
import sys

from minivit.files import write_json

from ..options import new_file, parser_of, status
from .answers import ANSWERS
from .costs import costs
from .device_calls import LEGEND as DEVICE_CALLS
from .device_calls import device_calls
from .engines import ENGINES, operations
from .profile import LEGEND, profile
from .workers import race

MODELS = {
    f"patch {patch}, dim {dim}, depth {depth}, mlp {mlp}": dict(
        image_size=[28, 28],
        patch_size=patch,
        channels=1,
        dim=dim,
        depth=depth,
        heads=4,
        mlp_dim=mlp,
        classes=10,
    )
    for patch, dim, depth, mlp in [(7, 64, 4, 128), (4, 64, 4, 256), (4, 128, 6, 512)]
}

TASKS = {  # beside the table of all models, which is what comes without any of these
    "profile": "where the time of a training step goes, by layer and by kind of work",
    "device-calls": "what a step asks of a GPU, by layer; none is needed",
    "costs": "answers, the import, other batches, more tokens, wider models",
    "recipe": "the default training of train_mnist beside the same in PyTorch",
}


def arguments(argv=None):
    parser = parser_of("benchmark", __doc__)
    what = parser.add_mutually_exclusive_group()
    for name, text in TASKS.items():
        what.add_argument(f"--{name}", dest="task", action="store_const", const=name, help=text)
    add = parser.add_argument
    add("--epochs", type=int, default=12, help="of --recipe")
    add("--batch-size", type=int, default=128, help="images in a step")
    add("--rounds", type=int, default=11, help="times that every engine has its turn")
    add("--seconds", type=float, default=0.5, help="length of a turn; a profile has them all")
    add("--json", type=new_file, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args(argv)
    for name in ("epochs", "batch_size", "rounds", "seconds"):
        if not getattr(options, name) > 0:
            parser.error(f"--{name.replace('_', '-')} must be greater than 0")
    return options


def main(argv=None):
    return status("benchmark", lambda: measure(arguments(argv)))


def measure(options):
    """Do what was asked for, print it, and write it as JSON."""
    has_torch = importlib.util.find_spec("torch")
    if not has_torch and options.task not in ("profile", "device-calls"):
        print("PyTorch is not installed; to compare: python -m pip install torch==2.13.0\n")
    config = next(iter(MODELS.values()))
    names = [name for name in (*ENGINES, *ANSWERS) if has_torch or "torch" not in name]
    if options.task == "profile":
        print(LEGEND)
        turns = options.rounds * options.seconds
        rows = [profile(model, config, turns) for model, config in MODELS.items()]
    elif options.task == "device-calls":
        print(DEVICE_CALLS)
        rows = [device_calls(model, config, options.batch_size) for model, config in MODELS.items()]
    elif options.task == "costs":
        rows = costs(config, names, options)
    elif options.task == "recipe":
        # Here, as every process that is measured imports this file again.
        from ..train_mnist import arguments as recipe_of
        from .recipe import compare_recipes

        rows = compare_recipes(recipe_of(["--epochs", str(options.epochs)]), has_torch)
    else:
        rows = compare([name for name in names if name in ENGINES], options)
    if options.json:
        write_json(options.json, rows)


def compare(names, options):
    """Measure all engines in turns on all MODELS; print and return a row for each."""
    print(f"{'model':<38}{'engine':<15}{'images/s':>9}{'minivit is':>12}{'of peak':>9}{'MB':>7}")
    rows = []
    for model, config in MODELS.items():
        try:
            found = race(names, config, options.batch_size, options)
        except ChildProcessError as error:
            raise ChildProcessError(f"{model}: {error}") from error
        peak, _ = found.pop("matrix products")
        for name, (speed, memory) in found.items():
            row = dict(
                model=model,
                engine=name,
                images_per_second=round(speed, 1),
                ratio=round(found["minivit"][0] / speed, 3),
                peak_share=round(speed * operations(config) / peak, 4),
                peak_memory_mb=memory,
            )
            rows.append(row)
            print(
                f"{model:<38}{name:<15}{row['images_per_second']:>9,.0f}{row['ratio']:>10.2f} ×"
                f"{row['peak_share']:>9.1%}{memory or float('nan'):>7.0f}",
                flush=True,
            )
    print("\nminivit is: its images/s over this engine's. of peak: share of the speed of large")
    print("matrix products. MB: peak memory of all its processes.")
    return rows


if __name__ == "__main__":
    sys.exit(main())
