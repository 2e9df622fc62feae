"""The page: an HTML template, its scripts, and the numbers of a trace as their data."""

import json
from pathlib import Path

from .arrays import code_of, find, names_of, packed, quoted
from .scores import STEPS, heads_to_move, moved_scores

HERE = Path(__file__).parent
SCRIPTS = [  # in reading order
    "dom", "arrays", "terms", "attention", "lines", "heatmap", "story", "equation", "nudge",
    "losses", "panels", "page",
]  # fmt: skip


def page_data(trace, pixels, classes, *, labelled=True, warnings=(), alone=True):
    """Return what the page shows, ready for JSON; every number is the trace's.

    Arguments
        trace:    the Trace of a ViT for one image, in float64 so that the page can redo every sum
        pixels:   (H, W) uint8, the image before it is normalised
        classes:  the name of each class
        labelled: whether the trace's label is known to be right, and not the model's prediction
        warnings: sentences about the image
        alone:    whether the page will be a file without a server. Then it also holds the losses
                  for moved attention scores: of all heads, or in a large model of the head with
                  the largest gradient
    Errors: ValueError for a trace of several images or of colour images.
    """
    if trace.x.shape[0] != 1 or trace.x.shape[-1] != 1:
        raise ValueError(
            f"the page shows one grey image, (1, H, W, 1); the trace is of {trace.x.shape}"
        )
    model = trace.layer
    depth = len(model.blocks)
    heads = heads_to_move(trace) if alone else []
    losses, slopes = moved_scores(trace, heads)
    return {
        "model": model.config | {"patches": model.patches.count, "tokens": model.tokens},
        "pixels": pixels.tolist(),
        "classes": list(classes),
        "label": int(trace.labels[0]),
        "labelled": labelled,
        "warnings": list(warnings),
        "loss": trace.loss,
        "arrays": {name: packed(find(trace, name).value) for name in names_of(depth)},
        "fixed": [name for name in names_of(depth) if not find(trace, name).movable],
        "code": {name: code_of(trace, name) for name in quoted(depth)},
        "moved": dict(steps=STEPS, heads=heads, losses=packed(losses), slopes=packed(slopes)),
    }


def page_html(data, live=False):
    """Return the whole page, one HTML text that needs nothing else.

    live: whether a server answers it (server.py), so that it can move any number; alone, it can
          move the attention scores whose losses it holds
    """
    page, style, *scripts = (
        (HERE / name).read_text(encoding="utf-8")
        for name in ["page.html", "page.css", *(f"{name}.js" for name in SCRIPTS)]
    )
    text = json.dumps(data | {"live": live}).replace("<", "\\u003c")
    page = page.replace("{{ style }}", style).replace("{{ script }}", "\n".join(scripts))
    return page.replace("{{ data }}", text)
