"""The page: an HTML template, its scripts, and a model with a few images as their data."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...classifier import Classifier
from ...data.normalize import Normalize
from ...models import Reader, ViT
from .code import code_of
from .kinds import of_reader, of_vit

HERE = Path(__file__).parent
SCRIPTS = [  # in reading order
    "dom", "formula", "layers", "attention", "decoder", "network", "data", "words", "heatmap",
    "map", "panel", "heads", "nudge", "learn", "draw", "share", "tour", "vit", "reader", "page",
]  # fmt: skip
MOST_PARAMETERS = 2_100_000  # with which a browser can still compute


class Digit(NamedTuple):
    """An image on the page."""

    pixels: NDArray[np.uint8]  # (H, W) or (H, W, C), before they are normalised
    label: int | str | None = None  # of a Reader the text; None: unknown
    name: str = ""
    warnings: Sequence[str] = ()  # sentences


def page_data(
    classifier: Classifier,
    digits: Sequence[Digit],
    *,
    start: int = 0,
    drawing: bool = False,
    derivations: str = "",
    stages: str = "",
) -> dict[str, Any]:
    """Return what the page knows, ready for JSON.

    Arguments
        classifier:  a Classifier of a ViT, or a Transcriber
        digits:      the images that can be chosen on the page
        start:       which of them is shown first
        drawing:     whether a digit can be drawn, centred as in MNIST
        derivations: URL of a folder with attention.md and the others, ending in a slash; "": none
        stages:      URL of a script with the model's stages in training; "": none
    The last three are for a ViT only.
    Errors: those of `expect_small` and `Classifier.logits`; ValueError for a start or a label that
    does not exist, and unless the images are normalised by mean and std.
    """
    expect_small(classifier)
    if not 0 <= start < len(digits):
        raise ValueError(f"start is one of {len(digits)} images, counted from 0, got {start}")
    normalize, model = classifier.normalize, classifier.model
    if not isinstance(normalize, Normalize):
        raise ValueError(f"the page normalises by mean and std only, got {normalize!r}")
    with np.errstate(over="ignore"):  # the answer is not finite then
        params = classifier.params.to("cpu").astype(np.float32)
    classifier = classifier.with_params(params)
    known = (of_reader if isinstance(model, Reader) else of_vit)(classifier, digits)
    channels = model.config["channels"]
    return {
        "kind": type(model).__name__,
        "model": model.config | {"tokens": model.tokens, "parameters": params.flat.size},
        "weights": {
            "names": [[name, list(leaf.shape)] for name, leaf in params.named()],
            "float32": text_of(params.flat.astype("<f4")),
        },
        "mean": np.broadcast_to(normalize.mean, channels).tolist(),
        "std": np.broadcast_to(normalize.std, channels).tolist(),
        "classes": known.classes,
        "digits": [
            {"pixels": text_of(pixels), "name": name, "warnings": list(warnings)} | more
            for (pixels, _, name, warnings), more in zip(digits, known.digits, strict=True)
        ],
        "start": start,
        "drawing": drawing,
        "code": code_of(known.trace),
        "derivations": derivations,
        "stages": stages,
    }


def expect_small(classifier: Classifier) -> None:
    """Refuse a model that the page cannot compute. Errors: ValueError."""
    kind, sizes = type(classifier.model).__name__, classifier.model.config
    classifies = isinstance(classifier.model, ViT) and sizes["classes"]
    if not (classifies or isinstance(classifier.model, Reader)):
        raise ValueError(
            f"besides a Reader, the page computes a ViT with a head; this model is a {kind}"
        )
    if "rotary" in (sizes["positions"], sizes.get("decoder_positions")):
        raise ValueError("the page does not compute rotary positions; choose others for this model")
    if sizes.get("stem"):
        raise ValueError("the page does not compute a stem; choose a model without one")
    if classifier.params.flat.size > MOST_PARAMETERS:
        raise ValueError(
            f"the page computes in the browser, at most {MOST_PARAMETERS:,} parameters; this model "
            f"has {classifier.params.flat.size:,}"
        )


def text_of(array: NDArray) -> str:
    """The bytes of an array, in base64."""
    return base64.b64encode(array.tobytes()).decode()


def page_html(data: dict[str, Any]) -> str:
    """Return the whole page, one HTML text that needs nothing else."""
    page, style, *scripts = (
        (HERE / name).read_text(encoding="utf-8")
        for name in ["page.html", "page.css", *(f"{name}.js" for name in SCRIPTS)]
    )
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    page = page.replace("{{ style }}", style).replace("{{ script }}", "\n".join(scripts))
    return page.replace("{{ data }}", text)
