"""Published weights that are none: pickles that would run, bombs, torn and forged files."""

import json
import os
import pickle
import struct
import zipfile

import numpy as np
import safetensors.numpy

from minivit import pretrained

from . import Row

MANY = 2**33


class Runs:
    """What a pickle may ask for: here, to write a file."""

    def __reduce__(self):
        return os.system, ("touch RAN",)


def archive(place, members, compression=zipfile.ZIP_STORED, name="w.pth"):
    path = place.folder / name
    with zipfile.ZipFile(path, "w", compression) as file:
        for member, data in members.items():
            file.writestr(member, data)
    return path


def torch_file(pickled, **storages):
    """A row's input: a file of PyTorch with this pickle."""
    members = {"w/data.pkl": pickled, **{f"w/data/{key}": data for key, data in storages.items()}}
    return lambda place: archive(place, members)


def tensor(shape=(2,), strides=(1,), offset=0, size=2, storage=b"FloatStorage", key=b"0"):
    """The pickle of {"a": tensor}."""

    def number(n):
        data = n.to_bytes(9, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data

    def numbers(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    persistent = b"(X\7\0\0\0storage" + b"ctorch\n" + storage + b"\nX\1\0\0\0" + key
    persistent += b"X\3\0\0\0cpu" + number(size) + b"tQ"
    view = persistent + number(offset) + numbers(shape) + numbers(strides) + b"\x89"
    view += b"ccollections\nOrderedDict\n)R"
    return b"\x80\2}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n(" + view + b"tRs."


def npy(header, data=b"", version=b"\1\0", length=None):
    size = struct.pack("<H" if version == b"\1\0" else "<I", length or len(header))
    return b"\x93NUMPY" + version + size + header + data


def npz(member, compression=zipfile.ZIP_STORED):
    return lambda place: archive(place, {"a.npy": member}, compression, "w.npz")


def written(data, name="w.safetensors"):
    def give(place):
        (place.folder / name).write_bytes(data)
        return place.folder / name

    return give


def header(text, length=None, data=b""):
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def bomb(place):
    """Half a gigabyte of zeros in two megabytes."""
    path = place.folder / "w.npz"
    zipped = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with zipped as file, file.open("a.npy", "w") as entry:
        entry.write(npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (134217728,), }\n"))
        for _ in range(512):
            entry.write(bytes(2**20))
    return path


def long_header(place):
    """An entry whose header alone would be four gigabytes."""
    path = place.folder / "w.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("a.npy", "w") as entry:
        entry.write(npy(b"", version=b"\2\0", length=2**32 - 1))
        for _ in range(3):
            entry.write(b" " * 2**20)
    return path


def lying_entry(place):
    """An entry that says it is small, and unpacks to more."""
    path = bomb(place)
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = data.find(signature) + at
        data[start : start + 4] = struct.pack("<L", 1000)
    path.write_bytes(data)
    return path


def many_entries(place):
    """A directory of 200,000 empty files."""
    path = place.folder / "w.npz"
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[0] * 6, 0, 0, 0, 1, *[0] * 4, 0, 0) + b"a"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central) * 200_000, len(local), 0)
    path.write_bytes(local + central * 200_000 + end)
    return path


def many_views(place):
    """Thousands of tensors that all show the same numbers."""
    one = tensor((2**20,), (1,), 0, 2**20)
    start, end = one.index(b"ctorch._utils"), one.index(b"s.")
    items = b"".join(b"X\4\0\0\0%04d" % i + one[start:end] for i in range(2000))
    return torch_file(b"\x80\2}(" + items + b"u.", **{"0": bytes(2**22)})(place)


def folder(config=None, index=None, arrays=None):
    """A row's input: a folder of Hugging Face's."""

    def give(place):
        if arrays is not None:
            safetensors.numpy.save_file(arrays, place.folder / "model.safetensors")
        if config is not None:
            (place.folder / "config.json").write_bytes(config)
        if index is not None:
            (place.folder / "model.safetensors.index.json").write_bytes(index)
        return place.folder

    return give


def torn(place):
    np.savez(place.folder / "w.npz", a=np.ones(1000, np.float32))
    data = (place.folder / "w.npz").read_bytes()
    (place.folder / "w.npz").write_bytes(data[: len(data) // 2])
    return place.folder / "w.npz"


def load_weights(path):
    try:
        pretrained.load(path)
    finally:
        assert not os.path.exists("RAN")


def nested(depth):
    return b"\x80\2}" + b")" + b"\x85" * depth + b"K\1s."


def exponential():
    """A key whose hash would take 2^60 steps."""
    return b"\x80\2})" + b"q\0h\0\x86" * 60 + b"K\1s."


def endless_name():
    """A function whose name would take 2^60 steps to say."""
    return b"\x80\4)" + b"q\0h\0\x86" * 60 + b"\x8c\1a\x93)R."


def endless_storage(place):
    """The same, as the name of a storage of PyTorch before 1.6."""
    keys = b"\x80\2])" + b"q\0h\0\x86" * 60 + b"a."
    return written(LEGACY_START + b"\x80\2}." + keys + bytes(8), "w.pth")(place)


def colliding():
    """70,000 numbers that all have the same hash."""
    numbers = ((k * (2**61 - 1)).to_bytes(11, "little") for k in range(1, 70_000))
    return b"\x80\2}(" + b"".join(b"\x8a\x0b" + number + b"N" for number in numbers) + b"u."


def many_axes():
    """100,000 tensors of as many axes each."""
    start = b"\x80\2(" + b"K\1" * 100_000 + b"tq\1ctorch._utils\n_rebuild_tensor_v2\nq\3"
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpuK\2tQ"
    return start + b"(" + storage + b"K\0h\1h\1tq\4" + b"h\3h\4R" * 100_000 + b"."


def flipped(place):
    """A compressed array, of which some bytes changed."""
    rng = np.random.default_rng(0)
    np.savez_compressed(place.folder / "w.npz", a=rng.standard_normal(3000, np.float32))
    data = bytearray((place.folder / "w.npz").read_bytes())
    data[200:260] = bytes(60)
    (place.folder / "w.npz").write_bytes(data)
    return place.folder / "w.npz"


def many_entries_of_zip64(place):
    """The same directory, whose size stands in the record of large files alone."""
    path = many_entries(place)
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    size, offset = struct.unpack_from("<LL", data, end + 12)
    large = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 0, 0, 0, 0, 200_000, 200_000, size, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    small = data[end : end + 12] + struct.pack("<LLH", 100, 0, 0)
    path.write_bytes(data[:end] + large + locator + small)
    return path


LEGACY_START = b"\x80\2\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\2M\xe9\3.\x80\2}."
ONE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
TWO = {"a": np.ones(2, np.float32)}
DAMAGED = "is damaged, or holds no weights"
ROWS = [
    Row(what, load_weights, give, message)
    for what, give, message in [
        ("a pickle that runs a command", torch_file(pickle.dumps(Runs(), 2)), "its pickle calls"),
        ("one of protocol 4", torch_file(pickle.dumps(Runs(), 4)), "its pickle calls"),
        ("one in a state dict", torch_file(pickle.dumps({"a": Runs()}, 2)), "its pickle calls"),
        ("one before PyTorch 1.6", written(pickle.dumps(Runs()), "w.pth"), "its pickle calls"),
        (
            "one after PyTorch 1.6's start",
            written(LEGACY_START + pickle.dumps(Runs(), 2), "w.pth"),
            "its pickle calls",
        ),
        ("an object that is built", torch_file(b"\x80\2cos\nsystem\n)\x81."), "NEWOBJ, which no"),
        ("an old instruction", torch_file(b"(S'touch RAN'\nios\nsystem\n."), "which no tensor"),
        ("a name alone", torch_file(b"\x80\2cos\nsystem\n."), "it holds a Name"),
        ("an extension", torch_file(b"\x80\2\x82\1."), "EXT1, which no tensor needs"),
        ("a list", torch_file(pickle.dumps([1, 2], 2)), "it holds a list"),
        ("a pickle without end", torch_file(b"\x80\2}"), DAMAGED),
        ("a pickle of nothing", torch_file(b""), DAMAGED),
        ("a pickle that pops too much", torch_file(b"\x80\2t."), "makes no sense"),
        ("a pickle that remembers nothing", torch_file(b"\x80\2h\5."), "makes no sense"),
        ("a far place in the memo", torch_file(b"\x80\2}r\xff\xff\xff\x7f0."), "which no tensor"),
        ("a key that nests deeply", torch_file(nested(500_000)), "makes no sense"),
        ("a key that hashes for ever", torch_file(exponential()), "makes no sense"),
        ("a name that never ends", torch_file(endless_name()), "makes no sense"),
        ("a storage's name that never ends", endless_storage, "are no texts"),
        ("keys that collide", torch_file(colliding()), "makes no sense"),
        ("tensors of many axes", torch_file(many_axes()), "makes no sense"),
        ("a long string", torch_file(b"\x80\2\x8d" + struct.pack("<Q", MANY)), DAMAGED),
        ("a long pickle", torch_file(b"\x80\2" + b"}" * 2**22), "has no end|exhausted"),
        ("a tensor beyond its storage", torch_file(tensor((9,))), "does not fit its 2 numbers"),
        ("a tensor of many numbers", torch_file(tensor((MANY,), (0,))), "does not fit"),
        ("a tensor before its storage", torch_file(tensor(offset=-1)), "makes no sense"),
        ("a tensor with negative strides", torch_file(tensor(strides=(-1,))), "makes no sense"),
        ("a tensor with too few strides", torch_file(tensor((2, 1), (1,))), DAMAGED),
        ("a storage that is not there", torch_file(tensor()), DAMAGED),
        ("a storage that is too small", torch_file(tensor(), **{"0": b"1234"}), "has 4 bytes"),
        ("a storage of objects", torch_file(tensor(storage=b"Tensor")), "of the type torch.Tensor"),
        ("many tensors in few numbers", many_views, "its tensors have .* bytes, more than"),
        (
            "a compressed file of PyTorch",
            lambda place: archive(place, {"w/data.pkl": tensor()}, zipfile.ZIP_DEFLATED),
            "it is compressed",
        ),
        ("a zip bomb", bomb, "bytes unpack to 536,870,9.*, which weights do not"),
        ("a zip bomb that lies", lying_entry, DAMAGED),
        ("a directory of 200,000 files", many_entries, "its directory has"),
        ("an entry that explodes at its header", long_header, DAMAGED),
        ("compressed numbers that changed", flipped, DAMAGED),
        ("200,000 files in a zip64", many_entries_of_zip64, "its directory has"),
        ("a header of Python", npz(npy(b"__import__('os').system('touch RAN')\n")), DAMAGED),
        ("a header that nests", npz(npy(b"(" * 8000)), DAMAGED),
        (
            "more numbers than there are",
            npz(npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,), }\n")),
            "has a header that does not fit",
        ),
        (
            "a negative shape",
            npz(npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -2), }\n", bytes(8))),
            DAMAGED,
        ),
        (
            "pickled objects",
            npz(npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", bytes(8))),
            "has a header that does not fit",
        ),
        ("an entry that is no array", npz(b"hello"), DAMAGED),
        ("a torn .npz", torn, DAMAGED),
        ("an empty file", written(b""), "it begins with ; expected safetensors"),
        ("a picture", written(b"\x89PNG\r\n\x1a\n" + bytes(99)), "it begins with 89 50 4e 47"),
        ("a header cut off", written(header(ONE)[:20]), DAMAGED),
        ("numbers cut off", written(header(ONE, data=bytes(5))), DAMAGED),
        ("a header that is too long", written(header(ONE, 2**62)), "its header has"),
        ("a header of 100 MB", written(header(b"{" + b" " * 10**8)), "its header has 100,000,001"),
        ("a header that is no JSON", written(header(b"{hello")), DAMAGED),
        ("a header that nests deeply", written(header(b'{"a":' + b"[" * 100_000)), DAMAGED),
        (
            "arrays that overlap",
            written(header(ONE | {"b": ONE["a"]}, data=bytes(8))),
            DAMAGED,
        ),
        (
            "a shape that does not fit",
            written(header({"a": ONE["a"] | {"shape": [MANY]}}, data=bytes(8))),
            DAMAGED,
        ),
        ("a type that nobody knows", written(header({"a": ONE["a"] | {"dtype": "?"}})), DAMAGED),
        ("names of control characters", folder(arrays={"\x1b[2J\n": TWO["a"]}), "of no layout"),
        ("names of no layout", folder(arrays=TWO), "of no layout"),
        ("a config that is no JSON", folder(b"{", arrays=TWO), "config.json is damaged"),
        ("a config that is a list", folder(b"[]", arrays=TWO), "expected a JSON object"),
        (
            "an index that leads elsewhere",
            folder(index=b'{"weight_map": {"a": "../../etc/passwd"}}'),
            "expected names of files beside it",
        ),
        (
            "an index of control characters",
            folder(index=b'{"weight_map": {"a": "b\\n\\u001b"}}'),
            "expected names of",
        ),
        (
            "an index of a long name",
            folder(index=b'{"weight_map": {"a": "' + b"a" * 10**6 + b'"}}'),
            "expected names of",
        ),
        ("an index without names", folder(index=b'{"weight_map": 3}'), "expected names of"),
        ("an index of nothing", folder(index=b'{"weight_map": {"a": ""}}'), "expected names of"),
    ]
]  # fmt: skip
