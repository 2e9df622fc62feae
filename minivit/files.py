"""Files that appear whole or not at all, and folders in which one process works at a time."""

import contextlib
import json
import os
import secrets
from pathlib import Path

import numpy as np

ASIDE = ".aside"  # the ending of a file or a folder that is not finished yet
LARGEST_JSON = 2**24  # bytes


def write_file(path, data):
    """Write bytes to `path`, whole or not at all: aside, flushed to disk, then renamed.

    Errors: OSError naming `path`, if it is a device or a pipe too, in whose place a file would
    come; whatever stood there before still does.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(f"{path} is a device or a pipe; expected the name of a file")
    aside = path.parent / f".{path.name}.{secrets.token_hex(4)}{ASIDE}"
    with errors_name(path):
        file = open(aside, "xb")  # its mode follows the umask; that of `tempfile` would not
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


@contextlib.contextmanager
def errors_name(path):
    """Let an OSError inside the `with` name this file, whatever it named before."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_json(path, value, write=write_file):
    """Write a value as JSON; `write` is `write_file`, or `checksums.write_summed`."""
    write(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path):
    """Return the object in a JSON file, a dict.

    Errors: OSError if it cannot be read; ValueError naming it if it is damaged, or no file.
    """
    if Path(path).exists() and not Path(path).is_file():  # opening a pipe would wait for ever
        raise ValueError(f"{path} is not a file")
    with open(path, "rb") as file:
        data = file.read(LARGEST_JSON + 1)
    if len(data) > LARGEST_JSON:
        raise ValueError(f"{path} is damaged: it is larger than {LARGEST_JSON:,} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:  # bad UTF-8 or JSON; nested too deep
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged: expected a JSON object, got {str(value)[:40]}")
    return value


@contextlib.contextmanager
def locked(folder, wait=False):
    """Keep every other process that asks for it out of a folder, inside the `with`.

    The operating system holds the lock, on the file .lock in the folder, and frees it when this
    process ends, however it ends. Where nothing can be locked, since the file system has no locks
    or nothing may be written, nobody is kept out.
    Errors: OSError if another process has the lock; with `wait`, it waits for that process.
    """
    import filelock  # here, as few need it

    lock = filelock.FileLock(Path(folder, ".lock"), blocking=wait)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise OSError(
            f"another process is at work in {folder}; wait until it ends, or stop it"
        ) from None
    except (OSError, NotImplementedError):  # no locks here
        pass
    try:
        yield
    finally:
        lock.release()


def write_arrays(path, arrays, metadata=None, write=write_file):
    """Write {name: array} as a safetensors file.

    metadata: {name: text}, kept in the header of the file
    write:    `write_file`, or `checksums.write_summed`
    """
    import safetensors.numpy  # here, as few need it

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write(path, safetensors.numpy.save(arrays, metadata))


def read_arrays(path):
    """Return the metadata (a dict of texts) and the arrays, by name, of a safetensors file.

    Errors: ValueError naming the file if it cannot be read.
    """
    import safetensors

    path = Path(path)
    if not path.is_file():  # opening a pipe would wait for ever
        raise ValueError(f"{path} is not a file")
    try:
        open(path, "rb").close()  # says why it cannot be opened; safetensors says it is missing
        with safetensors.safe_open(path, framework="numpy") as file:
            names = file.keys()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    except (OSError, MemoryError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds numbers of a type unknown to NumPy ({error})") from error


def one_line(error, most=400):
    """What an error says, in one printable line of at most so many letters."""
    text = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    text = " ".join(text.split())[:most] or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def flush_folder(folder):
    """Wait until the names in a folder are on disk, so that a rename outlives a power cut."""
    if os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(folder):
    """Remove the half-written files of a process that was killed."""
    for aside in Path(folder).glob(f".*{ASIDE}"):
        aside.unlink(missing_ok=True)
