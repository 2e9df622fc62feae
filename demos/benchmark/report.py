"""What is printed: the machine, and a table of speed and memory for each model."""

import importlib.metadata
import importlib.util
import platform
import re
from pathlib import Path

from threadpoolctl import threadpool_info

from .engines import cores, operations
from .workers import race

LEGEND = """
MFLOP: million operations on each image. minivit is: its images/s divided by those of this engine.
of the peak: of the speed of large matrix products. MB: peak memory of all processes together."""


def machine():
    """The processor, its cores and the libraries in one line: every figure depends on them."""
    cpuinfo = Path("/proc/cpuinfo")
    model = cpuinfo.is_file() and re.search(r"model name\s*: (.*)", cpuinfo.read_text())
    parts = [model[1] if model else platform.processor() or platform.machine(), f"{cores()} cores"]
    parts.append(f"Python {platform.python_version()}")
    for package in ("numpy", "torch"):
        if importlib.util.find_spec(package):
            parts.append(f"{package} {importlib.metadata.version(package)}")
    for blas in threadpool_info():
        if blas["user_api"] == "blas":
            kernels = blas.get("architecture", "unknown architecture")
            parts.append(f"{blas['internal_api']} {blas['version']} ({kernels})")
    return ", ".join(parts)


def print_row(first, *cells):
    print(f"{first:<50}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


def print_title(first, *cells):
    print()
    print_row(first, *cells)


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
