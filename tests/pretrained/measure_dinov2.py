"""minivit against PyTorch on a real network: `python -m tests.pretrained.measure_dinov2 FOLDER`.

The FOLDER is what extract_dinov2.py wrote. Needs Linux, torch and transformers.

Prints, for photos of 224 and 126 pixels, how far features and pixel gradients are from those of
Hugging Face's Dinov2Model; the time of a forward of one photo beside PyTorch's (eager, all cores);
and by how much loading and that forward raise the peak of the process's memory.
"""

import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from minivit import pretrained

ROUNDS = 25


def photo(side):
    return np.random.default_rng(0).standard_normal((1, side, side, 3), np.float32)


def errors(folder, side):
    """The largest differences from Hugging Face's, relative to its largest number."""
    import torch
    from transformers import Dinov2Model

    theirs = Dinov2Model.from_pretrained(folder).eval()
    model, params, _ = pretrained.load(folder, image_size=side)
    images = photo(side)
    pixels = torch.tensor(images.transpose(0, 3, 1, 2)).contiguous().requires_grad_()
    expected = theirs(pixels).pooler_output
    features, cache = model.forward(params, images)
    dfeatures = np.random.default_rng(1).standard_normal(features.shape, np.float32)
    expected.backward(torch.tensor(dfeatures))
    dimages = model.backward(params, dfeatures, cache, params.zeros_like())
    pairs = {
        "features": (features, expected.detach().numpy()),
        "pixel gradient": (dimages, pixels.grad.numpy().transpose(0, 2, 3, 1)),
    }
    return {name: abs(got - want).max() / abs(want).max() for name, (got, want) in pairs.items()}


def times(folder, side=224):
    """Seconds of a forward of one photo, in turns: (minivit's, PyTorch's)."""
    import torch
    from transformers import Dinov2Model

    theirs = Dinov2Model.from_pretrained(folder).eval()
    model, params, _ = pretrained.load(folder, image_size=side)
    images = photo(side)
    pixels = torch.tensor(images.transpose(0, 3, 1, 2)).contiguous()

    def of(work):
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    with torch.inference_mode():
        works = lambda: model.forward(params, images, keep=False), lambda: theirs(pixels)
        seconds = [[of(work) for work in works] for _ in range(ROUNDS + 3)]
    return np.array(seconds[3:]).T


def memory(folder, side=224):
    """By how much loading and a forward of one photo raise the memory, over the weights' bytes."""
    np.ones((500, 500), np.float32) @ np.ones((500, 500), np.float32)  # BLAS takes its buffers
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = memory_of("VmRSS")
    model, params, _ = pretrained.load(folder, image_size=side)
    model.forward(params, photo(side), keep=False)
    return (memory_of("VmHWM") - before) / params.flat.nbytes


def memory_of(name):
    """Bytes of this process: VmRSS, what it has now, or VmHWM, the most it had."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s*(\d+) kB", status)[1])


def main(folder):
    for side in (224, 126):
        found = ", ".join(f"{name} {error:.1e}" for name, error in errors(folder, side).items())
        print(f"{side} pixels: {found}")
    ours, theirs = times(folder)
    print(
        f"forward of a photo of 224 pixels: {1000 * median(ours):.0f} ms, PyTorch "
        f"{1000 * median(theirs):.0f} ms, ratio of medians {median(ours) / median(theirs):.2f}, "
        f"median of ratios {median(ours / theirs):.2f}"
    )
    code = f"from tests.pretrained.measure_dinov2 import memory; print(memory({str(folder)!r}))"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print(f"peak of memory: {float(alone.stdout):.2f} times the weights")


if __name__ == "__main__":
    main(*sys.argv[1:])
