"""An engine in a process of its own, which measures when it is told to."""

import importlib
import multiprocessing
import time

from .engines import ENGINES


class Worker:
    """One engine, started and warmed up.

    Errors: RuntimeError, saying why, if it cannot start or fails while it measures.
    """

    def __init__(self, name, config, batch_size):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        arguments = (theirs, name, config, batch_size)
        self.process = context.Process(target=_serve, args=arguments, daemon=False)
        self.process.start()
        theirs.close()
        self._answer()

    def measure(self, seconds):
        """Return how much was done in a second, over about so many seconds."""
        self.pipe.send(seconds)
        return self._answer()

    def finish(self):
        """End the process; return the memory in MB that it needed beyond its imports, or None."""
        self.pipe.send(None)
        memory = self._answer()
        self.process.join()
        return memory

    def _answer(self):
        try:
            error, number = self.pipe.recv()
        except EOFError:
            error = "the process was killed; perhaps for want of memory"
        if error:
            self.process.join()
            raise RuntimeError(error)
        return number


def _serve(pipe, name, config, batch_size):
    module, engine = ENGINES[name]
    try:
        importlib.import_module(module)
        imported = _megabytes("VmRSS")
        with engine(config, batch_size) as (step, amount):
            for _ in range(3):
                step()
            pipe.send((None, None))
            while (seconds := pipe.recv()) is not None:
                start, steps = time.perf_counter(), 0
                while time.perf_counter() - start < seconds:
                    step()
                    steps += 1
                pipe.send((None, amount * steps / (time.perf_counter() - start)))
        most = _megabytes("VmHWM")
        pipe.send((None, round(most - imported, 1) if most else None))
    except Exception as error:  # whatever an engine lacks on this machine: the others go on
        pipe.send((f"{type(error).__name__}: {error}".splitlines()[0], None))


def _megabytes(entry):
    """VmRSS: the memory this process has now; VmHWM: the most it ever had. None but on Linux."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
    except OSError:
        return None
    return int(lines[entry].split()[0]) / 1024 if entry in lines else None
