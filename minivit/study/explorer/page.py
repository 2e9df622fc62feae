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
from ...models import ViT
from ..tracing.trace import trace
from .code import code_of

HERE = Path(__file__).parent
SCRIPTS = [  # in reading order
    "dom", "formula", "layers", "decoder", "network", "data", "words", "heatmap", "map", "panel", "heads",
    "nudge", "learn", "draw", "share", "tour", "page",
]  # fmt: skip
MOST_PARAMETERS = 2_100_000  # with which a browser can still compute


class Digit(NamedTuple):
    """An image on the page."""

    pixels: NDArray[np.uint8]  # (H, W) or (H, W, C), before they are normalised
    label: int | None = None  # None: unknown
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
        digits:      the images that can be chosen on the page
        start:       which of them is shown first
        drawing:     whether a digit can be drawn, centred as in MNIST
        derivations: URL of a folder with attention.md and the others, ending in a slash; "": none
        stages:      URL of a script with the model's stages in training; "": none
    Errors: those of `expect_small` and `Classifier.logits`; ValueError for a start or a label that
    does not exist, and unless the images are normalised by mean and std.
    """
    expect_small(classifier)
    if not 0 <= start < len(digits):
        raise ValueError(f"start is one of {len(digits)} images, counted from 0, got {start}")
    for digit in digits:
        if digit.label is not None and not 0 <= digit.label < len(classifier.classes):
            raise ValueError(f"{digit.name}: there is no class {digit.label!r}")
    normalize, model = classifier.normalize, classifier.model
    if not isinstance(normalize, Normalize):
        raise ValueError(f"the page normalises by mean and std only, got {normalize!r}")
    with np.errstate(over="ignore"):  # the answer is not finite then
        params = classifier.params.to("cpu").astype(np.float32)
    classifier = classifier.with_params(params)
    classifier.logits([digit.pixels for digit in digits])  # refuses what cannot be computed
    record = trace(model, params, normalize(digits[start].pixels[None]), np.array([0]))
    channels = model.config["channels"]
    return {
        "model": model.config | {"tokens": model.tokens, "parameters": params.flat.size},
        "weights": {
            "names": [[name, list(leaf.shape)] for name, leaf in params.named()],
            "float32": text_of(params.flat.astype("<f4")),
        },
        "mean": np.broadcast_to(normalize.mean, channels).tolist(),
        "std": np.broadcast_to(normalize.std, channels).tolist(),
        "classes": classifier.classes,
        "digits": [
            {"pixels": text_of(pixels), "label": label, "name": name, "warnings": list(warnings)}
            for pixels, label, name, warnings in digits
        ],
        "start": start,
        "drawing": drawing,
        "code": code_of(record),
        "derivations": derivations,
        "stages": stages,
    }


def expect_small(classifier: Classifier) -> None:
    """Refuse a model that the page cannot compute. Errors: ValueError."""
    kind = type(classifier.model).__name__
    if not (isinstance(classifier.model, ViT) and classifier.model.config["classes"]):
        raise ValueError(f"the page computes a ViT with a head; this model is a {kind}")
    if classifier.model.config["positions"] == "rotary":
        raise ValueError("the page does not compute rotary positions; choose others for this model")
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
