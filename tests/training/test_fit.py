import contextlib
import copy
import signal
import sys

import numpy as np
import pytest

import minivit
from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.training import Progress, fit
from minivit.training.step import one_by_one
from tests.training.cases import OPTIONS, bright_or_dark, progress_of

fit_module = sys.modules["minivit.training.fit"]  # `minivit.training.fit` is the function


def fitted(progress, **options):
    """Train for three epochs of three steps, unless told otherwise; return the rows."""
    return fit(progress, *bright_or_dark(), **(OPTIONS | options))


@pytest.mark.parametrize("share", [0, 1])
def test_the_rate_may_rise_never_or_always(share):
    rates = [row["learning_rate"] for row in fitted(progress_of(), warmup_share=share)]
    assert rates == sorted(rates, reverse=share == 0)
    assert len(set(rates)) == 9


def test_prints_a_line_an_epoch_and_once_how_long_it_will_take(capsys):
    rows = fitted(progress_of())
    lines = capsys.readouterr().out.splitlines()  # too short a run for an estimate
    assert [line.split("   ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    last = [row for row in rows if row["epoch"] == 3]
    assert f"training loss {np.mean([row['loss'] for row in last]):.4f}" in lines[2]
    assert f"validation loss {last[-1]['validation_loss']:.4f}" in lines[2]
    assert lines[2].endswith(" images/s")
    fitted(progress_of(), epochs=6)
    lines = capsys.readouterr().out.splitlines()
    (place,) = [i for i, line in enumerate(lines) if line.startswith("about ")]
    assert lines[place].endswith(" minutes to go on this machine")
    assert "epoch 4/6" in lines[place - 1] and "epoch 5/6" in lines[place + 1]


def test_rows_record_every_step():
    calls, progress = [], progress_of()
    rows = fitted(
        progress, warmup_share=0.15, after_step=lambda progress: calls.append(progress.at_epoch_end)
    )
    assert rows is progress.rows
    assert [row["step"] for row in rows] == list(range(9))  # 40 images: batches of 16, 16 and 8
    assert [row["epoch"] for row in rows] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert calls == [False, False, True] * 3
    for row in rows:
        assert (row["validation_loss"] is None) == (row["step"] % 3 != 2)
        assert row["gradient_norm"] > 0
    rates = [minivit.warmup_linear(s, steps=9, warmup=1, peak=0.02) for s in range(9)]
    assert [row["learning_rate"] for row in rows] == rates
    assert rows[0]["loss"] == pytest.approx(np.log(2), rel=1e-6)
    assert progress.optimizer.lr == 0.02  # the peak again, for a further fit
    assert progress.validation_losses == [row["validation_loss"] for row in rows[2::3]]


def test_learns():
    rows = fitted(progress_of(), epochs=30)
    assert rows[-1]["validation_accuracy"] == 1
    assert rows[-1]["validation_loss"] < 0.1


def test_one_seed_gives_one_run():
    first, again, other = progress_of(), progress_of(), progress_of()
    for progress, seed in ((first, 0), (again, 0), (other, 1)):
        fitted(progress, seed=seed, augment=Augmentation(shift=1))
    np.testing.assert_array_equal(first.params.flat, again.params.flat)
    assert first.rows == again.rows
    assert (first.params.flat != other.params.flat).any()


@pytest.mark.slow
def test_resumes_after_ctrl_c_at_any_step_to_the_last_bit():
    options = dict(seed=4, augment=Augmentation(shift=1), shards=2)
    whole = progress_of(ema=True)
    fitted(whole, **options)
    for steps in range(1, 9):

        def stop(progress, steps=steps):
            if progress.steps == steps:
                signal.raise_signal(signal.SIGINT)

        stopped, resumed = progress_of(ema=True), progress_of(ema=True, seed=1)
        with pytest.raises(KeyboardInterrupt):
            fitted(stopped, after_step=stop, **options)
        assert stopped.steps == len(stopped.rows) == steps
        resumed.load_state(copy.deepcopy(stopped.state()))
        assert fitted(resumed, **options) == whole.rows[steps:]
        for name in whole.state().keys() - {"seconds"}:
            np.testing.assert_array_equal(resumed.state()[name], whole.state()[name], name)
        assert resumed.seconds > stopped.seconds > 0


def test_a_finished_training_stays_as_it_is():
    progress = progress_of()
    fitted(progress)
    before = copy.deepcopy(progress.state())
    fitted(progress)
    np.testing.assert_equal(progress.state(), before)


def losses_to_come(monkeypatch, *losses):
    """As if these were the validation losses of the epochs."""
    coming = iter(losses)
    monkeypatch.setattr(minivit.Classifier, "evaluate", lambda *_: (next(coming), 0.5, None))


def test_keeps_the_weights_of_the_lowest_validation_loss(monkeypatch):
    losses_to_come(monkeypatch, 3.0, 1.0, 2.0, 1.0)
    ends = []

    def after_step(progress):
        if progress.at_epoch_end:
            ends.append((progress.ema.params.flat.copy(), progress.best.flat.copy()))

    fitted(progress_of(ema=True), epochs=4, after_step=after_step)
    for epoch, best in enumerate([0, 1, 1, 1]):
        np.testing.assert_array_equal(ends[epoch][1], ends[best][0])
    assert (ends[1][0] != ends[3][0]).any()


@pytest.mark.parametrize("patience, epochs", [(1, 2), (2, 5), (3, 6), (None, 7)])
def test_stops_when_patience_ends(monkeypatch, capsys, patience, epochs):
    losses_to_come(monkeypatch, 3.0, 4.0, 2.0, 2.5, 2.0, 2.0, 1.0)
    progress = progress_of()
    fitted(progress, epochs=7, patience=patience)
    assert progress.steps == 3 * epochs
    message = f"no lower validation loss in {patience} epochs: stopped early"
    assert (message in capsys.readouterr().out) == (epochs < 7)
    fitted(progress, epochs=7, patience=patience)  # resumed, it stops at once
    assert progress.steps == 3 * epochs


@pytest.mark.parametrize("plain_epochs", [0, 1])
def test_is_the_loop_that_anyone_would_write(plain_epochs):
    """Clipping, smoothing, schedule, warm-up, order, shifts, EMA, against a loop without shards."""
    train, validation = bright_or_dark()
    progress, augment = progress_of(minivit.SGD, 0.5), Augmentation(shift=1)
    params, classifier = progress.params, progress.classifier
    params.flat += 0.1 * np.random.default_rng(1).standard_normal(params.flat.shape, np.float32)
    twin = params.astype(np.float32)
    ema, twin_ema = minivit.EMA(params, 0.5), minivit.EMA(twin, 0.5)

    rows = fit(
        Progress(classifier, progress.optimizer, ema), train, validation,
        epochs=2, batch_size=16, schedule=minivit.warmup_cosine, warmup_share=0.5, clip=0.05,
        smoothing=0.2, seed=9, shards=3, augment=augment, plain_epochs=plain_epochs,
    )  # fmt: skip

    optimizer, grads = minivit.SGD(twin, 0.5), twin.zeros_like()
    for step in range(6):
        rng = np.random.default_rng([9, step + 1])
        if step % 3 == 0:
            order = rng.permutation(40)
        batch = order[step % 3 * 16 : step % 3 * 16 + 16]
        images = train.images[batch]
        if step < 3 * (2 - plain_epochs):
            images = augment.apply(images, augment.draw(rng, len(batch), 4, 4))
        images = classifier.normalize(images)
        logits, cache = classifier.model.forward(twin, images)
        loss, dlogits = minivit.cross_entropy(logits, train.labels[batch], smoothing=0.2)
        classifier.model.backward(twin, dlogits, cache, grads.zero())
        norm = minivit.clip_by_global_norm(grads, 0.05)
        optimizer.lr = minivit.warmup_cosine(step, steps=6, warmup=3, peak=0.5)
        optimizer.step(grads)
        twin_ema.update()
        assert norm > 0.05
        assert rows[step]["loss"] == pytest.approx(loss, rel=1e-5)
        assert rows[step]["gradient_norm"] == pytest.approx(norm, rel=1e-4)
        assert rows[step]["learning_rate"] == optimizer.lr
    np.testing.assert_allclose(params.flat, twin.flat, atol=1e-5)
    np.testing.assert_allclose(ema.params.flat, twin_ema.params.flat, atol=1e-5)
    loss, accuracy, _ = classifier.with_params(ema.params).evaluate(validation)
    assert rows[-1]["validation_loss"] == pytest.approx(loss, rel=1e-5)  # the average is validated
    assert rows[-1]["validation_accuracy"] == accuracy
    assert rows[-1]["validation_loss"] != classifier.evaluate(validation)[0]


def test_dropout_draws_anew_in_every_shard_of_every_step(monkeypatch):
    entropies = []

    def forward(self, x, rng=None):
        if rng is not None:
            entropies.append(tuple(rng.bit_generator.seed_seq.entropy))
        return x, {"mask": None}

    monkeypatch.setattr(minivit.layers.Dropout, "forward", forward)
    in_this_process = lambda *_: contextlib.nullcontext(one_by_one)  # noqa: E731
    monkeypatch.setattr(fit_module, "workers", in_this_process)
    fitted(progress_of(), epochs=2, shards=2)
    expected = [(0, step, shard) for step in range(1, 7) for shard in (1, 2)]
    assert sorted(set(entropies)) == expected
    everything = [0, *((0, step) for step in range(1, 7)), *expected]
    draws = {tuple(np.random.default_rng(seed).integers(0, 2**60, 3)) for seed in everything}
    assert len(draws) == len(everything)  # no stream is used twice


def test_starts_no_more_workers_than_there_are_images_or_cores(monkeypatch):
    started = []

    def watched(count, *_):
        started.append(count)
        return contextlib.nullcontext(one_by_one)

    monkeypatch.setattr(fit_module, "workers", watched)
    monkeypatch.setattr("minivit.training.workers.cores", lambda: 5)
    fitted(progress_of(), epochs=1, shards=60, batch_size=2)
    fitted(progress_of(), epochs=1, shards=60)
    assert started == [2, 5]


def test_stops_before_a_loss_that_is_not_finite_reaches_the_parameters(monkeypatch):
    progress, applied = progress_of(minivit.SGD), []
    progress.classifier.normalize = lambda images: np.full((*images.shape, 1), np.nan, np.float32)
    monkeypatch.setattr(minivit.SGD, "update", lambda *_: applied.append(1))
    with pytest.raises(FloatingPointError, match="at step 0 the loss is nan .*the batch's images"):
        fitted(progress)
    assert not applied
    assert progress.optimizer.lr == 0.02


def test_names_a_parameter_that_a_step_made_infinite():
    message = "at step 1 .*: the parameter [a-z0-9.]+. Try a lower"
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=message):
        fitted(progress_of(minivit.SGD, 1e39))
    message = "after step 0, in validation, the parameter [a-z0-9.]+ is not finite. Try a lower"
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=message):
        fitted(progress_of(minivit.SGD, 1e39), batch_size=40)


def test_refuses_a_validation_whose_logits_are_not_finite():
    message = "after step 0, in validation, the model's answer is not finite: its weights are as la"
    with pytest.raises(FloatingPointError, match=message):
        fitted(progress_of(minivit.SGD, 1e38), batch_size=40)


NO_IMAGES = Split(np.zeros((0, 4, 4), np.uint8), np.zeros(0, int))
A_LABEL_TOO_FEW = Split(np.zeros((5, 4, 4), np.uint8), np.zeros(4, int))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(epochs=0), "epochs must be at least 1, got 0"),
        (dict(batch_size=-4), "batch_size must be at least 1, got -4"),
        (dict(shards=0), "shards must be at least 1, got 0"),
        (dict(validation=NO_IMAGES), "validation has 0 images and 0 labels"),
        (dict(train=A_LABEL_TOO_FEW), "train has 5 images and 4 labels"),
        (dict(warmup_share=15), "warmup_share is a share of the steps, from 0 to 1, got 15"),
        (dict(warmup_share=-0.1), "warmup_share is a share of the steps"),
        (dict(patience=0), "patience must be at least 1, got 0"),
        (dict(plain_epochs=-1), "plain_epochs must be at least 1, got -1"),
        (dict(clip=0), "max_norm must be positive"),
    ],
)
def test_refuses_settings_that_cannot_work(options, message):
    train, validation = bright_or_dark()
    with pytest.raises(ValueError, match=message):
        fit(progress_of(), **(dict(train=train, validation=validation) | OPTIONS | options))
