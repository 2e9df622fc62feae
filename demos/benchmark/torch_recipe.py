"""The default recipe of `demos.train_mnist` as a PyTorch user would write it well.

`tests/demos/test_benchmark_recipe.py` holds it equal to minivit's, step by step.
"""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F

from minivit.optim import warmup_linear
from minivit.training.batches import ahead, batches
from minivit.training.step import ready

from .torch_vit import adamw


def muon(model, momentum, rest_share, decay=0.05):
    """Muon for the matrices of the blocks, fused AdamW for the rest; return step(lr).

    Matrices of one shape are stacked and orthogonalised together; q, k and v are three matrices.
    """
    shapes, rest = {}, []  # shape: matrices (d_out, d_in), as PyTorch has them
    for name, leaf in model.named_parameters():
        if name.startswith("blocks.") and leaf.ndim == 2:
            part = leaf.chunk(3)[0] if ".qkv." in name else leaf
            shapes.setdefault(part.shape, []).append(leaf)
        else:
            rest.append((name, leaf))
    rest = adamw(rest, 0.0, (0.9, 0.98), decay)
    velocities = {shape: torch.zeros_like(stacked(shapes[shape], shape)) for shape in shapes}

    @torch.no_grad()
    def step(lr):
        for group in rest.param_groups:
            group["lr"] = lr * rest_share
        rest.step()
        for shape, leaves in shapes.items():
            g = stacked([leaf.grad for leaf in leaves], shape)  # (n, d_out, d_in)
            velocity = velocities[shape].mul_(momentum).add_(g)
            steps = orthogonalised(g.add_(velocity, alpha=momentum))
            moves = steps.flatten(0, 1).split([len(leaf) for leaf in leaves])
            d_out, d_in = shape
            torch._foreach_mul_(leaves, 1 - lr * decay)
            torch._foreach_add_(leaves, moves, alpha=-lr * math.sqrt(max(1, d_out / d_in)))

    return step


def stacked(leaves, shape):
    return torch.cat([leaf.detach() for leaf in leaves]).view(-1, *shape)


def orthogonalised(g, steps=5):
    """Matrices (n, rows, columns) with their singular values brought close to 1: Newton-Schulz."""
    if g.shape[-2] > g.shape[-1]:
        return orthogonalised(g.mT, steps).mT
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / g.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT  # (n, rows, rows)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def train(
    model, train, validation, prepare,
    *, peak, rest_peak, momentum, epochs, batch_size, seed=0, augment=None, plain_epochs=0,
):  # fmt: skip
    """Yield (losses of the steps, validation accuracy) after each epoch; end with the best weights.

    train, validation: Splits of raw images and labels
    prepare:           raw images -> float images
    peak, momentum:    of Muon; rest_peak is AdamW's, for the rest

    A thread augments and prepares the next batch during a step: measured, that is faster here than
    a DataLoader's process, and than no thread.
    """
    optimize, lowest, step = muon(model, momentum, rest_peak / peak), math.inf, 0
    parameters = list(model.parameters())
    steps_per_epoch = math.ceil(len(train.labels) / batch_size)
    steps = epochs * steps_per_epoch
    raw = batches(
        train, epochs=epochs, batch_size=batch_size, seed=seed, augment=augment,
        plain_epochs=plain_epochs,
    )  # fmt: skip
    coming = ahead(
        (
            ready(batch.images, batch.maps, augment, prepare, batch.images),
            batch.labels.astype(np.int64),
        )
        for batch in raw
    )
    for _ in range(epochs):
        model.train()
        losses = []
        for _ in range(steps_per_epoch):
            images, labels = map(torch.from_numpy, next(coming))
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimize(warmup_linear(step, steps=steps, warmup=int(0.05 * steps), peak=peak))
            model.zero_grad()
            losses.append(loss.item())
            step += 1
        validation_loss, accuracy = evaluate(model, validation, prepare)
        if validation_loss < lowest:
            lowest, best = validation_loss, copy.deepcopy(model.state_dict())
        yield losses, accuracy
    model.load_state_dict(best)


@torch.inference_mode()
def evaluate(model, split, prepare, batch_size=500):
    """Loss and accuracy on a Split of raw images."""
    model.eval()
    images, labels = torch.from_numpy(prepare(split.images)), torch.from_numpy(split.labels).long()
    logits = torch.cat([model(batch) for batch in images.split(batch_size)])
    right = (logits.argmax(-1) == labels).double().mean()
    return F.cross_entropy(logits, labels).item(), right.item()
