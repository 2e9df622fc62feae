"""The engines that train: each is a context that yields `step` and how much one step does.

All train the same model, from the same parameters, on the same batch of raw images, with AdamW, on
all cores that this process may use, or on a GPU, to which the raw images are sent in each step.
"""

import contextlib
import functools

import numpy as np

import minivit
from minivit.backend import floats, to_device
from minivit.data.normalize import Normalize
from minivit.models import Reader, micro_batch
from minivit.threads import cores, threads
from minivit.training.step import loss_and_gradients
from minivit.training.workers import workers

LR, BETAS, DECAY = 1e-3, (0.9, 0.98), 0.05
NORMALIZE = Normalize(0.1307, 0.3081)  # MNIST's


def batch_of(config, batch_size):
    """Random raw images (B, H, W, C), uint8, and labels: speed does not depend on them.

    The labels are classes (B,), or texts (B, T + 1) as long as they may be.
    """
    rng = np.random.default_rng(1)
    shape = (batch_size, *config["image_size"], config["channels"])
    images = rng.integers(0, 256, shape, np.uint8)
    if "words" in config:
        return images, rng.integers(1, config["words"], (batch_size, config["longest"] + 2))
    return images, rng.integers(0, config["classes"], batch_size)


def start(config):
    """minivit's model and its initial parameters."""
    model = Reader(**config) if "words" in config else minivit.ViT(**config)
    return model, minivit.Params(model.init(np.random.default_rng(0)))


def adamw(params):
    return minivit.AdamW(params, LR, betas=BETAS, decay=DECAY)


@contextlib.contextmanager
def minivit_engine(config, batch_size, shards=None, device="cpu", gpu_batch=None):
    """shards, gpu_batch: None for one on each core, or one on a GPU, and for GPU_BATCH as it is"""
    images, labels = batch_of(config, batch_size)
    model, params = start(config)
    params = params.to(device)
    optimizer, grads = adamw(params), params.zeros_like()
    rngs = [None] * (shards or (cores() if device == "cpu" else 1))
    with workers(len(rngs), model, params) as run, going_at_once(gpu_batch):

        def step():
            loss, _ = loss_and_gradients(
                model, params, images, labels, grads, prepare=NORMALIZE, rngs=rngs, run=run
            )
            optimizer.step(grads)
            return floats(loss)[0]  # waits for a GPU

        yield step, batch_size


@contextlib.contextmanager
def going_at_once(numbers):
    """Inside the `with`, so many numbers go through a model on a GPU at once, or GPU_BATCH."""
    usual = micro_batch.GPU_BATCH
    micro_batch.GPU_BATCH = numbers or usual
    try:
        yield
    finally:
        micro_batch.GPU_BATCH = usual


@contextlib.contextmanager
def torch_engine(config, batch_size, compiled=False, device="cpu"):
    import torch

    from .torch_reader import TorchReader, loss_of
    from .torch_vit import TorchViT, adamw, twin

    torch.set_num_threads(cores())
    images, labels = map(torch.from_numpy, batch_of(config, batch_size))
    mean, std = 255 * NORMALIZE.mean, 255 * NORMALIZE.std
    writes = "words" in config
    model = twin(config, start(config)[1], TorchReader if writes else TorchViT).to(device)
    optimizer = adamw(model.named_parameters(), LR, BETAS, DECAY)
    forward = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad()
        prepared, true = (images.to(device).float() - mean) / std, labels.to(device)
        if writes:
            loss = loss_of(forward, prepared, true)
        else:
            loss = torch.nn.functional.cross_entropy(forward(prepared), true)
        loss.backward()
        optimizer.step()
        return loss.item()

    yield step, batch_size


@contextlib.contextmanager
def jax_engine(config, batch_size):
    import jax.numpy as jnp

    from .jax_vit import started, step_of

    if "words" in config:
        raise NotImplementedError("there is no such reader in JAX here")
    images, labels = map(jnp.asarray, batch_of(config, batch_size))
    mean, std = 255 * NORMALIZE.mean, 255 * NORMALIZE.std
    compiled = step_of(config, lambda raw: (raw - mean) / std, LR, BETAS, DECAY)
    p, state = started(start(config)[1].nest)

    def step():
        nonlocal p, state
        p, state, loss = compiled(p, state, images, labels)
        return float(loss)

    yield step, batch_size


@contextlib.contextmanager
def matrix_products(config, batch_size, count=None):
    """The peak: one large product on each core, counted in floating-point operations."""
    size, count = 1024, count or cores()
    factors = np.random.default_rng(0).standard_normal((count, size, size)).astype(np.float32)
    with threads(count) as mapper:
        yield lambda: mapper(lambda factor: factor @ factor, factors), count * 2 * size**3


@contextlib.contextmanager
def matrix_products_on_gpu(config, batch_size, size=8192):
    """The peak of a GPU: a large product, in float32."""
    factor = to_device(np.ones((size, size), np.float32), "cuda")
    yield lambda: floats((factor @ factor)[0, 0]), 2 * size**3


def forward_operations(config):
    """Floating-point operations of a forward pass on one image: {the layer's file: sum of 2mnk}."""
    height, width = config["image_size"]
    P, D, F, L = (config[name] for name in ("patch_size", "dim", "mlp_dim", "depth"))
    T = (height // P) * (width // P)
    block = T * D * 3 * D + T * D * D + 2 * T * D * F  # qkv, proj, fc1 and fc2
    ends = T * P * P * config["channels"] * D + D * config["classes"]  # patches and head
    attention = 2 * T * T * D  # scores and mix, all heads together
    return {"linear.py": 2 * (L * block + ends), "attention.py": 2 * L * attention}


def reading_operations(config):
    """The same sum for a Reader: its encoder, and its decoder on a text as long as may be."""
    height, width = config["image_size"]
    P, Q = config["patch_size"]
    D, F, L = (config[name] for name in ("dim", "mlp_dim", "depth"))
    N, T = (height // P) * (width // Q), config["longest"] + 1
    seen = N * P * Q * config["channels"] * D + L * N * (4 * D * D + 2 * D * F + 2 * N * D)
    looked_back = T * (4 * D * D + 2 * T * D)
    looked_at = 2 * (T + N) * D * D + 2 * T * N * D
    written = (
        config["decoder_depth"] * (looked_back + looked_at + 2 * T * D * F)
        + T * D * config["words"]
    )
    return 2 * (seen + written)


def operations(config):
    """Floating-point operations of training on one image; the backward has twice the forward's."""
    if "words" in config:
        return 3 * reading_operations(config)
    return 3 * sum(forward_operations(config).values())


ENGINES = {
    "minivit": minivit_engine,
    "torch-eager": torch_engine,
    "torch-compile": functools.partial(torch_engine, compiled=True),
    "jax-jit": jax_engine,
    "matrix products": matrix_products,
}
ours_on_gpu = functools.partial(minivit_engine, device="cuda")
torch_on_gpu = functools.partial(torch_engine, device="cuda")
ON_GPU = {
    "minivit": ours_on_gpu,
    "minivit, 2^20 at once": functools.partial(ours_on_gpu, gpu_batch=2**20),
    "minivit, 2^24 at once": functools.partial(ours_on_gpu, gpu_batch=2**24),
    "minivit, 2^26 at once": functools.partial(ours_on_gpu, gpu_batch=2**26),
    "torch-eager": torch_on_gpu,
    "torch-compile": functools.partial(torch_on_gpu, compiled=True),
    "matrix products": matrix_products_on_gpu,
}
RIVALS = {  # and the packages that they need
    "torch-eager": "torch", "torch-compile": "torch", "jax-jit": "jax",
    "onnxruntime": "onnxruntime",
}  # fmt: skip
