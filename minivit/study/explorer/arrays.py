"""Which arrays of a trace the page shows, and how they are written into it."""

import base64
import textwrap
from pathlib import Path

import numpy as np

MODEL = [
    "patches.patches", "patches.w", "patches.b", "patches.y", "logits", "loss.dlogits@0",
    "dlogits", "patches.dy", "patches.dpatches", "patches.linear.dw",
]  # fmt: skip
BLOCK = [
    "y", "dy",
    "ln1.x", "ln1.shifted", "ln1.mean", "ln1.centered", "ln1.var", "ln1.rstd", "ln1.normed",
    "ln1.w", "ln1.b", "ln1.y", "ln1.dy", "ln1.dnormed", "ln1.dnormed_mean", "ln1.along_normed",
    "ln1.dx", "ln1.dw", "ln1.db",
    "attn.x", "attn.qkv.w", "attn.qkv.b", "attn.q", "attn.k", "attn.v", "attn.scores@0",
    "attn.scores", "attn.att", "attn.mix", "attn.merged", "attn.proj.w", "attn.proj.b", "attn.y",
    "attn.dy", "attn.dmerged", "attn.dmix", "attn.datt", "attn.dscores@0", "attn.dscores",
    "attn.dq", "attn.dk", "attn.dv", "attn.dqkv", "attn.dx", "attn.qkv.dw", "attn.proj.dw",
]  # fmt: skip
# Of these the page quotes only the source.
MODEL_CODE = ["patches.linear.out", "patches.linear.drows", "loss.dlogits"]
BLOCK_CODE = ["attn.qkv.out", "attn.proj.out", "attn.softmax.y", "attn.softmax.dx"]


def names_of(depth, model=MODEL, block=BLOCK):
    """The names of all arrays on the page; "name@0" is the first of trace.versions("name")."""
    return model + [f"blocks.{number}.{name}" for number in range(depth) for name in block]


def quoted(depth):
    """The names of all arrays whose source the page quotes."""
    return names_of(depth) + names_of(depth, MODEL_CODE, BLOCK_CODE)


def find(trace, name):
    """The Record of a name as the page writes it. Errors: KeyError for an unknown name."""
    name, _, version = name.partition("@")
    versions = trace.versions(name)
    if not version:
        return trace[name]
    if not version.isdecimal() or int(version) >= len(versions):
        raise KeyError(f"{name} has the versions 0 to {len(versions) - 1}, got {version!r}")
    return versions[int(version)]


def packed(array):
    """An array for the page: its shape, and its numbers as base64 of little-endian float64."""
    numbers = np.ascontiguousarray(array, "<f8").tobytes()
    return {"shape": list(array.shape), "float64": base64.b64encode(numbers).decode()}


def code_of(trace, name):
    """All source lines that make an array, and the place of the last: "attention.py:80"."""
    record = find(trace, name)
    if record.phase == "parameter":
        return {"source": "", "place": ""}
    earlier = [r for r in trace.versions(record.name) if r.number <= record.number]
    source = "\n".join(dict.fromkeys(textwrap.dedent(r.source) for r in earlier))
    return {"source": source, "place": f"{Path(record.file).name}:{record.line}"}
