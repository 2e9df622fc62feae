"""What the page knows of a ViT, and of a Reader: the names of its answers, its images, a trace."""

from typing import Any, NamedTuple

import numpy as np

from ...models.vocabulary import BEGIN, END, PADDING
from ..letter import OneLetter
from ..tracing.trace import Trace, trace

SPECIAL = {PADDING: "padding", BEGIN: "the begin", END: "the end"}


class Known(NamedTuple):
    """What differs between the kinds of models."""

    classes: list[str]  # the names of the answers
    digits: list[dict[str, Any]]  # what is known of each image besides its pixels
    trace: Trace  # of the first image, for the code that the page quotes


def of_vit(classifier, digits):
    """Known of a ViT. Errors: ValueError for a label that does not exist."""
    for digit in digits:
        if digit.label is not None and not 0 <= digit.label < len(classifier.classes):
            raise ValueError(f"{digit.name}: there is no class {digit.label!r}")
    classifier.logits([digit.pixels for digit in digits])  # refuses what cannot be computed
    record = trace(classifier.model, classifier.params, _first(classifier, digits), np.array([0]))
    return Known(classifier.classes, [{"label": digit.label} for digit in digits], record)


def of_reader(transcriber, digits):
    """Known of a Reader: what it reads in each image, and the tokens that it is told there.

    They are those of the label, a text, or without one of what it reads.
    Errors: ValueError for a text that it cannot write.
    """
    words, longest = transcriber.vocabulary, transcriber.model.config["longest"]
    readings = [text for text, _ in transcriber.transcribe([digit.pixels for digit in digits])]
    known = []
    for digit, reads in zip(digits, readings, strict=True):
        try:
            (tokens,) = words.encode([reads if digit.label is None else digit.label], longest)
        except ValueError as error:
            raise ValueError(f"{digit.name}: {error}") from error
        known.append({"label": digit.label, "reads": reads, "tokens": tokens.tolist()})
    tokens = np.array([known[0]["tokens"]])
    letter = OneLetter(transcriber.model, tokens[:, :-1], 0)
    record = trace(letter, transcriber.params, _first(transcriber, digits), tokens[:, 1])
    names = [SPECIAL[number] for number in sorted(SPECIAL)]
    return Known([*names, *transcriber.classes], known, record)


def _first(classifier, digits):
    """The first image as the model sees it, (1, H, W, C)."""
    return classifier.normalize(digits[0].pixels[None])
