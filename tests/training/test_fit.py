import numpy as np
import pytest

import minivit
from minivit.data.digits import Split, hold_out
from minivit.data.preparation import Preparation
from minivit.training import evaluate, fit


def small_run(seed=0, **options):
    """A tiny model learns to tell bright images from dark ones."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 50)
    images = (rng.integers(0, 100, (50, 4, 4)) + 100 * labels[:, None, None]).astype(np.uint8)
    train, validation = Split(images[:40], labels[:40]), Split(images[40:], labels[40:])
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=2
    )
    params = minivit.Params(model.init(np.random.default_rng(seed)))
    optimizer = minivit.Adam(params, 0.02)
    prepare = Preparation.of(images, shift=1)
    options = dict(epochs=3, batch_size=16, seed=seed) | options
    rows = fit(model, params, optimizer, train, validation, prepare, **options)
    return params, optimizer, rows


def test_rows_tell_what_happened():
    calls = []
    _, optimizer, rows = small_run(after_epoch=lambda rows: calls.append(len(rows)))
    assert [row["step"] for row in rows] == list(range(9))  # 40 images: batches of 16, 16 and 8
    assert [row["epoch"] for row in rows] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert calls == [3, 6, 9]
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


def test_every_image_is_seen_once_an_epoch_in_a_new_order():
    seen = []

    def prepare(images, rng=None):
        if rng is not None:
            seen.append(images[:, 0, 0])
        return images.astype(np.float32)[..., None]

    model = minivit.ViT(
        image_size=2, patch_size=2, channels=1, dim=2, depth=1, heads=1, mlp_dim=2, classes=2
    )
    params = minivit.Params(model.init(np.random.default_rng(0)))
    split = Split(np.arange(30, dtype=np.uint8).repeat(4).reshape(30, 2, 2), np.zeros(30, int))
    fit(model, params, minivit.SGD(params, 0.0), split, split, prepare, epochs=2, batch_size=7)
    epochs = np.concatenate(seen[:5]), np.concatenate(seen[5:])
    for order in epochs:
        assert sorted(order) == list(range(30))
    assert (epochs[0] != epochs[1]).any()


def test_stops_when_the_loss_is_no_longer_finite():
    def prepare(images, rng=None):
        return np.full((*images.shape, 1), np.nan, np.float32)

    data = Split(np.zeros((4, 2, 2), np.uint8), np.zeros(4, int))
    model = minivit.ViT(
        image_size=2, patch_size=2, channels=1, dim=2, depth=1, heads=1, mlp_dim=2, classes=2
    )
    params = minivit.Params(model.init(np.random.default_rng(0)))
    with pytest.raises(FloatingPointError, match="the loss is nan at step 0"):
        fit(model, params, minivit.SGD(params, 0.1), data, data, prepare, epochs=1, batch_size=4)


@pytest.mark.slow
def test_2000_images_are_enough_for_90_percent():
    data = minivit.load_digits()
    train = Split(data.train.images[:2000], data.train.labels[:2000])
    train, validation = hold_out(train, 100, np.random.default_rng(0))
    prepare = Preparation.of(train.images, shift=2)
    model = minivit.ViT(
        image_size=28, patch_size=7, channels=1, dim=64, depth=4, heads=4, mlp_dim=128, classes=10
    )
    params = minivit.Params(model.init(np.random.default_rng(0)))
    optimizer = minivit.AdamW(params, 3e-3, betas=(0.9, 0.98))
    fit(model, params, optimizer, train, validation, prepare, epochs=20, batch_size=50)
    _, accuracy, _ = evaluate(model, params, data.test, prepare)
    assert accuracy > 0.9
