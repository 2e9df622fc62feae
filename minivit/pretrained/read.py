"""Files of weights, read without trusting them: safetensors, NumPy's .npz, PyTorch's .pth and .bin.

The first bytes tell what a file is. Only its table of contents is read at first; each array is
taken from the file when it is asked for. No file makes this module run anything, or take much more
memory than the file has bytes.
"""

import json
import math
import struct
import tokenize
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files import read_json
from .pickles import View, read_pickle

LARGEST_HEADER = 2**22  # bytes of a table of contents, room for some 40,000 arrays
LARGEST_NPY_HEADER = 2**13
FILES = ("model.safetensors", "pytorch_model.bin")  # the names that published folders have
CONFIGS = ("config.json", "preprocessor_config.json")
ENDINGS = (".safetensors", ".npz", ".pth", ".pt", ".bin")
FLOATS = ("float64", "float32", "float16", "bfloat16")
SAFETENSORS = dict(zip(("F64", "F32", "F16", "BF16"), FLOATS, strict=True))
LEGACY = 0x1950A86A20F9469CFC6C  # what files older than PyTorch 1.6 begin with
NOT_WEIGHTS = (  # what the readers of formats raise at bytes that make no sense
    ValueError, OSError, EOFError, KeyError, TypeError, struct.error, zipfile.BadZipFile,
    NotImplementedError, RuntimeError, SyntaxError, tokenize.TokenError, MemoryError,
)  # fmt: skip


class Stored(NamedTuple):
    """An array in a file: its shape, and how to get it."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]  # -> float32, of that shape


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
            raise ValueError(f"{file} has {twice[0]!r}, which another of the files has too")
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
            if not all(part and Path(part).name == part for part in names):
                raise ValueError(f"{index} is damaged: expected names of files beside it")
            return [folder / part for part in sorted(names)]
    found = sorted(file for file in folder.iterdir() if file.suffix in ENDINGS)
    if len(found) == 1:
        return found
    raise FileNotFoundError(
        f"{folder} has {len(found)} files of weights ({', '.join(ENDINGS)}); expected a single "
        f"one, or one with the name {' or '.join(FILES)}"
    )


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
            return _read_legacy(path)
    except NOT_WEIGHTS as error:
        raise ValueError(f"{path} is damaged, or holds no weights: {_line(error)}") from error
    raise ValueError(
        f"{path} is no file of weights: it begins with {start[:8].hex(' ')}; expected safetensors, "
        ".npz, or PyTorch's .pth or .bin"
    )


def _line(error):
    return " ".join(str(error).split())[:300] or type(error).__name__


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
            arrays[name] = _in_file(path, offset, dtype, tuple(info["shape"]))
    return arrays


def _read_zip(path):
    """An .npz, or a file of PyTorch 1.6 or newer: a pickle, and a file for each storage."""
    _expect_small_directory(path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if not pickles:
            return _read_npz(path, archive)
        root = pickles[0].removesuffix("data.pkl")
        if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
            raise ValueError("it is compressed, which PyTorch's files are not")
        order = members.get(f"{root}byteorder")
        if order and archive.read(order) != b"little":
            raise ValueError("its numbers are big-endian")
        with archive.open(pickles[0]) as file:
            views = _views(read_pickle(BytesIO(file.read(2**21))))
    _expect_no_more_than(path, views)
    arrays = {}
    with open(path, "rb") as file:
        for name, view in views.items():
            info = members[f"{root}data/{view.storage.key}"]
            file.seek(info.header_offset + 26)  # lengths of the name and of what is added to it
            offset = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
            arrays[name] = _view_in_file(path, offset, info.file_size, view)
    return arrays


def _expect_small_directory(path):
    """Refuse a zip file whose directory would take long to read.

    Its size stands in a record at the end of the file (APPNOTE.TXT, sections 4.3.14 and 4.3.16).
    """
    with open(path, "rb") as file:
        file.seek(-min(path.stat().st_size, 2**16 + 100), 2)
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    (size,) = struct.unpack_from("<L", tail, end + 12)
    if size == 2**32 - 1:
        (size,) = struct.unpack_from("<Q", tail, tail.rfind(b"PK\6\6", 0, end) + 40)
    if end < 0 or size > LARGEST_HEADER:
        raise ValueError(f"its directory has {size:,} bytes; expected {LARGEST_HEADER:,} at most")


def _read_npz(path, archive):
    """The arrays of an .npz, which may be compressed, but hardly more than weights can be."""
    infos = archive.infolist()
    total, actual = sum(info.file_size for info in infos), path.stat().st_size
    if total > 2 * actual + LARGEST_HEADER:
        raise ValueError(f"its {actual:,} bytes unpack to {total:,}, which weights do not")
    return {info.filename.removesuffix(".npy"): _in_npz(path, archive, info) for info in infos}


def _in_npz(path, archive, info):
    with archive.open(info) as file:
        start = BytesIO(file.read(LARGEST_NPY_HEADER))
    version = np.lib.format.read_magic(start)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0
    }  # fmt: skip
    shape, _, dtype = readers[version](start)
    size = start.tell() + math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or size != info.file_size:
        raise ValueError(
            f"{info.filename} has a header that does not fit its {info.file_size:,} bytes"
        )

    def read():
        with zipfile.ZipFile(path) as again, again.open(info.filename) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
        if dtype == np.dtype("V2"):  # how NumPy saves the bfloat16 of JAX
            return _as_float32(array.view("<u2"), "bfloat16")
        return _as_float32(array, dtype.str)

    return Stored(shape, read)


def _read_legacy(path):
    """A file of PyTorch before 1.6: five pickles, and then the storages, each after its length."""
    arrays = {}
    with open(path, "rb") as file:
        magic, _, _, root, keys = (read_pickle(file) for _ in range(5))
        if magic != LEGACY:
            raise ValueError("it is a pickle, but not one of torch.save")
        views, places = _views(root), {}
        counts = {view.storage.key: view.storage for view in views.values()}
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            size = count * _itemsize(counts[key].dtype)
            places[key] = file.tell(), size
            file.seek(size, 1)
        if file.tell() > path.stat().st_size:
            raise ValueError("it is cut off")
    _expect_no_more_than(path, views)
    for name, view in views.items():
        arrays[name] = _view_in_file(path, *places[view.storage.key], view)
    return arrays


def _views(root):
    """The tensors of a state dict, {name: View}, or of the one in a training checkpoint."""
    for key in ("state_dict", "model"):
        if isinstance(root, dict) and isinstance(root.get(key), dict):
            root = root[key]
    if not isinstance(root, dict):
        raise ValueError(
            f"it holds a {type(root).__name__}; expected a state dict, names of tensors"
        )
    return {str(name): value for name, value in root.items() if isinstance(value, View)}


def _expect_no_more_than(path, views):
    """Refuse tensors that share their numbers so often that they would fill the memory."""
    total = sum(math.prod(view.shape) * _itemsize(view.storage.dtype) for view in views.values())
    if total > path.stat().st_size:
        raise ValueError(f"its tensors have {total:,} bytes, more than the file")


def _view_in_file(path, offset, size, view):
    """The Stored array of a View, whose storage has `size` bytes at an offset of a file."""
    if size != view.storage.size * _itemsize(view.storage.dtype):
        raise ValueError(f"storage {view.storage.key[:40]} has {size:,} bytes, which does not fit")
    start = offset + view.offset * _itemsize(view.storage.dtype)
    return _in_file(path, start, view.storage.dtype, view.shape, view.strides)


def _in_file(path, offset, dtype, shape, strides=None):
    """The Stored array at an offset; the strides count numbers, and are None for rows in order."""

    def read():
        count = math.prod(shape)
        if strides and count:
            count = 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if dtype not in FLOATS:
            raise ValueError(f"it holds {dtype} numbers; expected floating-point numbers")
        kind = "uint16" if dtype == "bfloat16" else dtype
        numbers = _as_float32(np.fromfile(path, kind, count, offset=offset), dtype)
        if not strides or not count:
            return numbers.reshape(shape)
        steps = [4 * stride for stride in strides]
        return np.lib.stride_tricks.as_strided(numbers, shape, steps, writeable=False)

    return Stored(shape, read)


def _itemsize(dtype):
    """Bytes of a number."""
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _as_float32(numbers, dtype):
    """float64, float32, float16 and bfloat16, which NumPy does not know, as float32."""
    if dtype == "bfloat16":  # the upper half of a float32
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    if numbers.dtype.kind != "f":
        raise ValueError(f"it holds {numbers.dtype} numbers; expected floating-point numbers")
    return numbers.astype(np.float32, copy=False)
