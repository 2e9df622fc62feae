import contextlib
import copy
import signal
import sys

import numpy as np
import pytest

import minivit
from minivit.data.augment import Augmentation
from minivit.data.digits import Split, hold_out
from minivit.data.normalize import Normalize
from minivit.training import Progress, evaluate, fit
from minivit.training.step import one_by_one

fit_module = sys.modules["minivit.training.fit"]  # `minivit.training.fit` is the function


def small_case(seed=0, ema=False):
    """A tiny model that will learn to tell bright images from dark ones, and what `fit` needs."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 50)
    images = (rng.integers(0, 100, (50, 4, 4)) + 100 * labels[:, None, None]).astype(np.uint8)
    train, validation = Split(images[:40], labels[:40]), Split(images[40:], labels[40:])
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=2
    )
    params = minivit.Params(model.init(np.random.default_rng(seed)))
    average = minivit.EMA(params, 0.9) if ema else None
    progress = Progress(params, minivit.Adam(params, 0.02), average)
    return model, progress, train, validation, Normalize.of(images)


def small_run(seed=0, **options):
    case = small_case(seed)
    usual = dict(epochs=3, batch_size=16, seed=seed, augment=Augmentation(shift=1), shards=1)
    options = usual | options
    rows = fit(*case, **options)
    return case[1].params, case[1].optimizer, rows


@pytest.mark.parametrize("share", [0, 1])
def test_the_rate_may_rise_never_or_always(share):
    _, _, rows = small_run(warmup_share=share)
    rates = [row["learning_rate"] for row in rows]
    assert rates == sorted(rates, reverse=share == 0)
    assert len(set(rates)) == 9


def test_prints_a_line_an_epoch(capsys):
    _, _, rows = small_run()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("   ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    last = [row for row in rows if row["epoch"] == 3]
    assert f"training loss {np.mean([row['loss'] for row in last]):.4f}" in lines[2]
    assert f"validation loss {last[-1]['validation_loss']:.4f}" in lines[2]
    assert lines[2].endswith(" images/s")


def test_rows_tell_what_happened():
    calls = []
    _, optimizer, rows = small_run(
        warmup_share=0.15, after_step=lambda progress: calls.append(progress.at_epoch_end)
    )
    assert [row["step"] for row in rows] == list(range(9))  # 40 images: batches of 16, 16 and 8
    assert [row["epoch"] for row in rows] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert calls == [False, False, True] * 3
    for row in rows:
        assert (row["validation_loss"] is None) == (row["step"] % 3 != 2)
        assert row["gradient_norm"] > 0
    rates = [minivit.warmup_linear(s, steps=9, warmup=1, peak=0.02) for s in range(9)]
    assert [row["learning_rate"] for row in rows] == rates
    assert rows[0]["loss"] == pytest.approx(np.log(2), rel=1e-6)
    assert optimizer.lr == 0.02  # the peak again, for a further fit


def test_learns():
    _, _, rows = small_run(epochs=30)
    assert rows[-1]["validation_accuracy"] == 1
    assert rows[-1]["validation_loss"] < 0.1


def test_one_seed_gives_one_run():
    first, again, other = small_run(), small_run(), small_run(seed=1)
    np.testing.assert_array_equal(first[0].flat, again[0].flat)
    assert first[2] == again[2]
    assert (first[0].flat != other[0].flat).any()


def stop_after(steps):
    def after_step(progress):
        if len(progress.rows) == steps:
            signal.raise_signal(signal.SIGINT)

    return after_step


@pytest.mark.slow
@pytest.mark.parametrize("steps", range(1, 9))
def test_goes_on_after_ctrl_c_at_any_step_to_the_last_bit(steps):
    options = dict(epochs=3, batch_size=16, seed=4, augment=Augmentation(shift=1), shards=2)
    _, whole, *_ = case = small_case(ema=True)
    fit(*case, **options)
    _, stopped, *_ = case = small_case(ema=True)
    with pytest.raises(KeyboardInterrupt):
        fit(*case, after_step=stop_after(steps), **options)
    assert len(stopped.rows) == steps
    model, again, *rest = small_case(seed=1, ema=True)
    again.load_state(copy.deepcopy(stopped.state()))
    assert fit(model, again, *rest, **options) is again.rows
    for name in whole.state().keys() - {"seconds"}:
        np.testing.assert_array_equal(again.state()[name], whole.state()[name], name)
    assert again.seconds > stopped.seconds > 0


def test_a_training_that_is_done_stays_as_it_is():
    model, progress, *rest = small_case()
    fit(model, progress, *rest, epochs=2, batch_size=16)
    before = copy.deepcopy(progress.state())
    fit(model, progress, *rest, epochs=2, batch_size=16)
    np.testing.assert_equal(progress.state(), before)


def losses_to_come(monkeypatch, *losses):
    """As if these were the validation losses of the epochs."""
    coming = iter(losses)
    monkeypatch.setattr(fit_module, "evaluate", lambda *_: (next(coming), 0.5, None))


def test_keeps_the_weights_of_the_lowest_validation_loss(monkeypatch):
    losses_to_come(monkeypatch, 3.0, 1.0, 2.0, 1.0)
    model, progress, *rest = small_case(ema=True)
    ends = []

    def after_step(progress):
        if progress.at_epoch_end:
            ends.append((progress.ema.params.flat.copy(), progress.best.flat.copy()))

    fit(model, progress, *rest, epochs=4, batch_size=16, after_step=after_step)
    for epoch, best in enumerate([0, 1, 1, 1]):
        np.testing.assert_array_equal(ends[epoch][1], ends[best][0])
    assert (ends[1][0] != ends[3][0]).any()


@pytest.mark.parametrize("patience, epochs", [(1, 2), (2, 5), (3, 6), (None, 7)])
def test_stops_when_patience_ends(monkeypatch, capsys, patience, epochs):
    losses = [3.0, 4.0, 2.0, 2.5, 2.0, 2.0, 1.0]
    losses_to_come(monkeypatch, *losses)
    model, progress, *rest = small_case()
    options = dict(epochs=7, batch_size=16, patience=patience)
    rows = fit(model, progress, *rest, **options)
    assert len(rows) == 3 * epochs
    said = f"no lower validation loss in {patience} epochs: stopped early"
    assert (said in capsys.readouterr().out) == (epochs < 7)
    fit(model, progress, *rest, **options)  # going on, it stops at once
    assert len(rows) == 3 * epochs


def test_is_the_loop_that_anyone_would_write():
    """Clipping, smoothing, schedule, warm-up, order, shifts, EMA, against a loop without shards."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (50, 4, 4)).astype(np.uint8), rng.integers(0, 3, 50)
    train, validation = Split(images[:40], labels[:40]), Split(images[40:], labels[40:])
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=3
    )
    prepare, augment = Normalize.of(images), Augmentation(shift=1)
    params = minivit.Params(model.init(np.random.default_rng(1)))
    params.flat += 0.1 * rng.standard_normal(params.flat.shape).astype(np.float32)
    twin = params.astype(np.float32)
    ema, twin_ema = minivit.EMA(params, 0.5), minivit.EMA(twin, 0.5)

    rows = fit(
        model, Progress(params, minivit.SGD(params, 0.5), ema), train, validation, prepare,
        epochs=2, batch_size=16, schedule=minivit.warmup_cosine, warmup_share=0.5, clip=0.05,
        smoothing=0.2, seed=9, shards=3, augment=augment,
    )  # fmt: skip

    optimizer, grads = minivit.SGD(twin, 0.5), twin.zeros_like()
    for step in range(6):
        rng = np.random.default_rng([9, step + 1])
        if step % 3 == 0:
            order = rng.permutation(40)
        batch = order[step % 3 * 16 : step % 3 * 16 + 16]
        maps = augment.draw(rng, len(batch), 4, 4)
        logits, cache = model.forward(twin, prepare(augment.apply(images[batch], maps)))
        loss, dlogits = minivit.cross_entropy(logits, labels[batch], smoothing=0.2)
        model.backward(twin, dlogits, cache, grads.zero())
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
    loss, accuracy, _ = evaluate(model, ema.params, validation, prepare)  # the average is watched
    assert rows[-1]["validation_loss"] == pytest.approx(loss, rel=1e-5)
    assert rows[-1]["validation_accuracy"] == accuracy
    assert rows[-1]["validation_loss"] != evaluate(model, params, validation, prepare)[0]


def test_dropout_draws_anew_in_every_shard_of_every_step(monkeypatch):
    entropies = []

    def forward(self, params, x, rng=None):
        if rng is not None:
            entropies.append(rng.bit_generator.seed_seq.entropy)
        return x, {"mask": None}

    monkeypatch.setattr(minivit.layers.Dropout, "forward", forward)
    in_this_process = lambda *_: contextlib.nullcontext(one_by_one)  # noqa: E731
    monkeypatch.setattr(fit_module, "workers", in_this_process)
    tiny_fit(lambda images: images.astype(np.float32)[..., None], epochs=2, batch_size=2, shards=2)
    expected = [[0, step, shard] for step in (1, 2, 3, 4) for shard in (1, 2)]
    assert sorted({tuple(entropy) for entropy in entropies}) == sorted(map(tuple, expected))
    everything = [0, *([0, step] for step in range(1, 5)), *expected]
    draws = {tuple(np.random.default_rng(seed).integers(0, 2**60, 3)) for seed in everything}
    assert len(draws) == len(everything)  # no stream is used twice


def tiny_fit(prepare, rate=0.1, **options):
    data = Split(np.zeros((4, 2, 2), np.uint8), np.zeros(4, int))
    model = minivit.ViT(
        image_size=2, patch_size=2, channels=1, dim=2, depth=1, heads=1, mlp_dim=2, classes=2
    )
    params = minivit.Params(model.init(np.random.default_rng(0)))
    before, optimizer = params.flat.copy(), minivit.SGD(params, rate)
    options = dict(train=data, validation=data, shards=1) | options
    try:
        fit(model, Progress(params, optimizer), prepare=prepare, **options)
    finally:
        assert optimizer.lr == rate
    return before, params.flat


def test_stops_before_a_loss_that_is_not_finite_reaches_the_parameters(monkeypatch):
    def prepare(images):
        return np.full((*images.shape, 1), np.nan, np.float32)

    applied = []
    monkeypatch.setattr(minivit.SGD, "update", lambda *_: applied.append(1))
    with pytest.raises(FloatingPointError, match="at step 0 the loss is nan .*the batch's images"):
        tiny_fit(prepare, epochs=1, batch_size=4)
    assert not applied


def test_names_a_parameter_that_a_step_made_infinite():
    message = "at step 1 .*: the parameter [a-z0-9.]+. Try a lower"
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=message):
        tiny_fit(Normalize(0.1, 0.3), rate=1e39, epochs=1, batch_size=2)
    message = "after step 0 the validation loss is nan; not finite: the parameter [a-z0-9.]+. Try a"
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=message):
        tiny_fit(Normalize(0.1, 0.3), rate=1e39, epochs=1, batch_size=4)


def test_refuses_a_validation_loss_that_is_not_finite(monkeypatch):
    losses_to_come(monkeypatch, 1.0, float("nan"))
    model, progress, *rest = small_case()
    with pytest.raises(FloatingPointError, match="after step 5 the validation loss is nan"):
        fit(model, progress, *rest, epochs=3, batch_size=16)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(epochs=0), "epochs must be at least 1, got 0"),
        (dict(batch_size=-4), "batch_size must be at least 1, got -4"),
        (dict(shards=0), "shards must be at least 1, got 0"),
        (
            dict(validation=Split(np.zeros((0, 2, 2), np.uint8), np.zeros(0, int))),
            "validation has 0 images and 0 labels",
        ),
        (
            dict(train=Split(np.zeros((5, 2, 2), np.uint8), np.zeros(4, int))),
            "train has 5 images and 4 labels",
        ),
        (dict(warmup_share=15), "warmup_share is a share of the steps, from 0 to 1, got 15"),
        (dict(warmup_share=-0.1), "warmup_share is a share of the steps"),
        (dict(patience=0), "patience must be at least 1, got 0"),
        (dict(clip=0), "max_norm must be positive"),
    ],
)
def test_refuses_settings_that_cannot_work(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_fit(Normalize(0.1, 0.3), **(dict(epochs=1, batch_size=2) | options))


@pytest.mark.slow
def test_2000_images_are_enough_for_90_percent():
    data = minivit.load_digits()
    train = Split(data.train.images[:2000], data.train.labels[:2000])
    train, validation = hold_out(train, 100, np.random.default_rng(0))
    prepare = Normalize.of(train.images)
    model = minivit.ViT(
        image_size=28, patch_size=7, channels=1, dim=64, depth=4, heads=4, mlp_dim=128, classes=10
    )
    params = minivit.Params(model.init(np.random.default_rng(0)))
    progress = Progress(params, minivit.AdamW(params, 3e-3, betas=(0.9, 0.98)))
    augment = Augmentation(shift=2)
    options = dict(epochs=40, batch_size=50, augment=augment)
    fit(model, progress, train, validation, prepare, **options)
    _, accuracy, _ = evaluate(model, params, data.test, prepare)
    assert accuracy > 0.9
