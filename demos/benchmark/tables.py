"""Tables of speed and memory: of training, and of what else users wait for."""

import statistics
import subprocess
import sys

from .engines import ANSWERS, operations
from .report import print_row, print_title
from .workers import race

BATCHES = [32, 64, 128, 256, 512, 1024]
PATCHES = [14, 7, 4, 2]
WIDTHS = [32, 64, 128, 256]
LEGEND = """
MFLOP: million operations on each image. minivit is: its images/s divided by those of this engine.
of the peak: of the speed of large matrix products. MB: peak memory of all processes together."""


def compare(models, names, options):
    """Race engines on each model, and print how near they come to the peak of matrix products."""
    for model, config in models.items():
        results = race(names, config, options.batch_size, options)
        peak, _ = results.pop("matrix products")
        title = f"{model} ({operations(config) / 1e6:,.1f} MFLOP)"
        print_title(title, "images/s", "minivit is", "of the peak", "MB")
        for name, (speed, memory) in results.items():
            ratio = f"{results['minivit'][0] / speed:.2f} ×"
            share = f"{speed * operations(config) / peak:.1%}"
            print_row(name, f"{speed:,.0f}", ratio, share, f"{memory:.0f}")
    print(LEGEND)


def costs(config, names, options):
    """Predictions, batch sizes, imports, and how training slows down as the model grows."""
    answering = [name for name in names if name in ANSWERS]
    training = [name for name in names if name in ("minivit", "torch-eager")]
    by_images("predictions", answering, config, [2000, 1], options)
    by_images("training", training, config, BATCHES, options)
    print_title("import, in a new process", "seconds")
    for package in ("numpy", "minivit"):  # minivit's includes numpy's
        print_row(package, f"{import_seconds(package, options.rounds):.3f}")
    tokens = {f"patch {P}": config | dict(patch_size=P) for P in PATCHES}
    widths = {f"dim {D}, mlp {2 * D}": config | dict(dim=D, mlp_dim=2 * D) for D in WIDTHS}
    compare(tokens | widths, [*training, "matrix products"], options)


def by_images(title, names, config, counts, options):
    """Time and memory by the number of images at once."""
    print_title(title, "images at once", "images/s", "µs per image", "MB")
    for count in counts:
        for name, (speed, memory) in race(names, config, count, options).items():
            print_row(name, count, f"{speed:,.0f}", f"{1e6 / speed:.1f}", f"{memory:.0f}")


def import_seconds(package, rounds):
    code = f"import time; t = time.perf_counter(); import {package}; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    return statistics.median(float(subprocess.check_output(command)) for _ in range(rounds))
