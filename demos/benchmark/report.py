"""What is printed: the machine, and a table of speed and memory for each model."""

import importlib.metadata
import importlib.util
import platform
import re
from pathlib import Path

from threadpoolctl import threadpool_info

from minivit.backend import cuda

from .engines import cores, operations
from .workers import race

LEGEND = """
MFLOP: million operations on each image. minivit is: its images/s divided by those of this engine.
of the peak: of the speed of large matrix products. MB: peak memory of all processes together, on
the CPU."""
CLASSIFYING = """
From raw images to logits. minivit is: its images/s divided by those of this engine. MB: peak memory
of all processes together."""


def machine():
    """The processor, its cores and the libraries in one line: every figure depends on them."""
    parts = [processor(), f"{cores()} cores", f"Python {platform.python_version()}"]
    for package in ("numpy", "torch", "jax"):
        if importlib.util.find_spec(package):
            parts.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join([*parts, blas()])


def processor():
    """The name that the processor gives itself."""
    cpuinfo = Path("/proc/cpuinfo")
    model = cpuinfo.is_file() and re.search(r"model name\s*: (.*)", cpuinfo.read_text())
    return model[1] if model else platform.processor() or platform.machine()


def blas():
    """The BLAS of NumPy and the kernels that it has chosen for this processor."""
    return ", ".join(
        f"{one['internal_api']} {one['version']} ({one.get('architecture', 'unknown kernels')})"
        for one in threadpool_info()
        if one["user_api"] == "blas"
    )


def print_row(first, *cells):
    print(f"{first:<60}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


def print_title(first, *cells):
    print()
    print_row(first, *cells)


def compare(models, engines, options):
    """Race engines on each model, and print how near they come to the peak of matrix products.

    Returns a row for each model and engine, a dict that JSON can write.
    """
    rows, where = [], where_measured(options.device)
    for model, config, batch_size, results in races(models, engines, options):
        peak, _ = results.pop("matrix products")
        title = f"{model} ({operations(config) / 1e6:,.1f} MFLOP), batch {batch_size}"
        print_title(title, "images/s", "minivit is", "of the peak", "MB")
        for name, (speed, memory) in results.items():
            ratio, share = results["minivit"][0] / speed, speed * operations(config) / peak
            print_row(name, f"{speed:,.0f}", f"{ratio:.2f} ×", f"{share:.1%}", f"{memory:.0f}")
            measured = dict(images_per_second=speed, minivit_is=ratio, of_the_peak=share)
            row = dict(model=model, engine=name, batch_size=batch_size)
            rows.append(row | measured | dict(megabytes=memory) | where)
    print(LEGEND)
    return rows


def compare_classifiers(models, engines, options):
    """Race engines that classify one image, and many at once; return rows as `compare` does."""
    rows, where = [], where_measured(options.device)
    for model, _, batch_size, results in races(models, engines, options):
        print_title(f"{model}, {batch_size} at once", "", "images/s", "minivit is", "MB")
        for name, (speed, memory) in results.items():
            ratio, seconds = results["minivit"][0] / speed, batch_size / speed
            took = f"{1e3 * seconds:.2f} ms"
            print_row(name, took, f"{speed:,.0f}", f"{ratio:.2f} ×", f"{memory:.0f}")
            measured = dict(seconds=seconds, images_per_second=speed, minivit_is=ratio)
            row = dict(model=model, engine=name, batch_size=batch_size)
            rows.append(row | measured | dict(megabytes=memory) | where)
    print(CLASSIFYING)
    return rows


def races(models, engines, options):
    """Yield (model, its config, batch size, what `race` found) for all models in all batches."""
    for batch_size in options.batch_size:
        for model, config in models.items():
            yield model, config, batch_size, race(engines, config, batch_size, options)


def where_measured(device):
    """What each row says of the machine."""
    where = dict(processor=processor(), blas=blas(), cores=cores(), device=device)
    if device == "cuda":
        where["gpu"] = cuda().cuda.runtime.getDeviceProperties(0)["name"].decode()
    return where
