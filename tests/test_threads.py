import ctypes
import subprocess
import sys
import threading
import time

import pytest
from threadpoolctl import threadpool_info

from minivit.threads import cores, threads


def test_results_come_in_the_order_of_the_jobs_from_several_threads():
    meet = threading.Barrier(3, timeout=10)  # nobody passes before all three work

    def work(number):
        if number < 3:
            meet.wait()
        return number, threading.get_ident()

    with threads(3) as mapper:
        numbers, owners = zip(*mapper(work, iter(range(10))), strict=True)
        assert mapper(work, []) == []
    assert numbers == tuple(range(10))
    assert len(set(owners)) == 3
    assert threading.get_ident() in owners


def test_jobs_are_made_as_they_are_taken():
    done = []

    def jobs():
        for number in range(50):
            assert len(done) >= number - 1  # only the other thread is at work on one
            yield number

    with threads(2) as mapper:
        mapper(done.append, jobs())
    assert sorted(done) == list(range(50))


@pytest.mark.parametrize("wrong", [0, 1, 5])
def test_an_error_in_any_thread_is_raised_and_no_more_jobs_are_taken(wrong):
    done = []

    def work(number):
        done.append(number)
        if number == wrong:
            raise ZeroDivisionError
        time.sleep(0.001)

    with pytest.raises(ZeroDivisionError), threads(2) as mapper:
        mapper(work, range(3000))
    assert len(done) < 1000


def test_blas_is_held_to_one_thread_and_let_go_again():
    def blas():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before, interval = blas(), sys.getswitchinterval()
    with pytest.raises(KeyError), threads(2):
        assert set(blas()) <= {1}
        assert sys.getswitchinterval() == pytest.approx(1e-4)
        raise KeyError
    assert (blas(), sys.getswitchinterval()) == (before, interval)


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
from minivit.threads import keep_freed_memory
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
