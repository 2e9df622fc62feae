"""A model that learns without labels, in memory and on disk.

The files are those of a classifier; config.json names no classes.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .backend import array_module, floats
from .classifier import Classifier
from .data.digits import Split
from .files import read_json
from .layers.refusals import positive_integers
from .models import Masked, Permutation, ViT
from .params import Params

KINDS = (Permutation, Masked)
ENCODER = ("patches", "pos", "blocks", "ln")  # what it hands on
ASKING = ("shown", "seen")  # what is no size of the encoder


def is_pretrained(folder: str | os.PathLike) -> bool:
    """Whether it is the folder of a Pretrainer's run; ValueError if its config.json is damaged."""
    path = Path(folder, "config.json")
    kind = path.is_file() and read_json(path).get("kind")
    return kind in [each.__name__ for each in KINDS]


class Pretrainer(Classifier):
    """Trains, and is kept, like a classifier, but looks at no label: its model asks itself.

        pretrainer = Pretrainer.load("runs/masked")
        vit, params = pretrainer.body()

    model: a Permutation or a Masked; what it draws to ask, in `evaluate`, is always the same
    """

    kinds = KINDS

    def evaluate(self, split: Split, mapper: Callable = map) -> tuple[float, float, np.ndarray]:
        """Return the loss, and the share that is right, of the images of a Split; no logits.

        Errors: FloatingPointError if either is not finite.
        """
        count = len(split.labels)
        places = self.model.draw(np.random.default_rng(0), count)

        def graded(part):
            return self._graded(split.images[part], places[part])

        sizes, results = self._by_parts(count, graded, mapper)
        losses, right, asked = results.reshape(-1, 3).T
        loss, share = float(losses @ (sizes / count)), float(right.sum() / max(1, asked.sum()))
        if not np.isfinite(loss + share):
            raise FloatingPointError(f"the loss is {loss}")
        return loss, share, np.empty((0, 0))

    def _graded(self, pixels, places):
        with np.errstate(all="ignore"):
            answer, images = self.answer(pixels, places)
            loss, _, *counts = self.model.grade(answer, images, places)
        return floats(*map(array_module(loss).asarray, (loss, *counts)))

    def answer(self, pixels: np.ndarray, places: np.ndarray) -> tuple[Any, Any]:
        """Return what the model answers for raw images and what it drew, and what it read."""
        images = self._normalized(pixels)
        return self.model.forward(self.params, images, keep=False, places=places)[0], images

    def body(self) -> tuple[ViT, Params]:
        """Return a ViT on this encoder that returns the mean of its tokens, and its Params."""
        own = [n for n in self.model.config if n not in ASKING and not n.startswith("decoder_")]
        sizes = {name: self.model.config[name] for name in own}
        vit = ViT(**sizes, classes=0, pool="mean")
        nest = vit.init(np.random.default_rng(0), self.params.flat.dtype)
        learned = {name: self.params.nest[name] for name in nest if name in ENCODER}
        return vit, Params(nest | learned)

    @classmethod
    def model_of(cls, config: dict[str, Any], weights: Params) -> Any:
        sizes = config["model"]
        if isinstance(sizes, dict) and "decoder_dim" in sizes:
            names = ("decoder_dim", "decoder_depth", "decoder_heads")
            dim, depth, _ = positive_integers("Masked", **{name: sizes[name] for name in names})
            if max(8 * dim**2 * depth, depth) > weights.flat.size:
                raise ValueError(f"its decoder has more parameters than {weights.flat.size:,}")
        return super().model_of(config, weights)
