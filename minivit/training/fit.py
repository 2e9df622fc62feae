"""The training loop."""

import math
import time

import numpy as np
from tqdm import tqdm

from ..losses import cross_entropy
from ..optim import clip_by_global_norm, warmup_linear
from .evaluate import evaluate


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
    after_epoch=None,
):
    """Train `params` in place; return one row of metrics a step.

    Arguments
        model, params, optimizer: as in `minivit`; the optimizer's lr is the peak of the schedule
        train, validation: Splits of raw images and labels
        prepare:           (raw images, rng or None) -> float images, such as a Preparation
        epochs, batch_size
        schedule, warmup:  `warmup_linear` or `warmup_cosine`; the share of all steps in which the rate rises
        clip:              largest global norm of the gradients
        smoothing:         of the labels, see cross_entropy
        seed:              of the order of the images and of prepare's randomness; all randomness of a step follows from
                           (seed, step), so a run can be taken up again at any step
        after_epoch:       called with the rows so far, for example to save them
    Returns a list of dicts: step, epoch (1, 2, …), loss, accuracy, learning_rate, gradient_norm, and at the end of each
    epoch validation_loss and validation_accuracy (else None).
    Errors: FloatingPointError when the loss is no longer finite.
    """
    count = len(train.labels)
    steps_per_epoch = math.ceil(count / batch_size)
    steps = epochs * steps_per_epoch
    warmup_steps = int(warmup * steps)
    peak = optimizer.lr
    grads = params.zeros_like()
    rows = []
    with tqdm(total=epochs * count, unit=" images", unit_scale=True, disable=None) as bar:
        for step in range(steps):
            rng = np.random.default_rng([seed, step])
            epoch, place = divmod(step, steps_per_epoch)
            if place == 0:
                order = rng.permutation(count)
                began = time.perf_counter()
            batch = order[place * batch_size : (place + 1) * batch_size]
            labels = train.labels[batch]
            optimizer.lr = schedule(step, steps=steps, warmup=warmup_steps, peak=peak)

            images = prepare(train.images[batch], rng)
            logits, cache = model.forward(params, images)
            loss, dlogits = cross_entropy(logits, labels, smoothing)
            model.backward(params, dlogits, cache, grads.zero())
            norm = clip_by_global_norm(grads, clip)
            optimizer.step(grads)

            row = dict(
                step=step,
                epoch=epoch + 1,
                loss=float(loss),
                accuracy=float((logits.argmax(axis=-1) == labels).mean()),
                learning_rate=optimizer.lr,
                gradient_norm=float(norm),
                validation_loss=None,
                validation_accuracy=None,
            )
            rows.append(row)
            if not math.isfinite(row["loss"]):
                raise FloatingPointError(f"the loss is {row['loss']} at step {step}; try a lower learning rate")
            bar.set_postfix_str(f"loss {row['loss']:.3f}, accuracy {row['accuracy']:.1%}", refresh=False)
            bar.update(len(batch))

            if place == steps_per_epoch - 1:
                speed = count / (time.perf_counter() - began)
                row["validation_loss"], row["validation_accuracy"], _ = evaluate(model, params, validation, prepare)
                tqdm.write(_summary(rows[-steps_per_epoch:], epochs, speed))
                if after_epoch:
                    after_epoch(rows)
    optimizer.lr = peak
    return rows


def _summary(rows, epochs, speed):
    """One line about an epoch, from its rows."""
    last = rows[-1]
    return (
        f"epoch {last['epoch']}/{epochs}   "
        f"training loss {np.mean([row['loss'] for row in rows]):.4f}, "
        f"accuracy {np.mean([row['accuracy'] for row in rows]):.2%}   "
        f"validation loss {last['validation_loss']:.4f}, accuracy {last['validation_accuracy']:.2%}   "
        f"{speed:,.0f} images/s"
    )
