"""What is measured once a model is trained: from raw images to the probability of each class.

An engine answers all `count` images at once: many, to see its throughput, or one, which somebody
waits for.
"""

import contextlib

import minivit
from minivit.threads import cores, threads

from .engines import NORMALIZE, batch_of, start


@contextlib.contextmanager
def classifier(config, count):
    """As a user asks it: one thread, BLAS as it comes."""
    images, _ = batch_of(config, count)
    asked = minivit.Classifier(*start(config), NORMALIZE, range(config["classes"]))
    yield lambda: asked.predict(images), count


@contextlib.contextmanager
def evaluation(config, count):
    """As training and `demos.evaluate` ask it: batch by batch, on a thread for each core."""
    images, _ = batch_of(config, count)
    asked = minivit.Classifier(*start(config), NORMALIZE, range(config["classes"]))
    with threads(cores()) as mapper:
        yield lambda: asked.logits(images, mapper), count


@contextlib.contextmanager
def torch_evaluation(config, count, batch_size=250):
    import torch

    from .torch_vit import twin

    torch.set_num_threads(cores())
    images = torch.from_numpy(batch_of(config, count)[0])
    model = twin(config, start(config)[1]).eval()
    mean, std = 255 * NORMALIZE.mean, 255 * NORMALIZE.std

    @torch.inference_mode()
    def answer():
        batches = images.split(batch_size)
        return torch.cat([model((batch.float() - mean) / std).softmax(-1) for batch in batches])

    yield answer, count


ANSWERS = {
    "Classifier": classifier,
    "Classifier on all cores": evaluation,
    "torch-eager, inference mode": torch_evaluation,
}
