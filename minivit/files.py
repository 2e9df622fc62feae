"""Files that appear whole or not at all."""

import json
import os
import tempfile
from pathlib import Path


def write_file(path, data):
    """Write bytes to `path`, whole or not at all: aside, flushed to disk, then renamed."""
    path = Path(path)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
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


def write_json(path, value):
    """Write a value as JSON, whole or not at all."""
    write_file(path, (json.dumps(value, indent=2) + "\n").encode())
