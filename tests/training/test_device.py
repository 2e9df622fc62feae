"""Training, keeping and asking a model on every backend (tests/conftest.py)."""

import cv2
import numpy as np
import pytest

import minivit
from demos import evaluate as evaluate_demo
from demos import post_norm, predict, train_mnist
from minivit.backend import device_of
from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.training import Progress, evaluate, fit, load_checkpoint, save_run
from minivit.training.checkpoint import begin_checkpoints, save_checkpoint
from tests.data.idx import few_digits
from tests.stand_in import Counts, installed

OPTIMIZERS = {
    "adamw": lambda params: minivit.AdamW(params, 0.003),
    "muon": lambda params: minivit.Muon(params, 0.02),
}


def case(device, optimizer="adamw", count=640, ema=False, dtype=np.float32, **changes):
    """A model on the device, and what `fit` needs: the digits 3 and 8 of MNIST, in 14 x 21."""
    digits = minivit.load_digits("mnist").train
    chosen = np.flatnonzero((digits.labels == 3) | (digits.labels == 8))[: count + 100]
    images = digits.images[chosen][:, 7:21, 3:24]
    labels = (digits.labels[chosen] == 8).astype(int)
    train, validation = Split(images[:count], labels[:count]), Split(images[count:], labels[count:])
    sizes = dict(image_size=(14, 21), patch_size=7, channels=1, dim=12, depth=2, heads=3)
    model = minivit.ViT(**sizes, mlp_dim=20, classes=2, **changes)
    params = minivit.Params(model.init(np.random.default_rng(0), dtype)).to(device)
    average = minivit.EMA(params, 0.9) if ema else None
    progress = Progress(params, OPTIMIZERS[optimizer](params), average)
    preparation = Normalize.of(images)
    as_float64 = lambda images: preparation(images).astype(dtype)  # noqa: E731
    prepare = preparation if dtype == np.float32 else as_float64
    return model, progress, train, validation, prepare


def run(device, counts=None, **changes):
    """Train for 200 steps; return the Progress, and what had been counted after each step.

    In float64, where what 200 steps make of a difference in rounding is still small.
    """
    model, progress, *rest = case(device, dtype=np.float64, **changes)
    work = []

    def after_step(progress):
        work.append(counts and counts.copy())

    fit(
        model, progress, *rest, epochs=20, batch_size=64, augment=Augmentation(shift=1, scale=0.1),
        smoothing=0.1, seed=3, shards=1, after_step=after_step,
    )  # fmt: skip
    return progress, work


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_200_steps_have_the_losses_of_numpy_and_wait_once_each(optimizer):
    expected, _ = run("cpu", optimizer=optimizer)
    with installed() as stand_in:
        found, work = run("cuda", optimizer=optimizer, counts=stand_in.counts)
        params = found.params.to("cpu")
    assert len(found.rows) == 200
    for key in ("loss", "gradient_norm", "validation_loss"):
        ours, numpys = ([row[key] for row in p.rows if row[key]] for p in (found, expected))
        np.testing.assert_allclose(ours, numpys, rtol=1e-7, err_msg=key)
    assert [row["accuracy"] for row in found.rows] == [row["accuracy"] for row in expected.rows]
    assert found.rows[-1]["loss"] < 0.5 < found.rows[0]["loss"]
    np.testing.assert_allclose(params.flat, expected.params.flat, atol=1e-7)
    batch = 64 * (14 * 21 + 8)  # bytes: pixels, and labels of 8 each
    for step in range(1, 200):
        if step % 10 == 9:  # validated: 100 images went there, their two logits came back
            batch_in, fetched, waits = batch + 100 * 14 * 21, 3 * 8 + 100 * 2 * 8, 2
        else:
            batch_in, fetched, waits = batch, 3 * 8, 1
        spent = work[step] - work[step - 1]
        assert spent == Counts(spent.calls, waits, batch_in, fetched), step


@pytest.mark.parametrize("changes", [dict(dropout=0.2, drop_path=0.3), dict(positions="sincos2d")])
def test_one_seed_gives_one_model_on_every_backend(device, changes):
    expected, _ = run("cpu", **changes)
    found, _ = run(device, **changes)
    assert device_of(found.params.flat) == device
    losses = [[row["loss"] for row in progress.rows] for progress in (found, expected)]
    np.testing.assert_allclose(*losses, rtol=1e-7)


@pytest.mark.parametrize(
    "changes",
    [
        dict(pool="cls"),
        dict(positions="sincos1d"),
        dict(positions="sincos2d", pool="cls"),
        dict(positions=None, norm="post"),
    ],
)
def test_a_pass_copies_nothing_and_waits_for_nothing(changes):
    with installed() as stand_in:
        model, progress, train, *_ = case("cuda", **changes)
        images = stand_in.asarray(train.images[:8].astype(np.float32)[..., None])
        labels = stand_in.asarray(train.labels[:8])
        before = stand_in.counts.copy()
        logits, cache = model.forward(progress.params, images)
        _, dlogits = minivit.cross_entropy(logits, labels, smoothing=0.1)
        model.backward(progress.params, dlogits, cache, progress.params.zeros_like())
        spent = stand_in.counts - before
        assert spent == Counts(calls=spent.calls)


def test_dropout_draws_its_masks_on_the_cpu():
    with installed() as stand_in:
        model, progress, train, *_ = case("cuda", dropout=0.2)
        images = stand_in.asarray(train.images[:8].astype(np.float32)[..., None])
        before = stand_in.counts.bytes_in
        model.forward(progress.params, images, np.random.default_rng(0))
        assert stand_in.counts.bytes_in - before == (1 + 2 * 2) * 8 * 6 * 12  # bools, (B, T, D)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_is_kept_and_goes_on_to_the_last_bit(device, optimizer, tmp_path):
    options = dict(epochs=2, batch_size=64, seed=5, shards=1)

    def keep(progress):
        if len(progress.rows) == 13:
            save_checkpoint(tmp_path, progress)

    model, progress, *rest = case(device, optimizer, ema=True)
    begin_checkpoints(tmp_path, {}, progress)
    fit(model, progress, *rest, after_step=keep, **options)
    _, again, *_ = case(device, optimizer, ema=True)
    again.load_state(load_checkpoint(tmp_path).state)
    assert len(again.rows) == 13
    fit(model, again, *rest, **options)
    assert device_of(again.params.flat) == device
    for one, other in [(progress.params, again.params), (progress.best, again.best)]:
        np.testing.assert_array_equal(one.to("cpu").flat, other.to("cpu").flat)


def test_what_was_trained_on_one_is_asked_on_another(device, tmp_path):
    model, progress, train, validation, preparation = case(device)
    fit(model, progress, train, validation, preparation, epochs=4, batch_size=64, shards=1)
    save_run(tmp_path, model, progress.best, preparation, ["3", "8"], progress.rows)
    _, accuracy, logits = evaluate(model, progress.best, validation, preparation)
    assert accuracy > 0.8
    assert type(logits) is np.ndarray
    for place in {"cpu", device}:
        classifier = minivit.Classifier.load(tmp_path, place)
        assert device_of(classifier.params.flat) == place
        chances = classifier.predict(validation.images)
        assert type(chances) is np.ndarray
        exponentials = np.exp(logits)
        expected = exponentials / exponentials.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(chances, expected, atol=1e-5)


def test_goes_on_elsewhere(device, tmp_path):
    _, progress, *_ = case("cpu", "muon", ema=True)
    begin_checkpoints(tmp_path, {}, progress)
    _, there, *_ = case(device, "muon", ema=True)
    there.params.flat[...] = 0
    there.load_state(load_checkpoint(tmp_path).state)
    np.testing.assert_array_equal(there.params.to("cpu").flat, progress.params.flat)
    progress.params.flat[...] = 0
    progress.load_state(there.state())
    np.testing.assert_array_equal(progress.params.flat, there.params.to("cpu").flat)
    assert progress.params.flat.any()


def test_a_step_is_not_split_on_a_gpu(device):
    model, progress, *rest = case(device)
    if device == "cuda":
        with pytest.raises(ValueError, match="on a GPU a step is not split, so shards is 1, got 2"):
            fit(model, progress, *rest, epochs=1, batch_size=64, shards=2)
    fit(model, progress, *rest, epochs=1, batch_size=64, shards=None if device == "cuda" else 1)
    assert len(progress.rows) == 10


def test_a_loss_that_is_no_number_is_found_on_every_backend(device):
    model, progress, *rest = case(device)
    progress.params["blocks"][1]["ln2"]["w"][3] = np.nan
    with pytest.raises(FloatingPointError, match="at step 0 .*: the parameter blocks.1.ln2.w."):
        fit(model, progress, *rest, epochs=1, batch_size=64, shards=1)


def test_want_of_memory_is_told_with_a_batch_to_try():
    with installed() as stand_in:
        model, progress, *rest = case("cuda")
        stand_in.counts.memory_limit = 50_000  # bytes of an array: pixels of 64 images have 75,264
        with pytest.raises(MemoryError, match=r"(?i)out of memory.*Try a batch of 32 images"):
            fit(model, progress, *rest, epochs=1, batch_size=64)
        rest[1] = Split(*(part[:30] for part in rest[1]))
        fit(model, progress, *rest, epochs=1, batch_size=32)


@pytest.mark.slow
def test_the_demos_work_on_every_backend(device, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    digits = few_digits(tmp_path / "digits", train=500)
    sizes = ["--dim", "12", "--depth", "1", "--mlp-dim", "8", "--patch-size", "14"]
    options = ["--epochs", "1", "--batch-size", "50", "--shards", "1", "--run", "tiny"]
    where = ["--device", device]
    assert train_mnist.main(["--data", str(digits), *sizes, *options, *where]) == 0
    assert train_mnist.main(["--resume", "runs/tiny", *where]) == 0
    assert train_mnist.main(["--resume", "runs/tiny"]) == 0  # on the CPU
    assert evaluate_demo.main(["runs/tiny", str(digits), *where]) == 0
    picture = str(tmp_path / "digit.png")
    pixels = minivit.load_digits("mnist").test.images[0]
    cv2.imwrite(picture, 255 - pixels.repeat(8, axis=0).repeat(8, axis=1))
    assert predict.main(["runs/tiny", picture, "--attention", "why.png", *where]) == 0
    monkeypatch.setattr(post_norm, "DEPTH", 1)
    assert post_norm.main(["--steps", "50", "--seeds", "1", *where]) == 0
    assert (tmp_path / "runs" / "tiny" / "gradients.png").is_file()
