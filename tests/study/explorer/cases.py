"""Models and images to make pages of."""

import base64
import functools

import numpy as np

import minivit
from minivit.checks.numeric import random_params
from minivit.data.normalize import Normalize
from minivit.models import Reader
from minivit.study import trace
from minivit.study.explorer import Digit, page_data
from minivit.study.letter import OneLetter
from minivit.transcriber import Transcriber

SMALL = dict(
    image_size=(8, 12), patch_size=4, channels=1, dim=12, depth=2, heads=3, mlp_dim=10, classes=5,
)  # fmt: skip
VARIANTS = {
    "default": {},
    "class token": dict(pool="cls", norm="post", positions="sincos2d"),
    "colour": dict(
        channels=3, pool="patch_mean", layer_scale=0.3, pre_logits=7, activation="gelu_exact"
    ),
    "no positions": dict(positions=None, norm_pooled=True, heads=1),
}  # fmt: skip
SMALL_READER = dict(
    image_size=(4, 24), patch_size=(4, 3), channels=1, dim=12, depth=2, heads=3, mlp_dim=10,
    words=7, longest=4, decoder_depth=2, positions="sincos2d",
)  # fmt: skip
READERS = {
    "reader": {},
    "post-norm reader": dict(norm="post", positions="learned", channels=3, activation="gelu_exact"),
}
TEXTS = ["dab", "", "bacd"]  # of the strips, of which the first is asked for its PLACE
PLACE = 2
MEANS, STDS = [0.13, 0.5, 0.4], [0.31, 0.2, 0.25]  # of red, green and blue


def classifier_of(config=SMALL, **changes):
    """A Classifier with random parameters, in float32 as those of a run."""
    model = minivit.ViT(**config | changes)
    params = random_params(model, np.random.default_rng(0)).astype(np.float32)
    channels, classes = model.config["channels"], range(model.config["classes"])
    normalize = Normalize(MEANS[:channels], STDS[:channels])
    return minivit.Classifier(model, params, normalize, [str(number) for number in classes])


def transcriber_of(**changes):
    """A Transcriber of texts of a, b, c and d, likewise."""
    model = Reader(**SMALL_READER | changes)
    params = random_params(model, np.random.default_rng(0)).astype(np.float32)
    channels = model.config["channels"]
    return Transcriber(model, params, Normalize(MEANS[:channels], STDS[:channels]), [*"abcd"])


def digits_of(classifier, count=3):
    """Images of random pixels, the first of class 3; or strips of the TEXTS."""
    config, rng = classifier.model.config, np.random.default_rng(1)
    pixels = rng.integers(0, 256, (count, *config["image_size"], config["channels"]), np.uint8)
    classes = config.get("classes")
    labels = [(3 + number) % classes for number in range(count)] if classes else TEXTS
    return [
        Digit(image, label, f"test image {number}")
        for number, (image, label) in enumerate(zip(pixels, labels, strict=True))
    ]


def data_of(classifier, **options):
    return page_data(classifier, digits_of(classifier), **options)


@functools.cache
def small_data(**changes):
    return data_of(classifier_of(**changes))


def traced(classifier, digit):
    """The Trace, in float64, of what the page computes of a digit: its normalised pixels too.

    Of a Reader, it is that of the letter at its PLACE.
    """
    mean, std = np.array(classifier.normalize.mean), np.array(classifier.normalize.std)
    images = (digit.pixels[None] / 255 - mean) / std  # (1, H, W, C)
    params = classifier.params.astype(np.float64)
    model, labels = classifier.model, np.array([digit.label])
    if isinstance(classifier, Transcriber):
        tokens = classifier.vocabulary.encode([digit.label], model.config["longest"])
        model, labels = OneLetter(model, tokens[:, :-1], PLACE), tokens[:, PLACE + 1]
    return trace(model, params, images, labels)


def recorded(record, name):
    """The numbers of a name in a Trace; "scores@0" is the first of its versions."""
    name, _, version = name.partition("@")
    if name not in record:
        name = f"reader.{name}"  # it is inside a model of one letter
    return (record.versions(name)[int(version)] if version else record[name]).value


def unpacked(text, dtype):
    """The numbers that the page makes of what Python has packed, (n,)."""
    return np.frombuffer(base64.b64decode(text), dtype)
