"""Where the time of a training step goes: by source line and by kind of work."""

import re
import time
from collections import Counter
from pathlib import Path
from statistics import mean
from timeit import timeit

from line_profiler import LineProfiler

import minivit
from minivit.study.tracing.records import layers_of
from minivit.study.tracing.statements import statement_at

from . import engines
from .report import print_row, print_title

IMAGES = 64  # one core's shard of a batch of 128
KINDS = {  # a line does the first kind of work whose pattern it contains
    "products": r" @ |matmul|product",
    "reductions": r"\b(sum|mean|max|min|argmax)\w*\(",
    "element-wise": r" [-+*/]=? |\b(exp|log|tanh|sqrt|multiply|divide|maximum|minimum|astype)\(",
    "copies": r"\b(reshape|transpose|copy|repeat|stack|concatenate|empty|zeros|\w+_patches)\(",
    "Python": "",
}
LEGEND = f"""
A step is forward, loss, backward and AdamW on {IMAGES} images, on one core. A line counts as the
heaviest kind of work in it: products of matrices; reductions over an axis; element-wise
arithmetic; copies, and views, which cost little; Python: calls, checks, dictionaries.
of the peak: the speed divided by that of products of 1024 x 1024 matrices on one core."""


def profile(models, seconds):
    """Measure each model for about so many seconds; print the time by kind and by line."""
    print(LEGEND)
    for name, config in models.items():
        lines, step, peak = measure(config, seconds)
        kinds, total = Counter(), sum(lines.values())
        for (_, source), spent in lines.items():
            kinds[kind_of(source)] += spent
        print_title(name, "ms", "share", "of the peak")
        for kind in KINDS:
            print_row(kind, f"{1e3 * kinds[kind]:.2f}", f"{kinds[kind] / total:.1%}")
        share = engines.operations(config) * IMAGES / step / peak
        print_row("a step without line_profiler", f"{1e3 * step:.2f}", "", f"{share:.0%}")
        print(f"The lines add up to {total / step:.0%} of that step. Those of at least 1 %:")
        in_file = Counter(file for file, source in lines if kind_of(source) == "products")
        for (file, source), spent in lines.most_common():
            kind, share = kind_of(source), ""
            if kind == "products":  # those of a file have equally many operations
                passes = 3 * IMAGES * engines.forward_operations(config)[file]
                share = f"{passes / in_file[file] / spent / peak:.0%}"
            if spent >= 0.01 * total:
                text = f"{file:<13} {source.partition('  #')[0]:.35}"
                print_row(text, f"{1e3 * spent:.2f}", f"{spent / total:.1%}", share, kind)


def measure(config, seconds):
    """Time steps with line_profiler, steps without it and large products, in turns.

    Returns {(file, statement): seconds in a step}, the seconds of a step without line_profiler, and
    the floating-point operations per second of large products.
    """
    profiler, steps, products = LineProfiler(*timed_functions(config)), [], []
    with (
        engines.minivit_engine(config, IMAGES, shards=1) as (step, _),
        engines.matrix_products(config, IMAGES, count=1) as (multiply, operations),
    ):
        step()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(steps) < 3:
            steps.append(timeit(step, number=1))
            profiler.runcall(step)
            products.append(timeit(multiply, number=1))
    lines = Counter({line: spent / len(steps) for line, spent in seconds_by_line(profiler).items()})
    return lines, mean(steps), operations / mean(products)


def timed_functions(config):
    """Those whose lines line_profiler times: of the layers, the loss and the optimizer."""
    kinds = {type(layer) for _, layer in layers_of(minivit.ViT(**config))}
    passes = {getattr(kind, name) for kind in kinds for name in ("forward", "backward")}
    return [*passes, minivit.cross_entropy, minivit.Adam.update, minivit.AdamW.update]


def seconds_by_line(profiler):
    """{(file, statement): seconds}, without lines that call a timed function: its lines count."""
    stats, spent = profiler.get_stats(), Counter()
    for (file, _, _), lines in stats.timings.items():
        for number, _, ticks in lines:
            source = statement_at(file, number).source
            if not re.search(r"\b(forward|backward|update|cross_entropy)\(", source):
                spent[Path(file).name, source] += ticks * stats.unit
    return spent


def kind_of(source):
    return next(kind for kind, pattern in KINDS.items() if re.search(pattern, source))
