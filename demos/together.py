"""The ranks of one run: the first speaks for all, and all end if one of them does."""

import contextlib
import os
import subprocess
import sys
import time
import traceback

from .options import explain

PATIENCE = 2.0  # seconds in which the first rank may tell of an error that all have met, …
APART = 0.5  # … and between any two others
HEIR = "import sys; print(flush=True); sys.stdin.read() or sys.exit(sys.argv[1])"


@contextlib.contextmanager
def together(demo, ranks):
    """Inside the `with` only the first of the Ranks prints, and an error of one ends all of them.

    It is told in one line, by the first rank if it has met it too. A process alone is left as it
    is.
    """
    if ranks.count == 1:
        yield
        return
    told = sys.stderr
    with contextlib.ExitStack() as stack:
        if not ranks.first:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        try:
            yield
            ranks.wait()
        except (Exception, KeyboardInterrupt) as error:
            stack.close()
            end(demo, ranks, error, told)


def end(demo, ranks, error, told):
    """Tell of an error that this rank has met, unless the first rank does, and end all ranks."""
    stopped = ranks.pressed and isinstance(error, KeyboardInterrupt)  # as all of them have agreed
    if not (ranks.first or stopped):
        time.sleep(PATIENCE + APART * (ranks.number - 1))
    status = 130
    if ranks.first or not stopped:
        with contextlib.redirect_stderr(told):
            try:
                status = explain(demo if ranks.first else f"{demo}: rank {ranks.number}", error)
            except Exception:
                traceback.print_exc()
                status = 1
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        told.flush()
    if not stopped:
        ranks.end(status)
    ranks.wait()  # while the first saves
    sys.exit(status)


@contextlib.contextmanager
def last_words(text, ranks):
    """Inside the `with`, should a rank be gone, a process apart prints `text` on this one's stderr.

    MPI kills all ranks of a run when one is gone, so none of them can say anything. One that waits
    for the others may be told by an error first, but has no time to say so either.
    """
    heir = subprocess.Popen(
        [sys.executable, "-c", HEIR, text], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    heir.stdout.readline()  # it is ready
    try:
        yield
    except ranks.gone:
        heir.communicate()  # it speaks
        ranks.end(1)
    finally:
        with contextlib.suppress(OSError):  # it was killed itself
            heir.communicate(b"not needed")
