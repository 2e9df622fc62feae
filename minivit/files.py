"""Files that appear whole or not at all, and folders in which one process works at a time."""

import contextlib
import errno
import json
import os
import secrets
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None
    import msvcrt

ASIDE = ".aside"  # the ending of a file or a folder that is not finished yet
LARGEST_JSON = 2**24  # bytes
HELD = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}  # what a lock that another has is refused with


def write_file(path, data):
    """Write bytes to `path`, whole or not at all: aside, flushed to disk, then renamed.

    Errors: OSError naming `path`; whatever stood there before still does.
    """
    path = Path(path)
    aside = path.parent / f".{path.name}.{secrets.token_hex(4)}{ASIDE}"
    try:
        file = open(aside, "xb")  # with the mode that the umask gives, as `tempfile` would not
        try:
            with file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise
        flush_folder(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_json(path, value):
    """Write a value as JSON, whole or not at all."""
    write_file(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path):
    """Return the object in a JSON file, a dict.

    Errors: OSError if it cannot be read; ValueError naming it if it is damaged.
    """
    with open(path, "rb") as file:
        data = file.read(LARGEST_JSON + 1)
    if len(data) > LARGEST_JSON:
        raise ValueError(f"{path} is damaged: it is larger than {LARGEST_JSON:,} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:  # of the encoding or of JSON; nested too deep
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged: it holds no JSON object, but {str(value)[:40]}")
    return value


@contextlib.contextmanager
def locked(folder, wait=False):
    """Keep every other process that asks for it out of a folder, inside the `with`.

    The operating system holds the lock and frees it when this process ends, however it ends, so
    none is ever left behind. On Unix it is on the folder itself, on Windows, which opens no
    folders, on the file .lock in it. Where a file system knows no locks, nobody is kept out.
    Errors: OSError if another process has it; with `wait`, that is waited for.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY) if fcntl else _lock_file(folder)
    except OSError:  # nothing to lock, or none of ours
        yield
        return
    try:
        try:
            if fcntl:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            else:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in HELD:
                raise OSError(
                    f"another process is at work in {folder}; wait until it ends, or stop it"
                ) from None
        yield
    finally:
        os.close(descriptor)  # and with it goes the lock


def _lock_file(folder):
    return os.open(Path(folder, ".lock"), os.O_RDWR | os.O_CREAT)


def flush_folder(folder):
    """Wait until the names in a folder are on disk: after a power cut, a rename has happened."""
    if os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(folder):
    """Remove what a killed process left of files that it had not finished writing."""
    for aside in Path(folder).glob(f".*{ASIDE}"):
        aside.unlink(missing_ok=True)
