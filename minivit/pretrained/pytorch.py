"""PyTorch's .pth and .bin: a pickle that describes tensors, and their numbers."""

import math
import struct
import zipfile
from io import BytesIO

from .pickles import LARGEST, View, read_pickle
from .stored import in_file, itemsize

LEGACY = 0x1950A86A20F9469CFC6C  # what files older than PyTorch 1.6 begin with


def read_archive(path, archive, root):
    """The arrays of a file of PyTorch 1.6 or newer: `root` has a pickle and a file a storage."""
    members = {info.filename: info for info in archive.infolist()}
    if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
        raise ValueError("it is compressed, which PyTorch's files are not")
    order = members.get(f"{root}byteorder")
    if order and archive.read(order) != b"little":
        raise ValueError("its numbers are big-endian")
    with archive.open(f"{root}data.pkl") as file:
        views = _views(read_pickle(BytesIO(file.read(2 * LARGEST))))
    _expect_no_more_than(path, views)
    arrays = {}
    with open(path, "rb") as file:
        for name, view in views.items():
            info = members[f"{root}data/{view.storage.key}"]
            file.seek(info.header_offset + 26)  # lengths of the name and of what is added to it
            offset = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
            arrays[name] = _view_in_file(path, offset, info.file_size, view)
    return arrays


def read_legacy(path):
    """A file of PyTorch before 1.6: five pickles, and then the storages, each after its length."""
    arrays = {}
    with open(path, "rb") as file:
        magic, _, _, root, keys = (read_pickle(file) for _ in range(5))
        if magic != LEGACY:
            raise ValueError("it is a pickle, but not one of torch.save")
        views, places = _views(root), {}
        counts = {view.storage.key: view.storage for view in views.values()}
        for key in keys:
            if type(key) is not str:
                raise ValueError("the names of its storages are no texts")
            (count,) = struct.unpack("<q", file.read(8))
            size = count * itemsize(counts[key].dtype)
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
    total = sum(math.prod(view.shape) * itemsize(view.storage.dtype) for view in views.values())
    if total > path.stat().st_size:
        raise ValueError(f"its tensors have {total:,} bytes, more than the file")


def _view_in_file(path, offset, size, view):
    """The Stored array of a View, whose storage has `size` bytes at an offset of a file."""
    if size != view.storage.size * itemsize(view.storage.dtype):
        raise ValueError(f"storage {view.storage.key[:40]} has {size:,} bytes, which does not fit")
    start = offset + view.offset * itemsize(view.storage.dtype)
    return in_file(path, start, view.storage.dtype, view.shape, view.strides)
