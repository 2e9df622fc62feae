"""The reader, the strip and the letter of it that a demo looks at."""

from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minivit.files import read_json
from minivit.layers import Softmax
from minivit.study import trace
from minivit.study.letter import OneLetter

from . import read
from .evaluate import started_with

CANDIDATES = 100  # test strips among which the one with the worst letter is chosen


class Letter(NamedTuple):
    """A letter of a test strip, told what stands before it."""

    strip: int  # its number
    image: np.ndarray  # (H, W, 1) uint8
    text: str
    tokens: np.ndarray  # (1, T + 1): begin, the text, its end
    place: int  # of the letter, from 0; that of the end is len(text)


def is_reader(run):
    """Whether a run's folder is one of demos.read."""
    config = Path(run, "config.json")
    return config.is_file() and read_json(config).get("kind") == "Reader"


def choose_letter(options, transcriber):
    """Return the Letter that --digit and --letter choose among the run's own test strips.

    Without --letter it is the least probable one after the first, which sees no letter before it;
    without --digit, that of the first CANDIDATES strips.
    Errors: ValueError for options that cannot work; those of `started_with`.
    """
    if options.data:
        raise ValueError("--data: a reader is shown the strips that its run was tested on")
    started = started_with(options.run).get("options", {})
    if not (started.keys() >= {"task", "seed", "test_strips"} and started["task"] in read.TASKS):
        raise ValueError(f"{options.run} does not say which strips it was trained on")
    chosen, count = options.digit, started["test_strips"]
    if chosen is not None and not 0 <= chosen < count:
        raise ValueError(f"--digit: test strips are numbered 0 to {count - 1}, got {chosen}")
    few = min(CANDIDATES, count) if chosen is None else chosen + 1  # the others are not drawn
    same = {name: started[name] for name in ("task", "seed")}
    images, texts = read.load(Namespace(**same, strips=1, test_strips=few))[0].test
    first = 0 if chosen is None else chosen
    labels = transcriber.vocabulary.encode(texts, transcriber.model.config["longest"])
    chances = _chances(transcriber, images[first:], labels[first:])
    for row, text in zip(chances, texts[first:], strict=True):
        row[len(text) + 1 :] = np.inf
    chances[:, 0] = np.inf
    number, place = np.unravel_index(chances.argmin(), chances.shape)
    strip, place = first + int(number), int(place)
    text = texts[strip]
    if options.letter is not None:
        place = options.letter
    if not 0 <= place <= len(text):
        raise ValueError(f"--letter: those of {text} are numbered 0 to {len(text)}, got {place}")
    return Letter(strip, images[strip], text, labels[strip : strip + 1, : len(text) + 2], place)


def _chances(transcriber, images, labels):
    """The probability of each letter of each text, told what stands before it: (n, T)."""
    prepared = transcriber.normalize(images).astype(transcriber.params.flat.dtype)
    told = transcriber.model.told(labels)
    with np.errstate(all="ignore"):
        logits, _ = transcriber.model.forward(transcriber.params, prepared, keep=False, **told)
        chances, _ = Softmax().forward(logits)  # (n, T, V)
    if not np.isfinite(chances).all():
        raise FloatingPointError("the model's answer is not finite")
    return np.take_along_axis(chances, labels[:, 1:, None], axis=-1)[:, :, 0]


def traced(transcriber, letter):
    """The trace, in float64, of a training step on the one letter."""
    model = OneLetter(transcriber.model, letter.tokens[:, :-1], letter.place)
    images = transcriber.normalize(letter.image[None]).astype(np.float64)
    params = transcriber.params.astype(np.float64)
    return trace(model, params, images, letter.tokens[:, letter.place + 1])
