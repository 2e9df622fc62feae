"""The shards of a step side by side, each in a worker process.

Threads would wait for Python's lock: a step is hundreds of short calls of NumPy, and each of them
ends by asking for the lock, which another thread may hold. Processes have a lock each
(docs/performance.md has the figures).

A worker keeps the model, and shares two blocks of memory with this process: in one it finds the
parameters, in the other it leaves its gradients. A pipe brings its shard and returns the loss. This
process itself computes nothing of a step, so it has time to prepare the next batch
(`batches.ahead`).
"""

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from multiprocessing import resource_tracker

import numpy as np

from ..params import Params
from ..threads import cores, threads
from .step import one_by_one, shard_pass

PATIENCE = 1.0  # seconds in which a worker has to end by itself


@contextlib.contextmanager
def workers(count, model, params):
    """Yield the `run` of `loss_and_gradients` for this model: `count` workers take turns.

    How many they are does not change a bit of the result. A count of 1 needs no worker. Workers are
    new Pythons, which import the main module: a script that starts them needs its
    `if __name__ == "__main__":`. They end with the `with`, by force if need be, or when this
    process is gone; Ctrl-C does not reach them. BLAS has one thread in each process.

    params: of the nest that model.init makes; the numbers are those that `run` is given

    Errors: TypeError for what cannot be pickled; ChildProcessError, from `run`, if a worker could
    not start or was killed.
    """
    if count == 1:
        with threads(1):
            yield one_by_one
        return
    context = multiprocessing.get_context("spawn")
    parameters, *gradients = (
        context.RawArray(ctypes.c_byte, params.flat.nbytes) for _ in range(1 + count)
    )
    pipes = []

    def run(its_model, its_params, grads, shards):
        if its_model is not model:
            raise ValueError("these workers are for the model they started with")
        np.frombuffer(parameters, params.flat.dtype)[...] = its_params.flat
        turns = [shards[start : start + count] for start in range(0, len(shards), count)]
        return [result for some in turns for result in turn(grads, some)]

    def turn(grads, shards):
        """Each worker takes a shard, or none."""
        busy = pipes[: len(shards)]
        with _explained(), _whole(pipes):
            for pipe, shard in zip(busy, shards, strict=True):
                pipe.send(shard)
            answers = [pipe.recv() for pipe in busy]
        for _, error in answers:
            if error:
                raise error
        for block in gradients[: len(shards)]:  # in a fixed order: one seed, one result
            grads.flat += np.frombuffer(block, params.flat.dtype)
        return [result for result, _ in answers]

    with threads(1), contextlib.ExitStack() as stack:
        for number, block in enumerate(gradients):
            ours, theirs = context.Pipe()
            arguments = (theirs, number, model, params.flat.dtype, parameters, block)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            with ctrl_c_blocked(), _explained():
                process.start()
            theirs.close()
            stack.callback(_end, process, ours)
            pipes.append(ours)
        yield run


def processes_for(shards, batch_size):
    """How many workers `fit` starts: one for each shard, but not more than images or cores."""
    return min(shards, batch_size, cores())


def _end(process, pipe):
    """End a worker, even one that does not listen: it is stopped, or deep in a large shard."""
    pipe.close()
    process.join(PATIENCE)
    process.kill()
    process.join()


def _serve(pipe, number, model, dtype, parameters, gradients):
    """Work on shards until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore", RuntimeWarning)  # the loss shows what is no longer finite
    params = Params(model.init(np.random.default_rng(0), dtype))  # for names and shapes alone
    grads = params.of(np.frombuffer(gradients, dtype))
    params = params.of(np.frombuffer(parameters, dtype))
    with threads(1), contextlib.suppress(EOFError, ConnectionError):
        while True:
            with _waking_on_core(number):
                shard = pipe.recv()
            if opencv := sys.modules.get("cv2"):  # which the first shard's augmentation imports
                opencv.setNumThreads(1)  # its threads would wait for each other on others' cores
            try:
                answer = shard_pass(model, params, grads.zero(), **shard), None
            except Exception as error:
                answer = None, _sendable(error)
            pipe.send(answer)


@contextlib.contextmanager
def _waking_on_core(number):
    """Inside the `with`, wait so that each worker wakes on a core of its own; then it may move.

    Linux often wakes two of them on one core and lets them share it for a whole step.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[number % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _sendable(error):
    """The error, or one with the same text if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(repr(error))
    return error


@contextlib.contextmanager
def _whole(pipes):
    """An exchange with all workers. If it breaks off, the pipes are closed.

    Otherwise a late answer would be taken for the answer to the next shard.
    """
    try:
        yield
    except BaseException:
        for pipe in pipes:
            pipe.close()
        raise


@contextlib.contextmanager
def _explained():
    """Say what it means that a pipe has lost its other end, or cannot send something."""
    try:
        yield
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"a worker process cannot receive the model, or what prepares its images ({error}): it "
            "must be importable from a module. One shard needs no worker"
        ) from error
    except (EOFError, ConnectionError) as error:
        raise ChildProcessError(
            "a worker process is gone: it was killed, perhaps out of memory, or could not start "
            'because the main script lacks `if __name__ == "__main__":`. One shard needs no worker'
        ) from error


@contextlib.contextmanager
def ctrl_c_blocked():
    """A process that starts here gets no Ctrl-C, not even before it can ignore it (on Unix)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # when it starts it lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
