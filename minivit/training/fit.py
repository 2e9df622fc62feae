"""The training loop."""

import math
import time

import numpy as np
from tqdm import tqdm

from ..layers.refusals import positive_integers
from ..optim import clip_by_global_norm, warmup_linear
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
    schedule=warmup_linear,
    warmup=0.15,
    clip=1.0,
    smoothing=0.0,
    seed=0,
    shards=None,
    after_epoch=None,
):
    """Train `params` in place; return a row of metrics for each step.

    Arguments
        model, params, optimizer: as in `minivit`; the optimizer's lr is the peak of the schedule
        train, validation: Splits of raw images and labels
        prepare:           (raw images, rng or None) -> float images, such as a Preparation
        epochs, batch_size
        schedule, warmup:  `warmup_linear` or `warmup_cosine`; the share of the steps going up
        clip, smoothing:   largest global norm of the gradients; of the labels, see cross_entropy
        seed:              what is random in a step follows from (seed, step): that in `prepare`,
                           and at an epoch's first step the order of its images
        shards:            threads over which a step is split; None for as many as there are cores
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
    count = len(train.labels)
    if count == 0 or len(validation.labels) == 0:
        raise ValueError(
            f"fit: {count} images to train on and {len(validation.labels)} to validate on; "
            "expected at least one of each"
        )
    steps_per_epoch = math.ceil(count / batch_size)
    steps = epochs * steps_per_epoch
    peak = optimizer.lr
    grads = [params.zeros_like() for _ in range(shards)]
    rows = []
    bar = tqdm(total=epochs * count, unit=" images", unit_scale=True, disable=None)
    with bar, threads(shards) as each:
        for step in range(steps):
            epoch, place = divmod(step, steps_per_epoch)
            rng = np.random.default_rng([seed, step + 1])  # [seed, 0] would be the stream of seed
            if place == 0:
                order = rng.permutation(count)
                began = time.perf_counter()
            batch = order[place * batch_size : (place + 1) * batch_size]
            images, labels = prepare(train.images[batch], rng), train.labels[batch]

            loss, accuracy = loss_and_gradients(
                model, params, images, labels, grads, smoothing=smoothing, each=each
            )
            norm = float(clip_by_global_norm(grads[0], clip))
            if not math.isfinite(loss + norm):
                raise FloatingPointError(
                    f"at step {step} the loss is {loss} and the norm of the gradients {norm}; "
                    "try a lower learning rate"
                )
            rate = schedule(step, steps=steps, warmup=int(warmup * steps), peak=peak)
            optimizer.lr = rate
            optimizer.step(grads[0])
            optimizer.lr = peak

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
            bar.update(len(batch))

            if place == steps_per_epoch - 1:
                speed = count / (time.perf_counter() - began)
                loss, accuracy, _ = evaluate(model, params, validation, prepare, each)
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
