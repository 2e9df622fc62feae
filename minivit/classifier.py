"""A trained model and everything that it takes to use it, in memory and on disk.

runs/mnist/weights.safetensors     the parameters
runs/mnist/config.json             the model's arguments, how images are prepared, the class names
runs/mnist/checksums.json          the SHA-256 sums of both
"""

import itertools
import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from .backend import array_module, beside, to_device
from .checksums import CHECKSUMS, REMEDY, expect_undamaged, write_summed
from .data import preparation
from .data.digits import Split
from .data.framing import MIDDLE, Framing
from .data.normalize import Normalize
from .files import read_json, write_json
from .layers import Softmax
from .losses import cross_entropy
from .models import ViT
from .models.micro_batch import images_at_once
from .models.size import expect_no_larger
from .params import Params

DIGITS = [str(digit) for digit in range(10)]


class Classifier:
    """Says what is in an image.

        classifier = minivit.Classifier.load("runs/mnist")
        probabilities = classifier.predict(images)
        print(classifier.classes[probabilities[0].argmax()])

    Attributes
        model:     a ViT, or another model that returns logits
        params:    its Params; work is done on the device where they are
        normalize: raw images -> float images, such as Normalize
        classes:   the names of the K classes
        framing:   which part of a picture `read` takes, and how it is resized

    Nothing in it changes, so threads may share it.
    """

    kinds: tuple[Any, ...] = (ViT,)  # of models that `load` makes

    def __init__(
        self,
        model: Any,
        params: Params,
        normalize: Normalize,
        classes: Sequence[str],
        framing: Framing = MIDDLE,
    ) -> None:
        self.model, self.params, self.normalize = model, params, normalize
        self.classes, self.framing = list(classes), framing

    def with_params(self, params: Params) -> Self:
        """Return one that differs in its parameters only."""
        return type(self)(self.model, params, self.normalize, self.classes, self.framing)

    def logits(self, images: Iterable[np.ndarray], mapper: Callable = map) -> np.ndarray:
        """Return the logits of raw images, (n, K), on the CPU, in the parameters' dtype.

        images: uint8, as the model was trained on: an array (n, H, W) or (n, H, W, C), or an
                iterable of single images. Only a few are taken at once, so an iterable may yield
                more than memory holds
        mapper: `map`, or that of `threads`, which works on several batches in parallel
        Errors: ValueError for images of another shape, TypeError for anything but uint8,
        FloatingPointError for logits that are not finite.
        """
        parts = list(mapper(lambda job: self._logits(self._taken(images, job)), self._jobs(images)))
        if not parts:
            return np.empty((0, len(self.classes)), self.params.flat.dtype)
        logits = to_device(array_module(parts[0]).concatenate(parts), "cpu")
        expect_finite(logits, self._darkest_and_brightest, self.params)
        return logits

    def predict(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """Return the probability of each class, (n, K); images and errors as in `logits`."""
        probabilities, _ = Softmax().forward(self.logits(images))
        return probabilities

    def evaluate(self, split: Split, mapper: Callable = map) -> tuple[float, float, np.ndarray]:
        """Return the loss in nats, the accuracy from 0 to 1, and the logits (n, K) of a Split.

        Both are nan without images. Errors: those of `logits` and `cross_entropy`.
        """
        logits = self.logits(split.images, mapper)
        if len(logits) == 0:
            return math.nan, math.nan, logits
        loss, _ = cross_entropy(logits, split.labels)
        accuracy = np.mean(logits.argmax(axis=-1) == split.labels)
        return float(loss), float(accuracy), logits

    def _logits(self, pixels):
        with np.errstate(all="ignore"):  # what is not finite is refused in the end
            normalized = self._normalized(pixels)
            return self.model.forward(self.params, normalized, keep=False)[0]

    def _normalized(self, pixels):
        """Raw images as the model sees them, (B, H, W, C), beside its parameters."""
        images = self.normalize(beside(pixels, self.params.flat))  # (B, H, W, C)
        return images.astype(self.params.flat.dtype, copy=False)

    def _by_parts(self, count, graded, mapper):
        """Return how many images each part of `count` has (parts,), and what `graded` says of it.

        graded: takes a slice of as many images as the model takes at once; returns a few floats
        """
        jobs = self._parts(count)
        results = mapper(lambda job: graded(slice(job.start, job.stop)), jobs)
        return np.array([len(job) for job in jobs]), np.array(list(results))

    def _darkest_and_brightest(self):
        """What the model reads for the pixels 0 and 255 of each channel, (1, 1, 2, C)."""
        levels = np.array([0, 255], np.uint8)[None, None, :, None]
        return self.normalize(levels.repeat(self.model.config["channels"], axis=3))

    def _parts(self, count):
        """Ranges of as many images as the model takes at once, up to `count`."""
        at_once = images_at_once(self.model, self.params)
        return [range(at, min(at + at_once, count)) for at in range(0, count, at_once)]

    def _jobs(self, images):
        """What a `mapper` shares out: ranges of an array, or lists of what an iterable yields."""
        if hasattr(images, "shape"):
            yield from self._parts(len(images))
        else:
            images, at_once = iter(images), images_at_once(self.model, self.params)
            while batch := list(itertools.islice(images, at_once)):
                yield batch

    def _taken(self, images, job):
        """The raw images of a job, (b, H, W, C); those of a range are read only now."""
        if isinstance(job, range):
            batch = np.asarray(images[job.start : job.stop])
            return batch.reshape(len(batch), *self._shape_of(batch[0]))
        return np.stack([image.reshape(self._shape_of(image)) for image in map(np.asarray, job)])

    def _shape_of(self, image):
        """(H, W, C), if it is an image of that shape, or (H, W) with C = 1; else ValueError."""
        H, W = self.model.config["image_size"]
        C = self.model.config["channels"]
        if image.shape not in ((H, W, C), (H, W) if C == 1 else None):
            raise ValueError(
                f"an image of shape {image.shape}; the model was trained on {(H, W, C)}"
            )
        return H, W, C

    def read(self, source: str | os.PathLike) -> tuple[np.ndarray, list[str]]:
        """Read a picture from a file or URL, in the form that the model was trained on.

        For a model of MNIST's digits, the digit is found and drawn as in MNIST. For any other, the
        picture is framed and brought to the model's size, in colour or grey.
        Returns pixels (H, W, C) uint8, and warnings: sentences that say why they may mislead.
        Errors: those of `load_pixels`.
        """
        from .data.images import load_pixels  # here, as only this method needs OpenCV
        from .data.scans import read_digit

        if self.reads_digits:
            return read_digit(source)
        H, W = self.model.config["image_size"]
        return load_pixels(source, H, W, self.model.config["channels"], self.framing), []

    @property
    def reads_digits(self) -> bool:
        """Whether the model was trained on digits in MNIST's form."""
        shape = [*self.model.config["image_size"], self.model.config["channels"]]
        return (self.classes, shape) == (DIGITS, [28, 28, 1])

    def save(self, folder: str | os.PathLike) -> None:
        """Write weights.safetensors and config.json, each whole or not at all, and their sums."""
        folder = Path(folder)
        self.params.to("cpu").save(folder / "weights.safetensors", write_summed)
        write_json(folder / "config.json", self.config, write_summed)

    @property
    def config(self) -> dict[str, Any]:
        """What config.json says."""
        return {
            "kind": type(self.model).__name__,
            "model": self.model.config,
            "preparation": preparation.as_dict(self.normalize, self.framing),
            "classes": self.classes,
        }

    @classmethod
    def load(cls, folder: str | os.PathLike, device: str = "cpu") -> Self:
        """Load the classifier of a run's folder, such as runs/mnist, on "cpu" or "cuda".

        Errors: FileNotFoundError for a folder without the two files; OSError if one cannot be read;
        ValueError naming the file if one is not what checksums.json says, if config.json describes
        no model, or the weights are damaged, not finite or not this model's; those of `Params.to`.
        Memory is bounded by the size of the weights' file. UserWarning for a run of an earlier
        version, which has no checksums.json.
        """
        folder = Path(folder)
        config_file, weights_file = folder / "config.json", folder / "weights.safetensors"
        for path in (config_file, weights_file):
            if not path.is_file():
                raise FileNotFoundError(
                    f"{folder} is not a run: it has no {path.name}; expected a folder such as "
                    "runs/mnist"
                )
        try:
            config, weights = read_json(config_file), Params.load(weights_file)
        except ValueError as error:
            raise ValueError(f"{error}. {REMEDY}") from error
        summed = expect_undamaged(folder, config_file.name, weights_file.name)
        try:
            model = cls.model_of(config, weights)
            normalize, framing = preparation.of_dict(config["preparation"])
            classes = _class_names(config["classes"], cls.names_needed(model))
        except KeyError as error:
            raise ValueError(
                f"{config_file} does not describe a model: it has no {error}"
            ) from error
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{config_file} does not describe a model: {error}") from error
        params = Params(model.init(np.random.default_rng(0), weights.flat.dtype))
        _fill(params, weights, weights_file)
        if not summed:
            warnings.warn(
                f"{folder} has no {CHECKSUMS}, as it is of an earlier version: damage to its files "
                "would not be noticed",
                stacklevel=2,
            )
        return cls(model, params.to(device), normalize, classes, framing)

    @staticmethod
    def names_needed(model: Any) -> int:
        """How many names of classes the model of a run has to have."""
        return model.config.get("classes", 0)

    @classmethod
    def model_of(cls, config: dict[str, Any], weights: Params) -> Any:
        """Return the model that config.json describes, unless it is larger than its weights."""
        kinds = {kind.__name__: kind for kind in cls.kinds}
        kind, sizes = config.get("kind", "ViT"), config["model"]
        if kind not in list(kinds):
            raise ValueError(f"it is of the kind {kind}; expected {' or '.join(kinds)}")
        expect_no_larger(sizes, weights)
        return kinds[kind](**sizes)


def expect_finite(answer: np.ndarray, prepared: Callable[[], np.ndarray], params: Params) -> None:
    """Refuse logits or tokens, (..., D), that are not finite, or so far apart that no loss is.

    prepared: returns images as the model reads them. The error names these or the weights, whatever
              has the larger numbers
    Errors: FloatingPointError.
    """
    with np.errstate(all="ignore"):
        if np.isfinite(np.ptp(answer, axis=-1)).all():
            return
        causes = {
            "with the mean and std in its config the pixels become": prepared(),
            "its weights are": params.to("cpu").flat,
        }
    sizes = {cause: float(abs(numbers).max()) for cause, numbers in causes.items()}
    cause = max(sizes, key=lambda cause: math.inf if math.isnan(sizes[cause]) else sizes[cause])
    raise FloatingPointError(
        f"the model's answer is not finite: {cause} as large as {sizes[cause]:.3g}"
    )


def _class_names(names, count):
    """The names of the classes, checked."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"expected a list of class names, got {str(names)[:40]}")
    if len(names) != count or len(set(names)) != count:
        raise ValueError(f"expected {count} different class names, got {', '.join(names)[:80]}")
    return names


def _fill(params, weights, path):
    """Copy `weights` into the parameters; ValueError if they do not fit, or are not finite."""
    expected = {name: leaf.shape for name, leaf in params.named()}
    actual = {name: leaf.shape for name, leaf in weights.named()}
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            raise ValueError(
                f"{path} does not fit the model in config.json: {name!r} is "
                f"{actual.get(name, 'missing')} in the file, "
                f"{expected.get(name, 'unknown')} in the model"
            )
    leaves = dict(weights.named())
    for name, leaf in params.named():
        if not np.isfinite(leaves[name]).all():
            raise ValueError(f"{path} is damaged: {name!r} is not finite")
        leaf[...] = leaves[name]
