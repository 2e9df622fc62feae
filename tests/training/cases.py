"""A tiny classifier that learns to tell bright images from dark ones, and what it learns from."""

import numpy as np

import minivit
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.training import Progress, Run

OPTIONS = dict(epochs=3, batch_size=16, shards=1)  # 3 steps an epoch


def bright_or_dark():
    """40 images (4, 4) to train on and 10 to validate, whose labels say whether they are bright."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 50)
    images = (rng.integers(0, 100, (50, 4, 4)) + 100 * labels[:, None, None]).astype(np.uint8)
    return Split(images[:40], labels[:40]), Split(images[40:], labels[40:])


def progress_of(optimizer=minivit.Adam, rate=0.02, *, seed=0, ema=False, **changes):
    """The Progress of a new model."""
    sizes = dict(image_size=4, patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5)
    model = minivit.ViT(**(sizes | changes), classes=2)
    params = minivit.Params(model.init(np.random.default_rng(seed)))
    normalize = Normalize.of(bright_or_dark()[0].images)
    classifier = minivit.Classifier(model, params, normalize, ["dark", "bright"])
    average = minivit.EMA(params, 0.9) if ema else None
    return Progress(classifier, optimizer(params, rate), average)


def run_of(root, progress, *, started=None, **options):
    """Start a run named tiny, train it with a checkpoint after every step, and return its folder.

    started: what it was started with, at first {"seed": 3}
    options: of `fit`
    """
    with Run.start("tiny", started or {"seed": 3}, progress, root) as run:
        run.fit(progress, *bright_or_dark(), checkpoint_every=1, **(OPTIONS | options))
    return run.folder


def resumed(folder, *, started=None, **changes):
    """The Progress of a run as it was saved, and why newer checkpoints were refused."""
    progress = progress_of(**changes)
    with Run.open(folder) as run:
        return progress, run.resume(progress, started or {"seed": 3})
