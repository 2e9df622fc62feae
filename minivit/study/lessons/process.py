"""The process of an answer, seen from the one that grades: started, stopped, and what it left."""

import compileall
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from ...files import read_arrays
from .without_solutions import PACKAGE, copy_package

CPU = 10  # seconds of computing that an answer has; a right one takes one or two
WALL = 30  # seconds until an answer that is still running is stopped
LARGEST = 2**20  # bytes of an answer's file, and of what its process says
LONGEST = 400  # letters of a cause
SAYS = "this calls minivit's own {}; write yours"
RUNNING: set[subprocess.Popen] = set()  # processes of answers
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT")  # of the environment


@contextlib.contextmanager
def prepared(name):
    """Yield a folder with minivit without the solution of an exercise, for `run_answer`."""
    with tempfile.TemporaryDirectory() as folder:
        copy_package(folder, [name], SAYS)
        compileall.compile_dir(folder, quiet=1)
        yield folder


def run_answer(path, name, seed, package, hidden=(), quiet=False):
    """Run the answer in a file; return ({name: array}, said), as `answer.try_answer` does.

    Nothing in them is to be trusted but what they are: arrays of floats, and lines of letters.

    package: the folder that `prepared` yields
    hidden:  folders that the answer may not read
    quiet:   what the answer prints is lost
    """
    if path.stat().st_size > LARGEST:
        return {}, {"problem": f"{path.name} is larger than {LARGEST:,} bytes"}
    with tempfile.TemporaryDirectory() as folder:
        answer, empty = Path(folder, "answer", path.name), Path(folder, "empty")
        answer.parent.mkdir()
        empty.mkdir()
        shutil.copyfile(path, answer)
        job = dict(
            path=str(answer), name=name, seed=seed, seconds=CPU, readable=[str(answer.parent)],
            result=str(Path(folder, "result")), said=str(Path(folder, "said")),
            hidden=[str(PACKAGE), *map(str, hidden)],
        )  # fmt: skip
        return _left(job, _stopped(job, package, empty, quiet))


def _stopped(job, package, folder, quiet):
    """Run an answer's process to its end; return why it was stopped, or None."""
    paths = [package, *(p for p in sys.path if p and not Path(p, PACKAGE.name).exists())]
    environment = {key: os.environ[key] for key in KEPT if key in os.environ} | {
        "PYTHONPATH": os.pathsep.join(paths), "HOME": str(folder), "TMPDIR": str(folder),
        "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, "-P", "-B", "-m", f"{__package__}.answer", json.dumps(job)]
    output = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
        stderr=output, start_new_session=True,  # which Ctrl-C does not reach
    )  # fmt: skip
    RUNNING.add(process)
    try:
        status = process.wait(WALL)
    except subprocess.TimeoutExpired:
        return f"it was still running after {WALL} s; does it wait for something?"
    finally:
        _end(process)
    if status == -getattr(signal, "SIGXCPU", 0) or status == -signal.SIGKILL:
        return f"it was still computing after {CPU} s; a loop without end, or over all numbers?"
    return None


def stop_all():
    """End the processes of all answers."""
    for process in list(RUNNING):
        _end(process)


def _end(process):
    """End a process and all that it has started."""
    RUNNING.discard(process)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _left(job, stopped):
    """(arrays, said) that an answer's process has left."""
    try:
        _, arrays = read_arrays(job["result"])
    except (ValueError, OSError, MemoryError):
        arrays = {}
    said = {}
    with contextlib.suppress(ValueError, OSError, RecursionError), open(job["said"], "rb") as file:
        said = json.loads(file.read(LARGEST))
    if not isinstance(said, dict) or "problem" not in said:
        nothing = stopped or "it ended Python before it was graded"
        said = {"problem": "" if arrays else nothing, "cause": stopped}
    report = str(said.get("report") or "")[:LARGEST]
    lines = ("".join(c if c.isprintable() else " " for c in line) for line in report.split("\n"))
    words = {key: _clean(said.get(key) or "") for key in ("problem", "cause")}
    return arrays, words | {"report": "\n".join(lines), "ok": said.get("ok", True) is True}


def _clean(text):
    """One line of printable letters."""
    return "".join(c if c.isprintable() else " " for c in str(text))[:LONGEST].strip()
