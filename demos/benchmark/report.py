"""What is printed: the machine, and tables."""

import importlib.metadata
import importlib.util
import platform
import re
from pathlib import Path

from threadpoolctl import threadpool_info

from .engines import cores


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
