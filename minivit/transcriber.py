"""A trained reader and everything that it takes to use it: what is written in a picture.

runs/read/weights.safetensors     the parameters; and config.json, checksums.json: classifier.py
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from .backend import array_module, floats
from .classifier import Classifier
from .data.digits import Split
from .layers.refusals import positive_integers
from .models import Reader
from .models.search import beam_search, greedy
from .models.size import MOST_NUMBERS
from .models.vocabulary import BEGIN, END, PADDING, SPECIAL, Vocabulary
from .params import Params


class Reading(NamedTuple):
    """A text, and the probability that the model gives it."""

    text: str
    probability: float


class Transcriber(Classifier):
    """Reads what is written in an image.

        transcriber = Transcriber.load("runs/read")
        text, probability = transcriber.transcribe(images)[0]

    It has the attributes of a Classifier; its model is a Reader, its classes are the characters of
    which its texts are made.
    """

    kinds = (Reader,)

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters and their numbers."""
        return Vocabulary(self.classes)

    def transcribe(
        self, images: Iterable[np.ndarray], beam: int = 1, mapper: Callable = map
    ) -> list[Reading]:
        """Return the Reading of each raw image.

        beam: how many beginnings are followed at a time; with 1, the most probable character is
              taken each time (greedy search)
        Errors: those of `Classifier.logits`, and ValueError for a beam less than 1.
        """
        (beam,) = positive_integers("transcribe", beam=beam)

        def read(job):
            return self._readings(self._taken(images, job), beam)

        return [each for some in mapper(read, self._jobs(images)) for each in some]

    def _readings(self, pixels, beam):
        decoder, params = self.model.decoder, self.params["decoder"]
        with np.errstate(all="ignore"):
            memory, _ = self.model.encode(self.params, self._normalized(pixels), keep=False)
            state, step = decoder.begin(params, memory), partial(decoder.step, params)
            how = dict(longest=decoder.length - 1, begin=BEGIN, end=END, never=(PADDING, BEGIN))
            if beam == 1:
                texts, scores = greedy(step, state, len(pixels), **how)
            else:
                texts, scores = beam_search(step, state, len(pixels), width=beam, **how)
                texts, scores = texts[:, 0], scores[:, 0]
        if not np.isfinite(scores).all():
            raise FloatingPointError("the model's answer is not finite")
        words = self.vocabulary
        pairs = zip(texts, scores.tolist(), strict=True)
        return [Reading(words.decode(text), math.exp(score)) for text, score in pairs]

    def evaluate(self, split: Split, mapper: Callable = map) -> tuple[float, float, np.ndarray]:
        """Return the loss, the share of texts that are read without an error, and no logits.

        split.labels: (n, T + 1) integers, see `Vocabulary.encode`
        Both are nan without images. Errors: FloatingPointError if the loss is not finite.
        """
        count = len(split.labels)
        if count == 0:
            return math.nan, math.nan, np.empty((0, 0))

        def graded(part):
            return self._graded(split.images[part], split.labels[part])

        sizes, results = self._by_parts(count, graded, mapper)
        losses, right = results.T
        loss = float(losses @ sizes) / count
        if not np.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss}")
        return loss, float(right.sum()) / count, np.empty((0, 0))

    def _graded(self, pixels, labels):
        with np.errstate(all="ignore"):
            told = self.model.told(labels)
            logits, _ = self.model.forward(
                self.params, self._normalized(pixels), keep=False, **told
            )
            loss, _, right, _ = self.model.grade(logits, None, labels)
        return floats(*map(array_module(logits).asarray, (loss, right)))

    def read(self, source: str | PathLike) -> tuple[np.ndarray, list[str]]:
        """Read a picture of a strip from a file or URL, in the form that the model was trained on.

        Returns pixels (H, W, 1) uint8, and warnings. Errors: those of `load_image`.
        """
        from .data.images import load_image  # here, as only this method needs OpenCV
        from .data.strips import strip_of_photo

        return strip_of_photo(load_image(source), *self.model.config["image_size"])

    @staticmethod
    def names_needed(model: Any) -> int:
        return model.config["words"] - SPECIAL

    @classmethod
    def model_of(cls, config: dict[str, Any], weights: Params) -> Any:
        sizes = config["model"]
        if isinstance(sizes, dict) and config.get("kind") == "Reader":
            names = ("dim", "words", "longest", "decoder_depth")
            given = {name: sizes[name] for name in names}
            dim, words, longest, depth = positive_integers("Reader", **given)
            if max(dim * words + 8 * dim**2 * depth, depth) > weights.flat.size:
                raise ValueError(f"its decoder has more parameters than {weights.flat.size:,}")
            if longest * max(longest, dim) > MOST_NUMBERS:
                raise ValueError(f"texts of {longest:,} characters are too long")
        return super().model_of(config, weights)
