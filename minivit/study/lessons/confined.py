"""What the process of an answer may do: compute, within limits, and read Python's own files.

It is no wall against a determined attacker, who would need a container of the operating system. It
stops what a submission does by mistake or in spite: loops, forks, files, other people's answers.
"""

import contextlib
import os
import sys

MEMORY = 2 * 2**30  # bytes of addresses
LARGEST_FILE = 16 * 2**20  # bytes
FILES = 64  # open at a time; and as many may be written, one after another
REFUSED = (  # beginnings of the names of audit events, see "Audit events table" of Python's manual
    "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill",
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
    "os.ch", "os.utime", "os.setxattr", "os.removexattr", "os.lockf", "subprocess.", "shutil.",
    "socket.", "ctypes.", "signal.pthread_kill", "resource.", "gc.", "pty.", "webbrowser.",
    "sqlite3.", "winreg.", "_winapi.", "msvcrt.",
)  # fmt: skip
DIFFERENTIATE = ("autograd", "jax", "tensorflow", "torch")  # so an answer may not import them
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Refused(PermissionError):
    """Says what an answer may not do."""


def limit(seconds):
    """Limit this process, for good: seconds of CPU, memory, files, and no further process.

    Where the operating system has no such limits (Windows) there are none; root has none on
    processes.
    """
    try:
        import resource
    except ImportError:
        return
    limits = {
        resource.RLIMIT_CPU: seconds, resource.RLIMIT_AS: MEMORY, resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: LARGEST_FILE, resource.RLIMIT_NOFILE: FILES,
    }  # fmt: skip
    if hasattr(resource, "RLIMIT_NPROC"):
        limits[resource.RLIMIT_NPROC] = 0
    for kind, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # this system has no such limit
            resource.setrlimit(kind, (most, most))


def confine(readable, hidden):
    """From now on, and for good, raise Refused in this process for what is in REFUSED.

    Files are read below the folders `readable` alone, but not below those `hidden`, and written
    below the working directory alone.
    """
    readable, hidden, own = _real(readable), _real(hidden), _real([os.getcwd()])
    real, start, count = os.path.realpath, os.path.join, 0

    def below(path, folders, real=real, join=start, any=any):
        path = join(real(path), "")
        return any(path.startswith(folder) for folder in folders)

    def hook(event, arguments, any=any, isinstance=isinstance, int=int, decode=os.fsdecode):
        nonlocal count
        if event == "open" and not isinstance(arguments[0], int):
            path, flags = decode(arguments[0]), arguments[2] or 0
            if flags & WRITES:
                count += 1
                if not below(path, own) or count > FILES:
                    raise Refused(f"an answer may not write {path}")
            elif below(path, hidden) or not below(path, readable + own):
                raise Refused(f"an answer may not read {path}")
        elif event == "import" and arguments[0].partition(".")[0] in DIFFERENTIATE:
            raise Refused(f"an answer may not import {arguments[0]}: it differentiates")
        elif event.startswith(REFUSED):
            raise Refused(f"an answer may not use {event}")

    sys.addaudithook(hook)


def _real(folders):
    return tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)
