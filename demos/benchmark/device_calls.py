"""What a training step asks of a GPU, by layer: counted on a stand-in, without any GPU."""

from collections import Counter, defaultdict

import minivit
from minivit.backend import floats
from minivit.study.tracing.records import layers_of
from minivit.training.step import loss_and_gradients

from .engines import BETAS, DECAY, LR, NORMALIZE, batch_of, start
from .profile import of_all_blocks

LEGEND = """
A step is forward, loss, backward, clipping and AdamW. Every layer stands for all blocks, and
without the layers inside it.
  calls            kernels and library calls that the GPU is sent; each costs some microseconds,
                   however little it does, so few large ones are better than many small ones
  bytes in, out    copied from the CPU to the GPU, and back
  waits            the CPU waits until the GPU has done all that it was sent
They are counted by the stand-in of the tests (tests/stand_in), which works without a GPU."""
COUNTED = ("calls", "bytes_in", "bytes_out", "synchronisations")


def device_calls(model, config, batch_size):
    """Count and print; return all as a dict for JSON."""
    from tests.stand_in import installed  # here: it is a part of the tests, not of minivit

    with installed() as stand_in:
        table = count(config, batch_size, stand_in.counts)
    print(f"\n{model}, batch {batch_size}\n{'layer':<16}", end="")
    titles = ["calls", "forward", "backward", "bytes in", "bytes out", "waits"]
    print("".join(f"{title:>11}" for title in titles))
    layers = defaultdict(Counter)
    for (path, way), work in table.items():
        work[way] = work["calls"]
        for layer in [of_all_blocks(path), "all"] + ["one block"] * path.startswith("blocks.0"):
            layers[layer] += work
    for layer in ("all", "one block"):  # as the last rows
        layers[layer] = layers.pop(layer)
    for layer, work in layers.items():
        row = [work[name] for name in ("calls", "forward", "backward", *COUNTED[1:])]
        cells = [f"{number:,}" if number else "" for number in row]
        if any(row):
            print(f"{layer:<16}" + "".join(f"{cell:>11}" for cell in cells))
    return dict(model=model, batch_size=batch_size, layers=layers)


def count(config, batch_size, counts):
    """{(path of the layer, "forward" or "backward"), or (what is in no layer, ""): Counter}."""
    model, params = start(config)
    images, labels = batch_of(config, batch_size)
    params = params.to("cuda")
    optimizer = minivit.AdamW(params, LR, betas=BETAS, decay=DECAY)
    grads = params.zeros_like()
    table, inside = defaultdict(Counter), []
    since = counts.copy()

    def add():
        """What was counted since the last time, to what is going on now."""
        nonlocal since
        spent, since = counts - since, counts.copy()
        if inside:
            table[inside[-1]] += Counter({name: getattr(spent, name) for name in COUNTED})

    def watched(function, *place):
        def call(*arguments, **options):
            add()
            inside.append(place)
            try:
                return function(*arguments, **options)
            finally:
                add()
                inside.pop()

        return call

    for path, layer in layers_of(model):
        for way in ("forward", "backward"):
            setattr(layer, way, watched(getattr(layer, way), path or "model", way))
    gradients = watched(loss_and_gradients, "batch and loss", "")
    loss, accuracy = gradients(model, params, images, labels, grads, prepare=NORMALIZE)
    norm = watched(minivit.clip_by_global_norm, "clipping", "")(grads, 1.0)
    watched(floats, "fetching", "")(loss, accuracy, norm)
    watched(optimizer.step, "AdamW", "")(grads)
    return table
