"""The default recipe of `demos.train_mnist` as a PyTorch user would write it well.

It is held equal to minivit's, step by step, by `tests/demos/test_benchmark_recipe.py`.
"""

import math

import torch
import torch.nn.functional as F

from minivit.optim import warmup_linear
from minivit.training.batches import ahead, batches
from minivit.training.step import ready

from .torch_vit import adamw


class Muon:
    """Muon for the matrices of the blocks, fused AdamW for the rest: minivit's muon.py has why.

    Matrices of one shape, q, k and v each for itself, are stacked, and orthogonalised together.
    """

    def __init__(
        self, model, lr=0.02, *, momentum=0.95, decay=0.05, rest_lr=3e-3, betas=(0.9, 0.98)
    ):
        self.momentum, self.decay, self.rest_share = momentum, decay, rest_lr / lr
        self.shapes, rest = {}, []  # shape: matrices (d_out, d_in), as PyTorch has them
        for name, leaf in model.named_parameters():
            if name.startswith("blocks.") and leaf.ndim == 2:
                part = leaf.chunk(3)[0] if ".qkv." in name else leaf
                self.shapes.setdefault(part.shape, []).append(leaf)
            else:
                rest.append((name, leaf))
        self.rest = adamw(rest, rest_lr, betas, decay)
        self.velocities = {
            shape: torch.zeros_like(stacked(leaves, shape)) for shape, leaves in self.shapes.items()
        }

    @torch.no_grad()
    def step(self, lr):
        for group in self.rest.param_groups:
            group["lr"] = lr * self.rest_share
        self.rest.step()
        for shape, leaves in self.shapes.items():
            g = stacked([leaf.grad for leaf in leaves], shape)  # (n, d_out, d_in)
            velocity = self.velocities[shape].mul_(self.momentum).add_(g)
            steps = orthogonalised(g.add_(velocity, alpha=self.momentum))
            moves = steps.flatten(0, 1).split([len(leaf) for leaf in leaves])
            d_out, d_in = shape
            torch._foreach_mul_(leaves, 1 - lr * self.decay)
            torch._foreach_add_(leaves, moves, alpha=-lr * math.sqrt(max(1, d_out / d_in)))


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


class Recipe:
    """A training that goes on epoch by epoch.

    train, validation: Splits of raw images and labels
    prepare:           raw images -> float images
    Augmentation and preparation run in a thread, a batch ahead of the step: measured, that is
    faster here than in a DataLoader's process, or than in the step.
    """

    def __init__(
        self, model, train, validation, prepare, *, epochs, batch_size, seed=0, augment=None
    ):
        self.model, self.validation, self.prepare = model, validation, prepare
        self.optimizer, self.losses, self.lowest = Muon(model), [], math.inf
        self.steps_per_epoch = math.ceil(len(train.labels) / batch_size)
        self.steps = epochs * self.steps_per_epoch
        raw = batches(train, epochs=epochs, batch_size=batch_size, seed=seed, augment=augment)
        self.coming = ahead(
            (
                torch.from_numpy(ready(images, maps, augment, prepare, images)),
                torch.from_numpy(labels).long(),
            )
            for images, labels, maps in raw
        )

    def epoch(self):
        """Train for an epoch; return the validation accuracy, and keep the best weights."""
        parameters = list(self.model.parameters())
        self.model.train()
        for _ in range(self.steps_per_epoch):
            images, labels = next(self.coming)
            loss = F.cross_entropy(self.model(images), labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            warmup = int(0.05 * self.steps)
            self.optimizer.step(
                warmup_linear(len(self.losses), steps=self.steps, warmup=warmup, peak=0.02)
            )
            self.model.zero_grad()
            self.losses.append(loss.item())
        loss, accuracy = self.evaluate(self.validation)
        if loss < self.lowest:
            self.lowest = loss
            self.best = {name: leaf.clone() for name, leaf in self.model.state_dict().items()}
        return accuracy

    @torch.inference_mode()
    def evaluate(self, split, batch_size=500):
        """Loss and accuracy of the model as it is, on a Split of raw images."""
        self.model.eval()
        images, labels = split.images, torch.from_numpy(split.labels).long()
        logits = torch.cat(
            [
                self.model(torch.from_numpy(self.prepare(images[start : start + batch_size])))
                for start in range(0, len(images), batch_size)
            ]
        )
        right = (logits.argmax(-1) == labels).double().mean()
        return F.cross_entropy(logits, labels).item(), right.item()
