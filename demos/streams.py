"""Standard output and error that a demo can rely on: full, closed, of any encoding, or unread."""

import contextlib
import os
import sys


class Stream:
    """Standard output or error. What its encoding lacks is written as an escape, such as \\u2212.

    lasting: what cannot be written is dropped; otherwise that raises an OSError
    error:   what it was, or None. Nothing is written after it
    """

    def __init__(self, stream, lasting=False):
        self.stream, self.lasting, self.error = stream, lasting, None

    def write(self, text):
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self._attempt(self.stream.write, text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self):
        self._attempt(self.stream.flush)
        if self.error and not self.lasting:
            raise self.error  # again: argparse, for one, takes no notice of it

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def _attempt(self, function, *arguments):
        if self.error:
            return
        try:
            function(*arguments)
        except OSError as error:
            self.error = type(error)(error.errno, error.strerror, "standard output")
            with contextlib.suppress(OSError):  # what is left would fail again as Python exits
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            if not self.lasting:
                raise self.error from None


@contextlib.contextmanager
def reliable():
    """Inside the `with` all standard streams are open, and output and error are a Stream.

    An error of standard output is raised, one of standard error is not: there is nobody to tell.
    """
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:  # closed, and the next file would be taken for it
            setattr(sys, name, open(os.devnull, mode))
    error = Stream(sys.stderr, lasting=True)
    with contextlib.redirect_stdout(Stream(sys.stdout)), contextlib.redirect_stderr(error):
        yield


@contextlib.contextmanager
def unread():
    """Inside the `with`, work goes on that nobody may read; an error of output follows at the end.

    For what must not be lost, such as a training.
    """
    output = Stream(sys.stdout, lasting=True)
    with contextlib.redirect_stdout(output):
        yield
        output.flush()
    if output.error:
        raise output.error
