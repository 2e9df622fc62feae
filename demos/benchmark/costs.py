"""What else a user waits for: answers, the import, larger batches, more tokens, wider models."""

import statistics
import subprocess
import sys

from .answers import ANSWERS
from .engines import operations
from .workers import race

BATCHES = [32, 64, 128, 256, 512, 1024]
PATCHES = [14, 7, 4, 2]
WIDTHS = [32, 64, 128, 256]


def costs(config, engines, options):
    """Measure and print table after table; return their rows by the name of the table.

    engines: names of those to measure, of ENGINES and ANSWERS
    """
    training = [name for name in ("minivit", "torch-eager") if name in engines]
    growing = [config | dict(patch_size=patch) for patch in PATCHES]
    widening = [config | dict(dim=dim, mlp_dim=2 * dim) for dim in WIDTHS]
    return dict(
        answers=answers(config, [name for name in engines if name in ANSWERS], options),
        imports=imports(options),
        batches=batches(config, training, options),
        tokens=growth(config, "patch_size", growing, options),
        widths=growth(config, "dim", widening, options),
    )


def answers(config, names, options):
    """Many images at once, where throughput counts, and one, which somebody waits for."""
    print(f"{'answers':<30}{'images at once':>15}{'images/s':>10}{'ms an image':>13}")
    rows = []
    for count in (2000, 1):
        for name, (speed, _) in race(names, config, count, options).items():
            rows.append(dict(engine=name, count=count, images_per_second=speed))
            print(f"{name:<30}{count:>15,}{speed:>10,.0f}{1e3 / speed:>13.3f}", flush=True)
    return rows


def imports(options):
    """Seconds of each import in fresh processes, one after another."""
    found = {"numpy": [], "minivit": []}
    for _ in range(options.rounds):
        for name, seconds in found.items():
            code = f"import time; t = time.perf_counter(); import {name}; " + (
                "print(time.perf_counter() - t)"
            )
            command = [sys.executable, "-c", code]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            seconds.append(float(printed))
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    print(f"\n{'import':<30}{'s':>15}")
    for name, seconds in medians.items():
        print(f"{name:<30}{seconds:>15.3f}")
    print("(that of minivit brings NumPy with it)")
    return medians


def batches(config, names, options):
    """Training time and memory, which should grow with the batch no more than in proportion."""
    print(f"\n{'training, images in a step':<30}", end="")
    print("".join(f"{f'{name}, us an image':>28}{'MB':>7}" for name in names))
    rows = []
    for batch_size in BATCHES:
        found = race(names, config, batch_size, options)
        cells = [f"{1e6 / speed:>28.1f}{memory or 0:>7.0f}" for speed, memory in found.values()]
        print(f"{batch_size:<30,}{''.join(cells)}", flush=True)
        for name, (speed, memory) in found.items():
            row = dict(engine=name, batch_size=batch_size, images_per_second=speed)
            rows.append(row | dict(peak_memory_mb=memory))
    return rows


def growth(config, changed, configs, options):
    """Training, as the model grows: the time that is measured beside what its operations predict.

    The prediction is the time of the model `config`, in proportion to the operations.
    """
    measured = [
        race(["minivit", "matrix products"], grown, options.batch_size, options)
        for grown in [config, *configs]
    ]
    us_per_operation = 1e6 / measured[0]["minivit"][0] / operations(config)
    print(
        f"\n{f'training, {changed}':<22}{'tokens':>8}{'operations':>13}{'us an image':>13}", end=""
    )
    print(f"{'predicted':>11}{'of peak':>9}")
    rows = []
    for grown, found in zip(configs, measured[1:], strict=True):
        (speed, _), (peak, _) = found["minivit"], found["matrix products"]
        height, width = grown["image_size"]
        tokens = (height // grown["patch_size"]) * (width // grown["patch_size"])
        count, us = operations(grown), 1e6 / speed
        predicted, share = us_per_operation * count, speed * count / peak
        row = dict(changed=changed, value=grown[changed], tokens=tokens, operations=count)
        rows.append(row | dict(us=us, predicted_us=predicted, peak_share=share))
        print(
            f"{grown[changed]:<22}{tokens:>8}{count / 1e6:>11.1f} M{us:>13.1f}"
            f"{predicted:>11.1f}{share:>9.0%}",
            flush=True,
        )
    return rows
