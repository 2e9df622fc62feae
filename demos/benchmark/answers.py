"""What is measured once a model is trained: from raw images to the probability of each class.

An engine answers all `count` images at once: many, to see its throughput, or one, which somebody
waits for.
"""

import contextlib

import numpy as np

import minivit
from minivit.data.preparation import Preparation
from minivit.training import predict
from minivit.training.step import cores, threads

from .engines import start

PREPARATION = Preparation(mean=0.13, std=0.31)  # about MNIST's


def raw_images(config, count):
    """Random pixels (count, H, W, C), uint8."""
    shape = (count, *config["image_size"], config["channels"])
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


@contextlib.contextmanager
def classifier(config, count):
    """As a user asks it: one thread, BLAS as it comes."""
    images = raw_images(config, count)
    asked = minivit.Classifier(*start(config), PREPARATION, range(config["classes"]))
    yield lambda: asked.predict(images), count


@contextlib.contextmanager
def evaluation(config, count):
    """As training and `demos.evaluate` ask it: batch by batch, on a thread for each core."""
    images = raw_images(config, count)
    model, params = start(config)
    with threads(cores()) as mapper:
        yield lambda: predict(model, params, images, PREPARATION, mapper=mapper), count


@contextlib.contextmanager
def torch_evaluation(config, count, batch_size=250):
    import torch

    from .torch_vit import twin

    torch.set_num_threads(cores())
    images = torch.from_numpy(raw_images(config, count))
    model = twin(config, start(config)[1]).eval()
    mean, std = 255 * PREPARATION.mean, 255 * PREPARATION.std

    @torch.inference_mode()
    def answer():
        batches = images.split(batch_size)
        return torch.cat([model((batch.float() - mean) / std).softmax(-1) for batch in batches])

    yield answer, count


ANSWERS = {  # name: (what it imports, its context)
    "Classifier": ("minivit", classifier),
    "training.predict": ("minivit.training.step", evaluation),
    "torch-eager, inference mode": ("demos.benchmark.torch_vit", torch_evaluation),
}
