"""Files that appear whole or not at all."""

import json
import os
import tempfile
from pathlib import Path

ASIDE = ".aside"  # the ending of a file that is not finished yet


def write_file(path, data):
    """Write bytes to `path`, whole or not at all: aside, flushed to disk, then renamed.

    Errors: OSError naming `path`; whatever stood there before still does.
    """
    path = Path(path)
    try:
        descriptor, aside = tempfile.mkstemp(ASIDE, f".{path.name}.", path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(aside, 0o644)
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
