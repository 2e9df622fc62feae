"""How fast minivit trains, beside PyTorch and beside what the machine's matrix products allow."""

import importlib.util
import statistics
import sys

from minivit.files import write_json

from ..options import new_file, parser_of
from .engines import ENGINES, operations
from .workers import Worker

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


def arguments(argv=None):
    parser = parser_of("benchmark", __doc__)
    add = parser.add_argument
    add("--batch-size", type=int, default=128, help="images in a step")
    add("--rounds", type=int, default=11, help="times that every engine has its turn")
    add("--seconds", type=float, default=0.5, help="length of a turn")
    add("--json", type=new_file, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args(argv)
    for name in ("batch_size", "rounds", "seconds"):
        if not getattr(options, name) > 0:
            parser.error(f"--{name.replace('_', '-')} must be greater than 0")
    return options


def main(argv=None):
    options = arguments(argv)
    names = [name for name in ENGINES if "torch" not in name or importlib.util.find_spec("torch")]
    if "torch-eager" not in names:
        print("PyTorch is not installed; to compare: python -m pip install torch==2.13.0\n")
    print(f"{'model':<38}{'engine':<15}{'images/s':>9}{'minivit is':>12}{'of peak':>9}{'MB':>7}")
    rows = []
    for model, config in MODELS.items():
        try:
            rows += compare(model, config, names, options)
        except RuntimeError as error:
            print(f"benchmark: {model}: {error}", file=sys.stderr)
            return 2
    print("\nminivit is: its images/s over this engine's. of peak: share of the speed of large")
    print("matrix products. MB: peak memory beyond what the imports need.")
    if options.json:
        write_json(options.json, rows)
    return 0


def compare(model, config, names, options):
    """Measure all engines in turns; print and return a row for each."""
    workers = {}
    for name in names:
        try:
            workers[name] = Worker(name, config, options.batch_size)
        except RuntimeError as error:
            if "torch" not in name:
                raise
            print(f"{model:<38}{name}: not measured, {error}")
    speeds = {name: [] for name in workers}
    for _ in range(options.rounds):
        for name, worker in workers.items():
            speeds[name].append(worker.measure(options.seconds))
    memory = {name: worker.finish() for name, worker in workers.items()}
    median = {name: statistics.median(found) for name, found in speeds.items()}
    peak = median.pop("matrix products")
    rows = []
    for name, speed in median.items():
        row = dict(
            model=model,
            engine=name,
            images_per_second=round(speed, 1),
            ratio=round(median["minivit"] / speed, 3),
            peak_share=round(speed * operations(config) / peak, 4),
            peak_memory_mb=memory[name],
        )
        rows.append(row)
        print(
            f"{model:<38}{name:<15}{row['images_per_second']:>9,.0f}{row['ratio']:>10.2f} ×"
            f"{row['peak_share']:>9.1%}{row['peak_memory_mb'] or float('nan'):>7.0f}",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
