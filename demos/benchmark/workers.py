"""What is measured runs in a process of its own, and goes on when it is told to."""

import multiprocessing
import statistics
import time

from .answers import ANSWERS
from .engines import ENGINES


class Worker:
    """A function in a new process, which is asked question after question.

    serve: runs there as serve(exchange, *arguments); exchange(answer) hands an answer out, at first
           None, and returns the next question. What serve returns is its last answer

    Errors: ChildProcessError, saying why, if it fails, at the start or later.
    """

    def __init__(self, serve, *arguments):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_run, args=(theirs, serve, arguments), daemon=False)
        self.process.start()
        theirs.close()
        self._answer()

    def ask(self, question):
        self.pipe.send(question)
        return self._answer()

    def finish(self):
        """Ask for no more; return the last answer when the process has ended."""
        last = self.ask(None)
        self.process.join()
        return last

    def _answer(self):
        try:
            error, answer = self.pipe.recv()
        except EOFError:
            error = "the process was killed; perhaps for want of memory"
        if error:
            self.process.join()
            raise ChildProcessError(error)
        return answer


def _run(pipe, serve, arguments):
    def exchange(answer):
        pipe.send((None, answer))
        return pipe.recv()

    try:
        pipe.send((None, serve(exchange, *arguments)))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return  # nobody asks any more
    except Exception as error:  # whatever an engine lacks on this machine: the others go on
        pipe.send((f"{type(error).__name__}: {error}".splitlines()[0], None))


def serve_engine(exchange, name, config, batch_size):
    """Told so many seconds, measure over about that long how much is done in a second.

    The last answer is the memory in MB that it needed at most, with all the processes that it
    started; or None.
    """
    with (ENGINES | ANSWERS)[name](config, batch_size) as (step, amount):
        for _ in range(3):
            step()
        seconds = exchange(None)
        while seconds is not None:
            start, steps = time.perf_counter(), 0
            while time.perf_counter() - start < seconds:
                step()
                steps += 1
            seconds = exchange(amount * steps / (time.perf_counter() - start))
        children = [child.pid for child in multiprocessing.active_children()]
        most = [_most_megabytes(pid) for pid in ("self", *children)]
    return None if None in most else round(sum(most), 1)


def race(names, config, batch_size, options):
    """Measure engines in turns; return {name: (median of what it does in a second, memory in MB)}.

    PyTorch's that cannot run here are left out, with a line that says why.
    """
    workers = {}
    for name in names:
        try:
            workers[name] = Worker(serve_engine, name, config, batch_size)
        except ChildProcessError as error:
            if "torch" not in name:
                raise
            print(f"{name}: not measured, {error}")
    speeds = {name: [] for name in workers}
    for _ in range(options.rounds):
        for name, worker in workers.items():
            speeds[name].append(worker.ask(options.seconds))
    return {name: (statistics.median(speeds[name]), workers[name].finish()) for name in workers}


def _most_megabytes(pid):
    """The most memory that a process ever had, with all that it imported. None but on Linux."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
    except OSError:
        return None
    return int(lines["VmHWM"].split()[0]) / 1024 if "VmHWM" in lines else None
