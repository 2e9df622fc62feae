"""Cores, a `map` on several threads, and a malloc that keeps memory for the next array."""

import contextlib
import ctypes
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def cores():
    """How many cores this process may use. A container's quota of their time is not seen."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def threads(count):
    """Yield a `map` that runs on `count` threads, this one among them.

    NumPy lets other threads run while it computes, and layers hold no state, so threads can share a
    model. BLAS has one thread until the end of the `with` (where threadpoolctl knows it, so not
    Apple's Accelerate): threads of its own would help with the matrix products only, and slow down
    greatly when another program takes one of the cores. A thread that needs Python's lock asks for
    it again after 0.1 ms instead of 5 ms. After an error in one thread, or Ctrl-C, the others
    finish the job they are at and take no more.
    """

    def mapper(function, jobs):
        jobs, results, lock = enumerate(jobs), {}, threading.Lock()

        def work():
            nonlocal jobs
            try:
                while True:
                    with lock:  # jobs may be made as they are taken
                        number, job = next(jobs, (None, None))
                    if number is None:
                        return
                    results[number] = function(job)
            except BaseException:
                jobs = iter(())
                raise

        others = [pool.submit(work) for _ in range(1, count)]
        work()
        for other in others:
            other.result()
        return [results[number] for number in sorted(results)]

    keep_freed_memory()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        with threadpool_limits(1), ThreadPoolExecutor(max(1, count - 1)) as pool:
            yield mapper
    finally:
        sys.setswitchinterval(interval)


def keep_freed_memory():
    """Tell malloc, for the whole process, to keep the memory of freed arrays for the next ones.

    On Linux, glibc hands large blocks back to the kernel when they are freed, and the end of its
    heap too. The next array then fetches its memory anew, page by page, which takes as long as the
    arithmetic.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_MMAP_THRESHOLD, 2**25)  # bytes of a large block; glibc allows no more
        mallopt(M_TRIM_THRESHOLD, 2**30)  # bytes at the end of the heap
