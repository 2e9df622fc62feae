"""The training loop."""

import contextlib
import math
import time

import numpy as np
from tqdm import tqdm

from ..layers.refusals import positive_integers
from ..optim import clip_by_global_norm, warmup_linear
from .batches import ahead, batches
from .evaluate import evaluate
from .step import cores, loss_and_gradients, threads


def fit(
    model,
    params,
    optimizer,
    train,
    validation,
    prepare,
    *,
    epochs,
    batch_size,
    augment=None,
    schedule=warmup_linear,
    warmup_share=0.05,
    clip=1.0,
    smoothing=0.0,
    seed=0,
    shards=None,
    ema=None,
    after_epoch=None,
):
    """Train `params` in place; return a row of metrics for each step.

    Arguments
        model, params, optimizer: as in `minivit`; the optimizer's lr is the peak of the schedule
        train, validation: Splits of raw images and labels
        prepare:           raw images -> float images, such as a Preparation
        epochs, batch_size
        augment:           (raw images, rng) -> raw images, such as an Augmentation; or None
        schedule:          `warmup_linear` or `warmup_cosine`
        warmup_share:      the share of all steps, from 0 to 1, in which the rate rises
        clip:              largest global norm of the gradients
        smoothing:         of the labels, see cross_entropy
        seed:              of order and augmentation, see `batches`; what the layers draw in a
                           shard of a step comes from default_rng([seed, step + 1, shard + 1])
        shards:            threads over which a step is split; None for as many as there are cores.
                           One seed and one number of shards give one result, to the last bit
        ema:               an EMA of `params`, updated after each step and validated in their place
        after_epoch:       called with the rows so far, for example to save them
    Returns a list of dicts: step, epoch (from 1), loss, accuracy, learning_rate, gradient_norm, and
    at the end of each epoch validation_loss and validation_accuracy (else None).
    Errors: ValueError for a setting that cannot work; FloatingPointError when the loss is no longer
    finite, before it can reach the parameters.
    """
    shards = cores() if shards is None else shards
    epochs, batch_size, shards = positive_integers(
        "fit", epochs=epochs, batch_size=batch_size, shards=shards
    )
    for name, split in {"train": train, "validation": validation}.items():
        if len(split.labels) == 0 or len(split.images) != len(split.labels):
            raise ValueError(
                f"fit: {name} has {len(split.images)} images and {len(split.labels)} labels; "
                "expected a label for each, and at least one"
            )
    if not 0 <= warmup_share <= 1:
        raise ValueError(
            f"fit: warmup_share is a share of the steps, from 0 to 1, got {warmup_share!r}"
        )
    count = len(train.labels)
    steps_per_epoch = math.ceil(count / batch_size)
    steps = epochs * steps_per_epoch
    peak = optimizer.lr
    grads = [params.zeros_like() for _ in range(shards)]
    rows = []
    evaluated = ema.params if ema else params
    prepared = ahead(
        batches(train, prepare, epochs=epochs, batch_size=batch_size, seed=seed, augment=augment)
    )
    bar = tqdm(total=epochs * count, unit=" images", unit_scale=True, disable=None)
    with bar, threads(shards) as mapper, contextlib.closing(prepared):
        for step, (images, labels) in enumerate(prepared):
            epoch, place = divmod(step, steps_per_epoch)
            if place == 0:
                began = time.perf_counter()
            rngs = [np.random.default_rng([seed, step + 1, i + 1]) for i in range(shards)]
            loss, accuracy = loss_and_gradients(
                model, params, images, labels, grads, smoothing=smoothing, rngs=rngs, mapper=mapper
            )
            norm = float(clip_by_global_norm(grads[0], clip))
            if not math.isfinite(loss + norm):
                raise FloatingPointError(
                    f"at step {step} the loss is {loss} and the norm of the gradients {norm}; "
                    "try a lower learning rate"
                )
            rate = schedule(step, steps=steps, warmup=int(warmup_share * steps), peak=peak)
            optimizer.lr = rate
            optimizer.step(grads[0])
            optimizer.lr = peak
            if ema:
                ema.update()

            row = dict(
                step=step,
                epoch=epoch + 1,
                loss=loss,
                accuracy=accuracy,
                learning_rate=rate,
                gradient_norm=norm,
                validation_loss=None,
                validation_accuracy=None,
            )
            rows.append(row)
            bar.set_postfix_str(f"loss {loss:.3f}, accuracy {accuracy:.1%}", refresh=False)
            bar.update(len(labels))

            if place == steps_per_epoch - 1:
                speed = count / (time.perf_counter() - began)
                loss, accuracy, _ = evaluate(model, evaluated, validation, prepare, mapper)
                row.update(validation_loss=loss, validation_accuracy=accuracy)
                tqdm.write(f"{_summary(rows[-steps_per_epoch:], epochs)}   {speed:,.0f} images/s")
                if after_epoch:
                    after_epoch(rows)
    return rows


def _summary(rows, epochs):
    """The rows of an epoch in one line."""
    last = rows[-1]
    loss = np.mean([row["loss"] for row in rows])
    accuracy = np.mean([row["accuracy"] for row in rows])
    return (
        f"epoch {last['epoch']}/{epochs}   training loss {loss:.4f}, accuracy {accuracy:.2%}   "
        f"validation loss {last['validation_loss']:.4f}, "
        f"accuracy {last['validation_accuracy']:.2%}"
    )
