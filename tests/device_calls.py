"""Count what a training step asks of a GPU, layer by layer, on the stand-in for CuPy.

    .venv/bin/python -m tests.device_calls [--batch-size 128] [--time]

A step is forward, loss, backward, clipping and AdamW. Each layer stands for all blocks, and for
itself without the layers inside it.

    calls            kernels and library calls: each costs some microseconds, however little it does
    bytes in, out    copied from the CPU to the GPU, and back
    waits            times that the CPU waits for the GPU

--time takes such steps, without clipping, on a real GPU. Those of a few images last as long
as their calls do.
"""

import argparse
import re
import statistics
from collections import Counter, defaultdict
from timeit import repeat

import minivit
from demos.benchmark.__main__ import MODELS
from demos.benchmark.engines import (
    NORMALIZE,
    adamw,
    batch_of,
    loss_and_gradients,
    minivit_engine,
    start,
)
from minivit.backend import floats
from minivit.study.tracing.records import layers_of
from tests.stand_in import installed

COLUMNS = dict(calls="calls", bytes_in="bytes in", bytes_out="bytes out", synchronisations="waits")


def calls_by_layer(config, batch_size):
    """{layer, or what else a step does: Counter of COLUMNS} of a step."""
    with installed() as stand_in:
        model, params = start(config)
        images, labels = batch_of(config, batch_size)
        params = params.to("cuda")
        optimizer, grads = adamw(params), params.zeros_like()
        table, running, last = defaultdict(Counter), [], stand_in.counts.copy()

        def count():
            """Add what was counted since the last call to the layer that runs now."""
            nonlocal last
            now = stand_in.counts.copy()
            if running:
                table[running[-1]].update(
                    {name: getattr(now, name) - getattr(last, name) for name in COLUMNS}
                )
            last = now

        def counted(name, function):
            def call(*arguments, **options):
                count()
                running.append(name)
                result = function(*arguments, **options)
                count()
                running.pop()
                return result

            return call

        for path, layer in layers_of(model):
            name = re.sub(r"^blocks\.\d+\.?", "", path) or ("block" if path else "model")
            layer.forward = counted(name, layer.forward)
            layer.backward = counted(name, layer.backward)
        step = counted("batch and loss", loss_and_gradients)
        loss, accuracy = step(model, params, images, labels, grads, prepare=NORMALIZE)
        norm = counted("clipping", minivit.clip_by_global_norm)(grads, 1.0)
        counted("fetching", floats)(loss, accuracy, norm)
        counted("AdamW", optimizer.step)(grads)
    return table


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m tests.device_calls",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--time", action="store_true", help="time the calls on a GPU")
    options = parser.parse_args(argv)
    for model, config in MODELS.items():
        table = calls_by_layer(config, options.batch_size)
        table["all"] = sum(table.values(), Counter())
        print(f"\n{model:<36}" + "".join(f"{title:>12}" for title in COLUMNS.values()))
        for layer, work in table.items():
            if any(work.values()):
                print(f"{layer:<36}" + "".join(f"{work[name]:>12,}" for name in COLUMNS))
        if options.time:
            seconds = time_of_step(config, options.batch_size)
            calls = table["all"]["calls"] - table["clipping"]["calls"]
            print(
                f"{1e3 * seconds:.2f} ms a step on the GPU, {1e6 * seconds / calls:.1f} µs a call"
            )


def time_of_step(config, batch_size):
    """Seconds of a step on a GPU, the median of 20."""
    with minivit_engine(config, batch_size, device="cuda") as (step, _):
        step()  # compiles the kernels
        return statistics.median(repeat(step, number=1, repeat=20))


if __name__ == "__main__":
    main()
