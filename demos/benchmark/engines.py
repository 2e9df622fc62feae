"""What is measured: each engine is a context that yields `step` and how much one step does.

Both engines train the same model from the same parameters on the same batch of raw images, with
AdamW, on all cores that this process may use.
"""

import contextlib

import numpy as np

import minivit
from minivit.data.normalize import Normalize
from minivit.threads import cores, threads
from minivit.training.step import loss_and_gradients
from minivit.training.workers import workers

LR, BETAS, DECAY = 1e-3, (0.9, 0.98), 0.05
NORMALIZE = Normalize(0.1307, 0.3081)  # MNIST's


def batch_of(config, batch_size):
    """Random raw images (B, H, W, C), uint8, and labels (B,): speed asks for no more."""
    rng = np.random.default_rng(1)
    shape = (batch_size, *config["image_size"], config["channels"])
    return rng.integers(0, 256, shape, np.uint8), rng.integers(0, config["classes"], batch_size)


def start(config):
    """minivit's model and its initial parameters."""
    model = minivit.ViT(**config)
    return model, minivit.Params(model.init(np.random.default_rng(0)))


@contextlib.contextmanager
def minivit_engine(config, batch_size):
    images, labels = batch_of(config, batch_size)
    model, params = start(config)
    optimizer = minivit.AdamW(params, LR, betas=BETAS, decay=DECAY)
    grads, rngs = params.zeros_like(), [None] * cores()
    with workers(len(rngs), model, params) as run:

        def step():
            loss, _ = loss_and_gradients(
                model, params, images, labels, grads, prepare=NORMALIZE, rngs=rngs, run=run
            )
            optimizer.step(grads)
            return loss

        yield step, batch_size


@contextlib.contextmanager
def torch_engine(config, batch_size, compiled=False):
    import torch

    from .torch_vit import adamw, twin

    torch.set_num_threads(cores())
    images, labels = map(torch.from_numpy, batch_of(config, batch_size))
    model = twin(config, start(config)[1])
    optimizer = adamw(model.named_parameters(), LR, BETAS, DECAY)
    forward = torch.compile(model) if compiled else model
    mean, std = 255 * NORMALIZE.mean, 255 * NORMALIZE.std

    def step():
        optimizer.zero_grad()
        logits = forward((images.float() - mean) / std)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    yield step, batch_size


@contextlib.contextmanager
def compiled_torch_engine(config, batch_size):
    with torch_engine(config, batch_size, compiled=True) as engine:
        yield engine


@contextlib.contextmanager
def matrix_products(config, batch_size):
    """The ceiling: large square products on all cores, counted in floating-point operations."""
    size = 1024
    factors = np.random.default_rng(0).standard_normal((cores(), size, size)).astype(np.float32)
    with threads(cores()) as mapper:
        yield lambda: list(mapper(np.matmul, factors, factors[::-1])), cores() * 2 * size**3


def operations(config):
    """Floating-point operations of training on one image: 3 · 2mnk of every forward product."""
    height, width = config["image_size"]
    patch = config["patch_size"]
    T, D, F = height // patch * (width // patch), config["dim"], config["mlp_dim"]
    block = T * D * 3 * D + T * D * D + 2 * T * D * F  # qkv, proj, fc1 and fc2
    block += 2 * T * T * D  # scores and mix, over all heads
    ends = T * patch * patch * config["channels"] * D + D * config["classes"]
    return 3 * 2 * (config["depth"] * block + ends)


ENGINES = {
    "minivit": minivit_engine,
    "torch-eager": torch_engine,
    "torch-compile": compiled_torch_engine,
    "matrix products": matrix_products,
}
