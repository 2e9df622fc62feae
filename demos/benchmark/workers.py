"""Engines race in processes of their own, with their own threads and memory, and take turns."""

import contextlib
import multiprocessing
import re
import statistics
import time
from pathlib import Path

from minivit.training.workers import ctrl_c_blocked

from .engines import RIVALS


class Worker:
    """A function in a new process: it runs until it calls turn(answer), and on when it is asked.

    function: called as function(turn, *arguments). Each turn(answer) returns the next question;
              what the function returns is its last answer
    Errors: ChildProcessError, from here or from `ask`, if the function fails or its process ends
    """

    def __init__(self, function, *arguments):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, function, arguments))
        with ctrl_c_blocked():
            self.process.start()
        theirs.close()
        self.ask()

    def end(self):
        """End the process, whatever it is doing."""
        self.pipe.close()
        self.process.kill()
        self.process.join()

    def ask(self, question=None):
        """Return the answer, and the seconds that it took."""
        try:
            self.pipe.send(question)
            answer, seconds = self.pipe.recv()
        except (EOFError, ConnectionError) as error:
            text = "its process ended unexpectedly, perhaps because memory ran out"
            raise ChildProcessError(text) from error
        if isinstance(answer, ChildProcessError):
            raise answer
        return answer, seconds


def serve(pipe, function, arguments):
    began = time.perf_counter()

    def turn(answer=None):
        nonlocal began
        pipe.send((answer, time.perf_counter() - began))
        question = pipe.recv()
        began = time.perf_counter()
        return question

    try:
        pipe.recv()
        pipe.send((function(turn, *arguments), time.perf_counter() - began))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return  # the main process has ended
    except Exception as error:  # of any kind, such as PyTorch's where there is no compiler
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        pipe.send((ChildProcessError(text), time.perf_counter() - began))


def run_engine(turn, engine, config, batch_size):
    """Asked with seconds, run the engine about so long and answer with the amount that it did.

    Asked with None, answer with the peak memory in MB.
    """
    with engine(config, batch_size) as (step, amount):
        for _ in range(3):
            step()
        seconds = turn()
        while seconds:
            end, total = time.perf_counter() + seconds, 0
            while time.perf_counter() < end:
                step()
                total += amount
            seconds = turn(total)
        return peak_memory()


def race(engines, config, batch_size, options):
    """Measure engines in turns; return {name: (median amount per second, peak memory in MB)}.

    engines: functions by their names
    A rival that cannot run here is left out, and a line says why.
    """
    workers, speeds = {}, {}
    with contextlib.ExitStack() as stack:
        for name, engine in engines.items():
            try:
                workers[name] = Worker(run_engine, engine, config, batch_size)
            except ChildProcessError as error:
                if name not in RIVALS:
                    raise
                print(f"{name}: not measured, {error}")
            else:
                stack.callback(workers[name].end)
                speeds[name] = []
        for _ in range(options.rounds):
            for name, worker in workers.items():
                amount, seconds = worker.ask(options.seconds)
                speeds[name].append(amount / seconds)
        memory = {name: worker.ask()[0] for name, worker in workers.items()}
    return {name: (statistics.median(speeds[name]), memory[name]) for name in workers}


def peak_memory():
    """MB that this process and its children have used at most, imports included; nan if unknown."""
    pids = ["self", *(child.pid for child in multiprocessing.active_children())]
    files = [Path(f"/proc/{pid}/status") for pid in pids]
    peaks = [re.search(r"VmHWM:\s*(\d+)", file.read_text()) for file in files if file.exists()]
    return sum(int(peak[1]) for peak in peaks) / 1024 if peaks and all(peaks) else float("nan")
