"""Where the time of a training step goes: by layer, by kind of work, by matrix product."""

import functools
import re
import statistics
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

import minivit
from minivit.study.tracing.statements import statement_at
from minivit.threads import threads
from minivit.training.step import loss_and_gradients

from .engines import BETAS, DECAY, LR, NORMALIZE, batch_of, start
from .lines import KINDS, LineClock, factors_of, kind_of, operations_of

IMAGES = 64  # one core's shard of a batch of 128
FOLDER = Path(minivit.__file__).parent
LEGEND = f"""
A step is forward, loss, backward and AdamW on {IMAGES} images, on one core, BLAS on one thread.
Every layer stands for all blocks. A line counts as the heaviest kind of work in it:
  products       of matrices
  reductions     sums and maxima over an axis, as products with a vector too
  element-wise   arithmetic, number by number
  copies, views  other shapes, orders and places for the same numbers
  allocation     empty, zeros, ones
  Python         calls, checks, dictionaries: lines that do none of the above
Watching takes time too, so much for each line; it is measured on steps of one image and taken off.
A step that nobody watches takes as long as "unwatched" says; so nearly does the table agree.
Of the peak: the speed of a product, beside that of products of 1024 x 1024 matrices on one core."""


def profile(model, config, seconds):
    """Measure for about so many seconds, and print; return all as a dict for JSON."""
    spent, factors, unwatched = measure(config, seconds)
    step = sum(spent.values())
    table, products = by_layer_and_kind(spent, factors), by_product(spent, factors)
    peak = peak_of_products()
    print(f"\n{model}\n{'layer':<16}{'ms':>8}{'%':>8}", end="")
    print("".join(f"{kind:>15}" for kind in KINDS))
    total, others = Counter(), Counter()
    for layer, kinds in sorted(table.items(), key=lambda item: -sum(item[1].values())):
        total.update(kinds)
        if sum(kinds.values()) > 0.005 * step:
            print_kinds(layer, kinds, step)
        else:
            others.update(kinds)
    print_kinds("others", others, step)
    print_kinds("all", total, step)
    print(f"{'unwatched':<16}{1e3 * unwatched:>8.2f}   the table is {step / unwatched:.0%} of it\n")
    print(f"{'matrix product':<36}{'layer':<16}{'factors':<32}{'ms':>8}{'%':>8}{'of peak':>9}")
    for (layer, source, shapes), (own, operations) in products.items():
        factors_text = " @ ".join("x".join(map(str, shape)) for shape in shapes)
        print(
            f"{shortened(source, 34):<36}{layer:<16}{factors_text:<32}"
            f"{1e3 * own:>8.2f}{own / step:>8.1%}{operations / own / peak:>9.0%}"
        )
    in_ms = {
        layer: {kind: 1e3 * own for kind, own in kinds.items()} for layer, kinds in table.items()
    }
    return dict(model=model, ms=1e3 * step, unwatched_ms=1e3 * unwatched, layers_ms=in_ms)


def print_kinds(layer, kinds, step):
    shares = [kinds[kind] / step for kind in KINDS]
    cells = "".join(f"{f'{share:.1%}' if share > 0.0005 else '':>15}" for share in shares)
    own = sum(kinds.values())
    print(f"{layer:<16}{1e3 * own:>8.2f}{own / step:>8.1%}{cells}")


def measure(config, seconds):
    """Watch steps, and time others that nobody watches in turns with them.

    Returns {Line: seconds in a step}, {Line: [shapes of the factors at each visit]}, and the
    seconds of an unwatched step.
    """
    model, parts = parts_of_a_step(config, IMAGES)
    small_model, small_parts = parts_of_a_step(config, 1)
    spent, factors, step = Counter(), defaultdict(list), 0.0

    def meet(line, frame):
        if kind_of(line.file, line.number) == "products" and (shapes := factors_of(line, frame)):
            factors[line].append(shapes)

    with threads(1):
        for part, small_part in zip(parts, small_parts, strict=True):
            LineClock(FOLDER, model, meet).run(part)
            cost = cost_of_watching(small_model, small_part)
            watched, unwatched = in_turns(model, part, seconds / 2)
            for found in watched:
                for line, (own, stops) in found.items():
                    spent[line] += (own - stops * cost) / len(watched)
            step += statistics.mean(unwatched)
    return spent, factors, step


def parts_of_a_step(config, count):
    """minivit's model, and the two parts of a step with `count` images: gradients and update."""
    images, labels = batch_of(config, count)
    images = NORMALIZE(images)
    model, params = start(config)
    optimizer = minivit.AdamW(params, LR, betas=BETAS, decay=DECAY)
    grads = params.zeros_like()
    gradients = functools.partial(loss_and_gradients, model, params, images, labels, grads)
    return model, [gradients, functools.partial(optimizer.step, grads)]


def in_turns(model, part, seconds):
    """Run what a LineClock watches and what it does not in turns; return the faster half of each.

    What else the machine does only ever makes one slower.
    """
    clock, watched, unwatched = LineClock(FOLDER, model), [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(watched) < 4:
        began = time.perf_counter()
        part()
        unwatched.append(time.perf_counter() - began)
        watched.append(clock.run(part))
    half = len(watched) // 2
    return sorted(watched, key=seconds_of)[:half], sorted(unwatched)[:half]


def seconds_of(found):
    return sum(seconds for seconds, _ in found.values())


def cost_of_watching(model, part):
    """Seconds that each stop of the clock costs; best seen on a step of one image."""
    watched, unwatched = in_turns(model, part, seconds=0.5)
    added = statistics.mean(map(seconds_of, watched)) - statistics.mean(unwatched)
    return added / sum(stops for _, stops in watched[0].values())


def by_layer_and_kind(spent, factors):
    """{layer: Counter of seconds by kind}; the same layer of all blocks is one."""
    table = defaultdict(Counter)
    for line, seconds in spent.items():
        kind = kind_of(line.file, line.number)
        if kind == "products" and line not in factors:
            kind = "reductions"  # a product with a vector
        table[of_all_blocks(line.layer)][kind] += seconds
    return table


def by_product(spent, factors):
    """{(layer, source, shapes of the factors): [seconds, operations]} of a step, longest first."""
    found = defaultdict(lambda: [0.0, 0])
    for line, visits in factors.items():
        source = statement_at(line.file, line.number).source
        entry = found[of_all_blocks(line.layer), source, visits[0]]
        entry[0] += spent[line]
        entry[1] += sum(map(operations_of, visits))
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def of_all_blocks(layer):
    return re.sub(r"^blocks\.\d+\.?", "", layer) or "block"


def shortened(text, length):
    text = text.partition("  #")[0]
    return text if len(text) <= length else f"{text[: length - 1]}…"


def peak_of_products(size=1024, times=9):
    """Floating-point operations a second of large products on one core."""
    left, right = np.random.default_rng(0).standard_normal((2, size, size)).astype(np.float32)
    seconds = []
    with threads(1):
        for _ in range(times):
            began = time.perf_counter()
            left @ right
            seconds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(seconds)
