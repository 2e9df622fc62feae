"""The training loop."""

import contextlib
import math
import time

import numpy as np
from tqdm.auto import tqdm

from ..backend import beside, device_of, floats
from ..layers.refusals import positive_integers
from ..optim import clip_by_global_norm, warmup_linear
from ..threads import cores, threads
from .batches import ahead, batches
from .interrupt import ctrl_c_waits
from .mpi import Ranks
from .not_finite import first_not_finite, parameter_not_finite
from .step import loss_and_gradients, ready
from .workers import processes_for, workers

SLOW_STEPS, TIMED_STEPS = 3, 10  # the first are slow; the next say how long all will take


def fit(
    progress,
    train,
    validation,
    *,
    epochs,
    batch_size,
    augment=None,
    plain_epochs=0,
    schedule=warmup_linear,
    warmup_share=0.05,
    clip=1.0,
    smoothing=0.0,
    keep_tokens=None,
    seed=0,
    shards=None,
    patience=None,
    after_step=None,
    ranks=None,
):
    """Train `progress.classifier` in place, from where it stands; return progress.rows.

    Arguments
        progress:          a Progress. One that has taken steps continues, with the same other
                           arguments, as if it had never stopped, to the last bit
        train, validation: Splits of raw images and labels
        augment:           an Augmentation, or None
        plain_epochs:      the last so many epochs go without it, so that the weights settle on
                           images as they will be (He et al. 2019, arXiv:1909.09148)
        schedule:          `warmup_linear` or `warmup_cosine`
        warmup_share:      the share of all steps, from 0 to 1, in which the rate rises
        clip:              largest global norm of the gradients
        smoothing:         of the labels, see cross_entropy
        keep_tokens:       share of each image's tokens that are kept for the first two thirds of
                           the epochs (keep_tokens.py), which makes these faster; None for all
        seed:              of order and augmentation, see `batches`; what the layers draw in a
                           shard of a step comes from default_rng([seed, step + 1, shard + 1])
        shards:            parts into which a step is split, for `workers` on as many cores as
                           there are; None for one on each core, or just one on a GPU or for each
                           rank. One seed and one number of shards give one result, to the last bit
        patience:          stop early, after so many epochs without a lower validation loss; or None
        after_step:        called with `progress` after every step, for example to save it
        ranks:             Ranks of MPI, each of which calls `fit` with the same arguments, and
                           takes its share of the shards (mpi.py); None for this process alone
    A row is a dict of step, epoch (from 1), loss, accuracy, learning_rate, gradient_norm, and at
    the end of each epoch validation_loss and validation_accuracy (else None). `progress.best` are
    the weights of the epoch with the lowest validation loss.
    Errors: ValueError for a setting that cannot work; FloatingPointError, which names the step and
    the array, when a loss or the gradients are no longer finite, as they are one step after a
    parameter is not: `progress.best` still is. KeyboardInterrupt is held back until a step is
    whole, so `progress` can then be saved.
    """
    on_gpu = device_of(progress.params.flat) == "cuda"
    ranks = ranks or Ranks()
    if shards is None:
        shards = ranks.count if on_gpu or ranks.count > 1 else cores()
    epochs, batch_size, shards = positive_integers(
        "fit", epochs=epochs, batch_size=batch_size, shards=shards
    )
    here = ranks.share(shards)
    own = range(shards)[here]
    if plain_epochs:
        positive_integers("fit", plain_epochs=plain_epochs)
    _check(train, validation, warmup_share, keep_tokens, patience, on_gpu and len(own) > 1)
    params, optimizer, first = progress.params, progress.optimizer, progress.steps
    count = len(train.labels)
    steps_per_epoch = math.ceil(count / batch_size)
    steps = epochs * steps_per_epoch
    warmup, peak = int(warmup_share * steps), optimizer.lr
    grads = params.zeros_like()
    options = dict(epochs=epochs, batch_size=batch_size, seed=seed, first=first)
    options |= dict(augment=augment, plain_epochs=plain_epochs, shards=shards, here=here)
    coming = ahead(batches(train, **options))
    seen = first // steps_per_epoch * count + first % steps_per_epoch * batch_size
    look = dict(unit=" images", unit_scale=True, leave=False, disable=None)
    bar = tqdm(total=epochs * count, initial=seen, **look)
    began = time.perf_counter() - progress.seconds
    with (
        workers(processes_for(len(own), batch_size), progress.classifier.model, params) as run,
        threads(min(len(own), cores())) as mapper,
        contextlib.closing(coming),
        ctrl_c_waits() as ctrl_c,
        bar,
    ):
        run, evaluating = ranks.adding(run, ctrl_c), ranks.mapping(mapper)
        for step, batch in enumerate(coming, first):
            if patience and progress.epochs_since_best() >= patience:
                tqdm.write(f"no lower validation loss in {patience} epochs: stopped early")
                break
            rngs = [np.random.default_rng([seed, step + 1, i + 1]) for i in own]
            early = step < steps_per_epoch * (2 * epochs // 3)
            how = dict(smoothing=smoothing, keep_tokens=keep_tokens if early else None)
            how |= dict(augment=augment, rngs=rngs, run=run)
            loss, accuracy, norm = _gradients(progress, batch, grads, how, clip, ranks)
            rate = schedule(step, steps=steps, warmup=warmup, peak=peak)
            optimizer.lr = rate
            optimizer.step(grads, mapper)
            optimizer.lr = peak
            if progress.ema:
                progress.ema.update()
            progress.steps = step + 1
            epoch, place = divmod(step, steps_per_epoch)
            row = dict(
                step=step, epoch=epoch + 1, loss=loss, accuracy=accuracy, learning_rate=rate,
                gradient_norm=norm, validation_loss=None, validation_accuracy=None,
            )  # fmt: skip
            progress.rows.append(row)
            bar.set_postfix_str(f"loss {loss:.3f}, accuracy {accuracy:.1%}", refresh=False)
            bar.update(batch.size)
            if place == steps_per_epoch - 1:
                ranks.level(params)
                _validate(progress, validation, evaluating)
                speed = (epoch + 1) * count / (time.perf_counter() - began)
                epoch_rows = progress.rows[-steps_per_epoch:]
                tqdm.write(f"{_summary(epoch_rows, epochs)}   {speed:,.0f} images/s")
            progress.seconds = time.perf_counter() - began
            if step == first + SLOW_STEPS:
                timed = progress.seconds
            if step == first + SLOW_STEPS + TIMED_STEPS:
                left = (progress.seconds - timed) / TIMED_STEPS * (steps - step)
                tqdm.write(f"about {left / 60:.1f} minutes to go on this machine")
            if after_step:
                after_step(progress)
            if ranks.stop(ctrl_c):
                break
    return progress.rows


def _check(train, validation, warmup_share, keep_tokens, patience, split_on_gpu):
    """Raise ValueError for settings that cannot work."""
    if split_on_gpu:
        raise ValueError("fit: on a GPU a step is not split over processes; expected shards=1")
    if patience is not None:
        positive_integers("fit", patience=patience)
    for name, split in {"train": train, "validation": validation}.items():
        if len(split.labels) == 0 or len(split.images) != len(split.labels):
            raise ValueError(
                f"fit: {name} has {len(split.images)} images and {len(split.labels)} labels; "
                "expected a label for each, and at least one"
            )
    if keep_tokens is not None and not 0 < keep_tokens <= 1:
        raise ValueError(
            f"fit: keep_tokens is a share of the tokens, more than 0 and at most 1, got "
            f"{keep_tokens!r}"
        )
    if not 0 <= warmup_share <= 1:
        raise ValueError(
            f"fit: warmup_share is a share of the steps, from 0 to 1, got {warmup_share!r}"
        )


def _gradients(progress, batch, grads, how, clip, ranks):
    """Fill `grads` with a step's clipped gradients; return loss, accuracy and norm as floats."""
    classifier = progress.classifier
    loss, accuracy = loss_and_gradients(
        classifier.model, progress.params, batch.images, batch.labels, grads, maps=batch.maps,
        bounds=batch.bounds, batch=batch.size, prepare=classifier.normalize, **how,
    )  # fmt: skip
    norm = clip_by_global_norm(grads, clip)
    loss, accuracy, norm = floats(loss, accuracy, norm)  # the only wait for a GPU
    if not math.isfinite(loss + norm):
        found = filter(None, ranks.each(_not_finite(progress, batch, how["augment"])))
        culprit = next(found, "the norm of the gradients, although each number is finite")
        raise FloatingPointError(
            f"at step {progress.steps} the loss is {loss} and the norm of the gradients {norm}; "
            f"not finite: {culprit}. Try a lower learning rate"
        )
    return loss, accuracy, norm


def _not_finite(progress, batch, augment):
    """The first array with inf or nan in a step on this batch, or None."""
    if len(batch.labels) == 0:  # on one rank of several
        return None
    classifier, place = progress.classifier, progress.params.flat
    x = ready(batch.images, batch.maps, augment, classifier.normalize, place)
    return first_not_finite(classifier.model, progress.params, x, beside(batch.labels, place))


def _validate(progress, validation, mapper):
    """Evaluate after an epoch; add that to the last row, and keep the best weights."""
    classifier = progress.classifier.with_params(progress.validated)
    try:
        loss, accuracy, _ = classifier.evaluate(validation, mapper)
    except FloatingPointError as error:
        name = parameter_not_finite(progress.params)
        culprit = f"the parameter {name} is not finite" if name else error
        raise FloatingPointError(
            f"after step {progress.steps - 1}, in validation, {culprit}. Try a lower learning rate"
        ) from None
    progress.rows[-1].update(validation_loss=loss, validation_accuracy=accuracy)
    progress.validation_losses.append(loss)
    if progress.epochs_since_best() == 0:
        progress.best.flat[...] = progress.validated.flat


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
