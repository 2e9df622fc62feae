"""Training, saving and asking a model on every backend (tests/conftest.py)."""

import signal

import cv2
import numpy as np
import pytest

import minivit
from demos import evaluate as evaluate_demo
from demos import predict, train_mnist
from minivit.backend import device_of
from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.training import Progress, Run, fit
from tests.data.idx import few_digits
from tests.stand_in import installed

OPTIMIZERS = {
    "adamw": lambda params: minivit.AdamW(params, 0.003),
    "muon": lambda params: minivit.Muon(params, 0.02),
}
OPTIONS = dict(batch_size=64, shards=1)


def case(device, optimizer="adamw", ema=False, dtype=np.float32, **changes):
    """A Progress on the device, and 640 + 100 digits of MNIST, 3 and 8, in 14 x 21."""
    digits = minivit.load_digits("mnist").train
    chosen = np.flatnonzero((digits.labels == 3) | (digits.labels == 8))[:740]
    images = digits.images[chosen][:, 7:21, 3:24]
    labels = (digits.labels[chosen] == 8).astype(int)
    train, validation = Split(images[:640], labels[:640]), Split(images[640:], labels[640:])
    sizes = dict(image_size=(14, 21), patch_size=7, channels=1, dim=12, depth=2, heads=3)
    model = minivit.ViT(**sizes, mlp_dim=20, classes=2, **changes)
    params = minivit.Params(model.init(np.random.default_rng(0), dtype)).to(device)
    normalize = Normalize.of(images)
    as_float64 = lambda images: normalize(images).astype(dtype)  # noqa: E731
    classifier = minivit.Classifier(
        model, params, normalize if dtype == np.float32 else as_float64, ["3", "8"]
    )
    average = minivit.EMA(params, 0.9) if ema else None
    return Progress(classifier, OPTIMIZERS[optimizer](params), average), train, validation


def trained(device, counts=None, epochs=20, **changes):
    """Train for 10 steps an epoch; return the Progress, and what had been counted after each step.

    In float64, where a difference in rounding is still small after 200 steps.
    """
    progress, train, validation = case(device, dtype=np.float64, **changes)
    work = []
    fit(
        progress, train, validation, epochs=epochs, seed=3, smoothing=0.1,
        augment=Augmentation(shift=1, scale=0.1), **OPTIONS,
        after_step=lambda _: work.append(counts and counts.copy()),
    )  # fmt: skip
    return progress, work


def traffic(counts, before):
    """How often the host waited in between, and the bytes that went there and came back."""
    spent = counts - before
    return spent.synchronisations, spent.bytes_in, spent.bytes_out


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_200_steps_have_the_losses_of_numpy_and_wait_once_each(optimizer):
    expected, _ = trained("cpu", optimizer=optimizer)
    with installed() as stand_in:
        progress, work = trained("cuda", optimizer=optimizer, counts=stand_in.counts)
        params = progress.params.to("cpu")
    for key in ("loss", "accuracy", "gradient_norm", "validation_loss"):
        ours, numpys = ([row[key] or 0 for row in p.rows] for p in (progress, expected))
        np.testing.assert_allclose(ours, numpys, rtol=1e-7, err_msg=key)
    assert progress.rows[-1]["loss"] < 0.5 < progress.rows[0]["loss"]
    np.testing.assert_allclose(params.flat, expected.params.flat, atol=1e-7)
    batch = 64 * (14 * 21 + 8)  # bytes: pixels, and labels of 8 each
    for step in range(1, 200):
        expected = 1, batch, 3 * 8
        if step % 10 == 9:  # validated: 100 images went there, their two logits came back
            expected = 2, batch + 100 * 14 * 21, 3 * 8 + 100 * 2 * 8
        assert traffic(work[step], work[step - 1]) == expected, step


@pytest.mark.parametrize("changes", [dict(dropout=0.2, drop_path=0.3), dict(positions="sincos2d")])
def test_one_seed_gives_one_model_on_every_backend(device, changes):
    expected, _ = trained("cpu", epochs=4, **changes)
    progress, _ = trained(device, epochs=4, **changes)
    assert device_of(progress.params.flat) == device
    losses = [[row["loss"] for row in each.rows] for each in (progress, expected)]
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
        progress, train, _ = case("cuda", **changes)
        model, params = progress.classifier.model, progress.params
        images = stand_in.asarray(train.images[:8].astype(np.float32)[..., None])
        labels = stand_in.asarray(train.labels[:8])
        before = stand_in.counts.copy()
        logits, cache = model.forward(params, images)
        _, dlogits = minivit.cross_entropy(logits, labels, smoothing=0.1)
        model.backward(params, dlogits, cache, params.zeros_like())
        assert traffic(stand_in.counts, before) == (0, 0, 0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_resumes_to_the_last_bit_wherever_it_was_started(device, optimizer, tmp_path):
    def stop(step, **options):
        if step == 12:
            signal.raise_signal(signal.SIGINT)
        return minivit.warmup_linear(step, **options)

    whole, *splits = case(device, optimizer, ema=True)
    fit(whole, *splits, epochs=2, **OPTIONS)
    first, *_ = case(device, optimizer, ema=True)
    options = dict(epochs=2, checkpoint_every=100, **OPTIONS)
    with pytest.raises(KeyboardInterrupt), Run.start("tiny", {}, first, tmp_path) as run:
        run.fit(first, *splits, schedule=stop, **options)
    for place in {"cpu", device}:
        again, *_ = case(place, optimizer, ema=True)
        again.params.flat[...] = 0
        assert run.resume(again, {}) == []
        assert device_of(again.params.flat) == place
        np.testing.assert_array_equal(again.params.to("cpu").flat, first.params.to("cpu").flat)
        if place == device:
            fit(again, *splits, epochs=2, **OPTIONS)
            for one, other in [(whole.params, again.params), (whole.best, again.best)]:
                np.testing.assert_array_equal(one.to("cpu").flat, other.to("cpu").flat)


def test_a_classifier_trained_on_one_backend_answers_on_another(device, tmp_path):
    progress, train, validation = case(device)
    fit(progress, train, validation, epochs=4, **OPTIONS)
    best = progress.best_classifier()
    best.save(tmp_path)
    _, accuracy, logits = best.evaluate(validation)
    assert accuracy > 0.8
    assert type(logits) is np.ndarray
    for place in {"cpu", device}:
        classifier = minivit.Classifier.load(tmp_path, place)
        assert device_of(classifier.params.flat) == place
        assert type(classifier.predict(validation.images)) is np.ndarray
        np.testing.assert_allclose(classifier.logits(validation.images), logits, atol=1e-4)


def test_a_step_is_not_split_on_a_gpu(device):
    progress, *splits = case(device)
    if device == "cuda":
        with pytest.raises(ValueError, match="on a GPU a step is not split over processes"):
            fit(progress, *splits, epochs=1, batch_size=64, shards=2)
    fit(progress, *splits, epochs=1, batch_size=64, shards=None if device == "cuda" else 1)
    assert progress.steps == 10


def test_a_loss_that_is_not_finite_is_found_on_every_backend(device):
    progress, *splits = case(device)
    progress.params["blocks"][1]["ln2"]["w"][3] = np.nan
    with pytest.raises(FloatingPointError, match="at step 0 .*: the parameter blocks.1.ln2.w."):
        fit(progress, *splits, epochs=1, **OPTIONS)


def test_a_lack_of_memory_is_reported_with_a_batch_to_try():
    with installed() as stand_in:
        progress, train, validation = case("cuda")
        stand_in.counts.memory_limit = 50_000  # bytes of an array: pixels of 64 images have 75,264
        with pytest.raises(MemoryError, match=r"(?i)out of memory.*Try a batch of 32 images"):
            fit(progress, train, validation, epochs=1, batch_size=64)
        fit(progress, train, Split(*(part[:30] for part in validation)), epochs=1, batch_size=32)


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
    assert (tmp_path / "runs" / "tiny" / "gradients.png").is_file()
