"""The engines that are compared: each is a context that yields a function `step()` to be timed.

They train the same model from the same parameters on the same batch, with AdamW, on all cores.
"""

import contextlib

import numpy as np

LR, BETAS, DECAY = 1e-3, (0.9, 0.98), 0.05


def batch_of(config, count):
    """Random normalised images (count, H, W, C) and labels (count,): speed asks for no more."""
    rng = np.random.default_rng(1)
    shape = (count, *config["image_size"], config["channels"])
    images = rng.standard_normal(shape).astype(np.float32)
    return images, rng.integers(0, config["classes"], count)


@contextlib.contextmanager
def minivit_engine(config, batch_size):
    import minivit
    from minivit.training.step import cores, loss_and_gradients, threads

    images, labels = batch_of(config, batch_size)
    model = minivit.ViT(**config)
    params = minivit.Params(model.init(np.random.default_rng(0)))
    optimizer = minivit.AdamW(params, LR, betas=BETAS, decay=DECAY)
    grads = [params.zeros_like() for _ in range(cores())]
    with threads(cores()) as mapper:

        def step():
            loss, _ = loss_and_gradients(model, params, images, labels, grads, mapper=mapper)
            optimizer.step(grads[0])
            return loss

        yield step


@contextlib.contextmanager
def torch_engine(config, batch_size, compiled=False):
    import torch
    import torch.nn.functional as F

    import minivit
    from minivit.training.step import cores

    from .torch_vit import adamw, twin

    torch.set_num_threads(cores())
    images, labels = map(torch.from_numpy, batch_of(config, batch_size))
    model = twin(config, minivit.Params(minivit.ViT(**config).init(np.random.default_rng(0))))
    optimizer = adamw(model, LR, BETAS, DECAY)
    forward = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    yield step
