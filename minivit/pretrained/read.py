"""Files of weights, read without trusting them: safetensors, NumPy's .npz, PyTorch's .pth and .bin.

The first bytes tell what a file is. Only its table of contents is read at first; each array is
taken from the file when it is asked for. No file makes this module run anything, or take much more
memory than the file has bytes.
"""

import json
import lzma
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

from ..files import one_line, read_json
from .npz import read_npz
from .pytorch import read_archive, read_legacy
from .stored import FLOATS, Stored, in_file

LARGEST_HEADER = 2**22  # bytes of a table of contents, room for some 40,000 arrays
LARGEST_DIRECTORY = 2**20  # bytes, of a zip file; room for 10,000 arrays
FILES = ("model.safetensors", "pytorch_model.bin")  # the names that published folders have
CONFIGS = ("config.json", "preprocessor_config.json")
ENDINGS = (".safetensors", ".npz", ".pth", ".pt", ".bin")
SAFETENSORS = dict(zip(("F64", "F32", "F16", "BF16"), FLOATS, strict=True))
NOT_WEIGHTS = (  # what the readers of formats raise at bytes that make no sense
    ValueError, OSError, EOFError, KeyError, TypeError, struct.error, zipfile.BadZipFile,
    NotImplementedError, RuntimeError, SyntaxError, tokenize.TokenError, MemoryError, OverflowError,
    zlib.error, lzma.LZMAError,
)  # fmt: skip


def read_checkpoint(path: str | Path) -> tuple[dict[str, Stored], dict[str, dict[str, Any]]]:
    """Return the arrays of a file or folder, by name, and {file: JSON} of the CONFIGS beside it.

    A folder has model.safetensors or pytorch_model.bin, whole or in parts that an index lists; or
    it has a single file of weights.
    Errors: FileNotFoundError; ValueError naming the file that cannot be read.
    """
    path = Path(path)
    files = _files_in(path) if path.is_dir() else [path]
    arrays: dict[str, Stored] = {}
    for file in files:
        found = _read_file(file)
        if twice := sorted(arrays.keys() & found.keys()):
            raise ValueError(f"{file} has {twice[0][:80]!r}, which another of the files has too")
        arrays |= found
    beside = {name: files[0].parent / name for name in CONFIGS}
    return arrays, {name: read_json(file) for name, file in beside.items() if file.is_file()}


def _files_in(folder):
    """The files of weights in a folder."""
    for name in FILES:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            parts = read_json(index).get("weight_map")
            names = set(map(str, parts.values())) if isinstance(parts, dict) else {""}
            if not all(_is_plain(part) for part in names):
                raise ValueError(f"{index} is damaged: expected names of files beside it")
            return [folder / part for part in sorted(names)]
    found = sorted(file for file in folder.iterdir() if file.suffix in ENDINGS)
    if len(found) == 1:
        return found
    raise FileNotFoundError(
        f"{folder} has {len(found)} files of weights ({', '.join(ENDINGS)}); expected a single "
        f"one, or one with the name {' or '.join(FILES)}"
    )


def _is_plain(name):
    """Whether a name is that of a file in the same folder, and fit to be printed."""
    return 0 < len(name) < 200 and name.isprintable() and Path(name).name == name


def _read_file(path):
    """The arrays of a file, by name."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; expected weights, or a folder with them")
    with open(path, "rb") as file:
        start = file.read(9)
    try:
        if start.startswith(b"PK\3\4"):
            return _read_zip(path)
        if start[8:] == b"{":
            return _read_safetensors(path)
        if start.startswith(b"\x80"):
            return read_legacy(path)
    except NOT_WEIGHTS as error:
        raise ValueError(f"{path} is damaged, or holds no weights: {one_line(error)}") from error
    raise ValueError(
        f"{path} is no file of weights: it begins with {start[:8].hex(' ')}; expected safetensors, "
        ".npz, or PyTorch's .pth or .bin"
    )


def _read_safetensors(path):
    import safetensors

    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > LARGEST_HEADER:
            raise ValueError(f"its header has {size:,} bytes; expected {LARGEST_HEADER:,} at most")
        header = file.read(size)
    try:
        safetensors.safe_open(path, framework="numpy")  # checks types, offsets and lengths
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    arrays = {}
    for name, info in json.loads(header).items():
        if name != "__metadata__":
            offset = 8 + size + info["data_offsets"][0]
            dtype = SAFETENSORS.get(info["dtype"], info["dtype"])
            arrays[name] = in_file(path, offset, dtype, tuple(info["shape"]))
    return arrays


def _read_zip(path):
    """An .npz, or a file of PyTorch 1.6 or newer."""
    _expect_small_directory(path)
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if pickles:
            return read_archive(path, archive, pickles[0].removesuffix("data.pkl"))
        return read_npz(path, archive)


def _expect_small_directory(path):
    """Refuse a zip file whose directory would take long to read.

    Its size stands in a record at the end of the file, or in another before that if the file may
    be large (APPNOTE.TXT, sections 4.3.14 to 4.3.16).
    """
    with open(path, "rb") as file:
        file.seek(-min(path.stat().st_size, 2**16 + 100), 2)
        tail = file.read()
    last = len(tail) - 22  # where the record stands if no comment follows, which is looked at first
    end = last if tail[last:].startswith(b"PK\5\6") else tail.rfind(b"PK\5\6")
    if end < 0:
        raise ValueError("it is cut off")
    (size,) = struct.unpack_from("<L", tail, end + 12)
    if tail[max(0, end - 20) : end].startswith(b"PK\6\7"):
        large = tail.rindex(b"PK\6\6", 0, end)
        size = max(size % (2**32 - 1), *struct.unpack_from("<Q", tail, large + 40))
    if size > LARGEST_DIRECTORY:
        raise ValueError(
            f"its directory has {size:,} bytes; expected {LARGEST_DIRECTORY:,} at most"
        )
