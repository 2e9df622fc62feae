import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import cv2
import numpy as np
import pytest

import minivit
from minivit.training.interrupt import AtOnce, ctrl_c_waits
from minivit.training.step import loss_and_gradients
from minivit.training.workers import processes_for, workers
from tests.training.test_step import case

SCRIPT = """
from minivit.training.step import loss_and_gradients
from minivit.training.workers import workers
from tests.training.test_step import case
model, params, images, labels = case()
with workers(2, model, params) as run:
    grads, rngs = params.zeros_like(), [None, None]
    loss_and_gradients(model, params, images, labels, grads, rngs=rngs, run=run)
    import multiprocessing
    print(multiprocessing.active_children()[0].pid, flush=True)
    input()
"""


GUARDED = 'if __name__ == "__main__":' + textwrap.indent(SCRIPT, "    ")


@pytest.fixture(scope="module")
def crew():
    """Three workers' run, of a model with dropout, and a batch."""
    model, params, images, labels = case(dropout=0.5)
    with workers(3, model, params) as run:
        yield run, model, params, images, labels


@pytest.fixture
def pair():
    """Two workers' run with a batch, and the ids of the two processes, which end with the block."""
    before = pids()
    model, params, images, labels = case()
    with workers(2, model, params) as run:
        its_pids = pids() - before
        yield (run, model, params, images, labels), set(its_pids)
    assert len(its_pids) == 2 and pids().isdisjoint(its_pids)


def pids():
    return {process.pid for process in multiprocessing.active_children()}


def both(crew, shards, **options):
    """(loss, accuracy, gradients) of the workers, and of this process alone."""
    run, model, params, images, labels = crew
    for more in [dict(run=run), {}]:
        grads = params.zeros_like()
        grads.flat += 7
        rngs = [np.random.default_rng(number) for number in range(shards)]
        loss, accuracy = loss_and_gradients(
            model, params, images, labels, grads, rngs=rngs, smoothing=0.1, **options, **more
        )
        yield loss, accuracy, grads.flat


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_workers_give_the_step_of_one_process_with_the_parameters_of_now(crew, shards):
    for change in (0, 0.1):
        crew[2].flat += change
        (loss, accuracy, flat), alone = both(crew, shards=shards)
        (again, _, again_flat), _ = both(crew, shards=shards)
        assert again == loss and (again_flat == flat).all()  # one seed, one step
        assert (loss, accuracy) == (pytest.approx(alone[0], rel=1e-12), alone[1])
        np.testing.assert_allclose(flat, alone[2], rtol=0, atol=1e-12 * abs(flat).max())


@pytest.mark.parametrize("place", [0, 6])  # in the first shard, in the last
def test_an_error_in_a_shard_is_raised_and_the_workers_carry_on(crew, place):
    run, model, params, images, labels = crew
    wrong = labels.copy()
    wrong[place] = 3
    with pytest.raises(ValueError, match="label 3 is out of range"):
        list(both((run, model, params, images, wrong), shards=3))
    (loss, _, _), alone = both(crew, shards=3)
    assert loss == pytest.approx(alone[0], rel=1e-12)


def test_refuses_another_model(crew):
    run, _, params, images, labels = crew
    with pytest.raises(ValueError, match="these workers are for the model they started with"):
        list(both((run, case()[0], params, images, labels), shards=3))


@pytest.mark.parametrize("shards", [2, 3, 5, 7])
def test_how_many_workers_share_a_step_does_not_change_a_bit(crew, pair, shards):
    for one in (crew, pair[0]):
        (loss, accuracy, flat), alone = both(one, shards=shards)
        assert (loss, accuracy) == alone[:2]
        assert (flat == alone[2]).all()


def test_no_more_workers_than_shards_images_or_cores(monkeypatch):
    monkeypatch.setattr("minivit.training.workers.cores", lambda: 16)
    assert [processes_for(*sizes) for sizes in [(60, 2), (3, 250), (60, 250)]] == [2, 3, 16]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="only Unix stops processes")
def test_a_stopped_worker_ends_with_the_others():
    before = pids()
    model, params, *_ = case()
    with workers(2, model, params):
        its_pids = pids() - before
        os.kill(min(its_pids), signal.SIGSTOP)
    assert len(its_pids) == 2 and pids().isdisjoint(its_pids)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="only Unix stops processes")
def test_a_second_ctrl_c_ends_a_step_that_waits_for_a_stopped_worker(pair, monkeypatch):
    monkeypatch.setattr("minivit.training.interrupt.NERVOUS", 0)
    crew, its_pids = pair
    os.kill(min(its_pids), signal.SIGSTOP)
    timers = [threading.Timer(s, os.kill, [os.getpid(), signal.SIGINT]) for s in (0.2, 0.4)]
    for timer in timers:
        timer.start()
    with pytest.raises(AtOnce, match="stopped at once, without saving"), ctrl_c_waits():
        list(both(crew, shards=2))


def test_workers_ignore_ctrl_c(pair):
    crew, its_pids = pair
    for worker in its_pids:
        os.kill(worker, signal.SIGINT)
    (loss, _, _), alone = both(crew, shards=2)
    assert loss == pytest.approx(alone[0], rel=1e-12)


def test_a_killed_worker_is_reported(pair):
    crew, its_pids = pair
    list(both(crew, shards=2))
    os.kill(its_pids.pop(), signal.SIGKILL)
    with pytest.raises(ChildProcessError, match="a worker process is gone: it was killed"):
        list(both(crew, shards=2))


def started(tmp_path, text, **options):
    script = tmp_path / "script.py"
    script.write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen([sys.executable, script], env=environment, **pipes, **options)


def test_a_worker_ends_when_the_process_that_started_it_is_killed(tmp_path):
    process = started(tmp_path, GUARDED)
    worker = int(process.stdout.readline())
    process.kill()
    process.communicate()
    limit = time.monotonic() + 20
    while alive(worker) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not alive(worker)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_in_the_terminal_reaches_the_process_that_leads_alone(tmp_path):
    text = GUARDED.replace("input()", "import time; time.sleep(60)")
    process = started(tmp_path, text, start_new_session=True)
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)
    assert errors.count("Traceback") == 1
    assert errors.splitlines()[-1] == "KeyboardInterrupt"


def test_no_exchange_follows_one_that_broke_off(pair, monkeypatch):
    monkeypatch.setattr(Interrupted, "sent", 0)
    crew, _ = pair
    with pytest.raises(KeyboardInterrupt):
        list(both(crew, shards=2, prepare=Interrupted()))
    with pytest.raises(OSError, match="closed"):
        list(both(crew, shards=2))


class Interrupted:
    """Ctrl-C comes while this is on its way to the second worker."""

    sent = 0

    def __reduce__(self):
        Interrupted.sent += 1
        if Interrupted.sent == 2:
            raise KeyboardInterrupt
        return Interrupted, ()

    def __call__(self, images):
        return images


class Unsendable(Exception):
    def __init__(self, one, two):
        super().__init__(one)


def complain(images):
    raise Unsendable(1, 2)


def test_an_error_that_cannot_be_sent_is_reported(crew):
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"Unsendable\(1\)"):
            list(both(crew, shards=2, prepare=complain))


def tell_opencv_threads(images):
    raise ValueError(f"{cv2.getNumThreads()} threads of OpenCV")


def test_opencv_has_one_thread_in_a_worker_and_its_own_here(crew):
    before = cv2.getNumThreads()
    with pytest.raises(ValueError, match="^1 threads of OpenCV"):
        list(both(crew, shards=2, prepare=tell_opencv_threads))
    assert cv2.getNumThreads() == before


def test_a_script_without_its_main_guard_is_told_what_it_lacks(tmp_path):
    _, errors = started(tmp_path, SCRIPT).communicate(timeout=60)
    assert 'the main script lacks `if __name__ == "__main__":`' in errors.splitlines()[-1]


def test_what_cannot_be_sent_is_refused(crew):
    _, model, params, *_ = crew
    with pytest.raises(TypeError, match="cannot receive .* One shard needs no worker"):
        list(both(crew, shards=2, prepare=lambda images: images))

    class Own(minivit.ViT):
        pass

    with (
        pytest.raises(TypeError, match="must be importable"),
        workers(2, Own(**model.config), params),
    ):
        pass


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux binds to cores")
def test_each_worker_waits_on_a_core_of_its_own(pair):
    crew, its_pids = pair
    list(both(crew, shards=2))
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        cores = [os.sched_getaffinity(pid) for pid in its_pids]
        if all(len(its) == 1 for its in cores):
            break
    assert [len(its) for its in cores] == [1, 1]
    assert len(set.union(*cores)) == min(2, len(os.sched_getaffinity(0)))
