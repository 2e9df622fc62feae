import numpy as np
import pytest

import minivit
from minivit.backend import floats
from minivit.training.step import loss_and_gradients
from tests.saved_runs import oblong


def case(dtype=np.float64, batch=7, **changes):
    """A model of 42 numbers in the tokens of an image, its parameters, images and labels."""
    classifier, rng = oblong(dtype, depth=1, **changes), np.random.default_rng(0)
    images = rng.standard_normal((batch, 4, 6, 1)).astype(dtype)
    return classifier.model, classifier.params, images, rng.integers(0, 3, batch)


def sharded(shards, dtype=np.float64):
    """Loss, accuracy and gradients of one batch, into gradients spoiled by an earlier step."""
    model, params, images, labels = case(dtype)
    grads = params.zeros_like()
    grads.flat += 7
    options = dict(rngs=[None] * shards, smoothing=0.1)
    results = floats(*loss_and_gradients(model, params, images, labels, grads, **options))
    return *results, grads.flat


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("shards", [1, 2, 3, 7, 20])
def test_any_number_of_shards_gives_the_gradients_of_the_batch(shards, dtype, tolerance):
    model, params, images, labels = case()
    grads = params.zeros_like()
    logits, cache = model.forward(params, images)
    expected, dlogits = minivit.cross_entropy(logits, labels, smoothing=0.1)
    model.backward(params, dlogits, cache, grads)
    loss, accuracy, flat = sharded(shards, dtype)
    assert loss == pytest.approx(expected, rel=tolerance)
    assert accuracy == np.mean(logits.argmax(axis=-1) == labels)
    assert 0 < accuracy < 1
    assert flat.dtype == dtype
    np.testing.assert_allclose(flat, grads.flat, rtol=0, atol=tolerance * abs(grads.flat).max())


@pytest.mark.parametrize(
    "numbers, sizes", [(1, [1] * 7), (100, [1, 2, 2, 2]), (10**6, [3, 4])], ids=str
)
def test_any_size_of_the_micro_batches_gives_the_gradients_of_the_batch(
    numbers, sizes, monkeypatch
):
    expected = sharded(1)
    actual_sizes, forward = [], minivit.ViT.forward

    def watched(self, params, images, *rest):
        actual_sizes.append(len(images))
        return forward(self, params, images, *rest)

    monkeypatch.setattr(minivit.ViT, "forward", watched)
    monkeypatch.setattr("minivit.models.micro_batch.MICRO_BATCH", numbers)
    loss, accuracy, flat = sharded(2)
    assert actual_sizes == sizes
    assert (loss, accuracy) == (pytest.approx(expected[0], rel=1e-12), expected[1])
    np.testing.assert_allclose(flat, expected[2], rtol=0, atol=1e-12 * abs(expected[2]).max())


def test_each_shard_draws_from_its_own_generator():
    model, params, images, labels = case(dropout=0.5)
    grads = params.zeros_like()

    def gradients(*seeds):
        rngs = [np.random.default_rng(seed) for seed in seeds]
        loss_and_gradients(model, params, images, labels, grads, rngs=rngs)
        return grads.flat.copy()

    np.testing.assert_array_equal(gradients(1, 2), gradients(1, 2))
    for others in [(1, 3), (3, 2)]:
        assert (gradients(*others) != gradients(1, 2)).any()


def test_takes_labels_in_a_list():
    model, params, images, labels = case()
    grads = params.zeros_like()
    expected = loss_and_gradients(model, params, images, labels, grads)
    assert loss_and_gradients(model, params, images, labels.tolist(), grads) == expected


@pytest.mark.parametrize(
    "labels, error, message",
    [
        ([0, 1, 2, 0, 1, 2], ValueError, "7 images and 6 labels"),
        ([], ValueError, "7 images and 0 labels"),
        ([0, 1, 2, 3, 0, 1, 2], ValueError, "loss_and_gradients: label 3 is out of range"),
        (list("0120120"), TypeError, "loss_and_gradients: labels must be integers, got <U1"),
    ],
)
def test_refuses_labels_that_do_not_fit(labels, error, message):
    model, params, images, _ = case()
    with pytest.raises(error, match=message):
        loss_and_gradients(model, params, images, labels, params.zeros_like())
    with pytest.raises(ValueError, match="0 images and 0 labels"):
        loss_and_gradients(model, params, images[:0], [], params.zeros_like())


@pytest.mark.parametrize(
    "batch, text, message",
    [
        (7, "no room.", "no room. Try a batch of 3 images, or a smaller model"),
        (1, "", "out of memory. Try a smaller model"),
    ],
)
def test_a_lack_of_memory_is_reported_with_what_to_try(batch, text, message):
    def run(*_):
        raise MemoryError(text)

    model, params, images, labels = case(batch=batch)
    with pytest.raises(MemoryError) as refused:
        loss_and_gradients(model, params, images, labels, params.zeros_like(), run=run)
    assert str(refused.value) == message
