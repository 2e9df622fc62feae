"""Post-norm blocks need a learning rate that grows slowly at first; pre-norm blocks do not."""

import itertools
import sys

import numpy as np

import minivit
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.threads import threads
from minivit.training.batches import batches
from minivit.training.step import loss_and_gradients

from .options import parser_of, propose, status

DEPTH, LEARNING_RATE, BATCH = 11, 4e-3, 128
SEEDS, STEPS = 4, 400  # runs of each kind, and the steps of each; warm-up: three quarters
LAST = 50  # steps over which the outcome is averaged; no image is seen twice


def arguments(argv=None):
    return parser_of("post_norm", __doc__).parse_args(argv)


def main(argv=None):
    return status("post_norm", lambda: compare(arguments(argv)))


def compare(_):
    """Print a row for each kind of run."""
    print(f"{DEPTH} blocks on MNIST, Adam, {STEPS} steps of {BATCH} images, learning rate")
    print(f"{LEARNING_RATE:g} at its highest. Accuracy (and loss) over the last {LAST} steps:\n")
    print("norm      warm-up" + "".join(f"{f'seed {seed}':>15}" for seed in range(SEEDS)))
    train = minivit.load_digits("mnist").train
    with threads(1):
        for norm, warmup in itertools.product(["post", "pre"], [0, STEPS * 3 // 4]):
            print(f"{norm:<7}{warmup:>4} steps", end="", flush=True)
            for seed in range(SEEDS):
                loss, accuracy = run(train, norm, warmup, seed)
                print(f"{accuracy:>8.0%} ({loss:.2f})", end="", flush=True)
            print()
    propose("see a block's numbers, forward and backward", "explore")


def run(train, norm, warmup, seed):
    """Train a model; return the mean loss and accuracy of the last steps, before their updates."""
    model = minivit.ViT(
        image_size=28, patch_size=7, channels=1, dim=32, depth=DEPTH, heads=2, mlp_dim=64,
        classes=10, norm=norm,
    )  # fmt: skip
    params = minivit.Params(model.init(np.random.default_rng(seed)))
    optimizer, grads = minivit.Adam(params, LEARNING_RATE), params.zeros_like()
    split = Split(train.images[: STEPS * BATCH], train.labels[: STEPS * BATCH])
    prepare = Normalize.of(split.images)
    outcomes = []
    for step, batch in enumerate(batches(split, epochs=1, batch_size=BATCH, seed=seed)):
        outcomes.append(
            loss_and_gradients(model, params, batch.images, batch.labels, grads, prepare=prepare)
        )
        optimizer.lr = minivit.warmup_linear(step, steps=STEPS, warmup=warmup, peak=LEARNING_RATE)
        optimizer.step(grads)
    return np.mean(outcomes[-LAST:], axis=0)


if __name__ == "__main__":
    sys.exit(main())
