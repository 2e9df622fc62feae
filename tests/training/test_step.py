import ctypes
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import minivit
from minivit.backend import floats
from minivit.training.step import cores, loss_and_gradients, one_by_one, threads


def case(dtype=np.float64, batch=7):
    rng = np.random.default_rng(0)
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=3
    )
    params = minivit.Params(model.init(rng, np.float64))
    params.flat += 0.1 * rng.standard_normal(params.flat.shape)
    images, labels = rng.standard_normal((batch, 4, 4, 1)), rng.integers(0, 3, batch)
    return model, params.astype(dtype), images.astype(dtype), labels


def sharded(shards, run=one_by_one, dtype=np.float64):
    """Loss, accuracy and gradients of one batch, into gradients spoiled by an earlier step."""
    model, params, images, labels = case(dtype)
    grads = params.zeros_like()
    grads.flat += 7
    options = dict(shards=shards, smoothing=0.1, run=run)
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
    loss, accuracy, flat = sharded(shards, dtype=dtype)
    assert loss == pytest.approx(expected, rel=tolerance)
    assert accuracy == np.mean(logits.argmax(axis=-1) == labels)
    assert 0 < accuracy < 1
    assert flat.dtype == dtype
    np.testing.assert_allclose(flat, grads.flat, rtol=0, atol=tolerance * abs(grads.flat).max())


def test_a_batch_of_one_image():
    model, params, images, labels = case()
    loss, accuracy = loss_and_gradients(model, params, images[:1], labels[:1], params.zeros_like())
    logits, _ = model.forward(params, images[:1])
    assert loss == pytest.approx(minivit.cross_entropy(logits, labels[:1])[0], rel=1e-12)
    assert accuracy in (0, 1)


@pytest.mark.parametrize("numbers", [1, 60, 10**6])
def test_any_size_of_the_micro_batches_gives_the_gradients_of_the_batch(numbers, monkeypatch):
    expected = sharded(1)
    sizes, forward = [], minivit.ViT.forward

    def watched(self, params, images, *rest):
        sizes.append(len(images))
        return forward(self, params, images, *rest)

    monkeypatch.setattr(minivit.ViT, "forward", watched)
    monkeypatch.setattr("minivit.models.micro_batch.MICRO_BATCH", numbers)
    loss, accuracy, flat = sharded(2)
    assert sizes == {1: [1] * 7, 60: [1, 2, 2, 2], 10**6: [3, 4]}[numbers]  # 24 numbers an image
    assert (loss, accuracy) == (pytest.approx(expected[0], rel=1e-12), expected[1])
    np.testing.assert_allclose(flat, expected[2], rtol=0, atol=1e-12 * abs(expected[2]).max())


def test_each_shard_draws_from_its_own_generator():
    model, params, images, labels = case()
    model = minivit.ViT(**{**model.config, "dropout": 0.5})
    grads = params.zeros_like()

    def gradients(*seeds):
        rngs = [np.random.default_rng(seed) for seed in seeds]
        loss_and_gradients(model, params, images, labels, grads, shards=2, rngs=rngs)
        return grads.flat.copy()

    np.testing.assert_array_equal(gradients(1, 2), gradients(1, 2))
    for others in [(1, 3), (3, 2)]:
        assert (gradients(*others) != gradients(1, 2)).any()


@pytest.mark.parametrize(
    "images, labels, shards, rngs, message",
    [
        (5, 4, 1, None, "5 images and 4 labels"),
        (0, 0, 1, None, "0 images and 0 labels"),
        (4, 4, 0, None, "0 shards and 0 rngs"),
        (4, 4, 2, 1, "2 shards and 1 rngs"),
    ],
)
def test_refuses_what_would_leave_out_a_part_of_the_batch(images, labels, shards, rngs, message):
    model, params, pixels, classes = case()
    options = dict(shards=shards, rngs=rngs and [np.random.default_rng(0)] * rngs)
    grads = params.zeros_like()
    with pytest.raises(ValueError, match=message):
        loss_and_gradients(model, params, pixels[:images], classes[:labels], grads, **options)


def test_every_thread_keeps_its_jobs():
    with threads(4) as mapper:
        seen = {tuple(mapper(lambda _: threading.get_ident(), range(6))) for _ in range(50)}
    (owners,) = seen
    assert len(set(owners)) == 4
    assert (owners[0], owners[4:]) == (threading.get_ident(), owners[:2])


def test_threads_hold_blas_to_one_thread_each_and_let_it_go_again():
    def blas():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before, interval = blas(), sys.getswitchinterval()
    with pytest.raises(KeyError), threads(2) as mapper:
        assert set(blas()) <= {1}
        assert sys.getswitchinterval() == pytest.approx(1e-4)
        assert list(mapper(lambda a, b: a - b, [5, 6], [1, 3])) == [4, 3]
        raise KeyError
    assert (blas(), sys.getswitchinterval()) == (before, interval)


def test_an_error_in_a_thread_is_raised():
    with threads(2) as mapper, pytest.raises(ZeroDivisionError):
        mapper(lambda number: 1 / number, [1, 0])


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert cores() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    assert cores() == 7
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert cores() == 1


def test_freed_memory_is_kept():
    """In a process of its own: page faults, as the kernel counts them, of freed and new arrays."""
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("only glibc has mallopt")
    code = """
import resource, sys
import numpy as np
from minivit.training.step import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        arrays = [np.ones(2**18, np.float32) for _ in range(30)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = faults()
keep_freed_memory()
faults()
print(before, faults())
"""
    before, after = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert int(before) > 10_000
    assert int(after) < 1_000


def test_takes_labels_in_a_list_and_refuses_what_are_none():
    model, params, images, labels = case()
    grads = params.zeros_like()
    expected = loss_and_gradients(model, params, images, labels, grads)
    assert loss_and_gradients(model, params, images, labels.tolist(), grads) == expected
    with pytest.raises(ValueError, match="loss_and_gradients: label 3 is out of range"):
        loss_and_gradients(model, params, images, [0, 1, 2, 3, 0, 1, 2], grads)
    with pytest.raises(TypeError, match="labels must be integers, got <U1"):
        loss_and_gradients(model, params, images, list("0120120"), grads)


@pytest.mark.parametrize(
    "batch, text, message",
    [
        (7, "no room.", "no room. Try a batch of 3 images, or a smaller model"),
        (1, "", "out of memory. Try a smaller model"),
    ],
)
def test_want_of_memory_is_told_with_what_to_try(batch, text, message):
    def run(*_):
        raise MemoryError(text)

    model, params, images, labels = case(batch=batch)
    with pytest.raises(MemoryError) as told:
        loss_and_gradients(model, params, images, labels, params.zeros_like(), run=run)
    assert str(told.value) == message
