"""What a pickle of PyTorch says, without doing what it asks for.

A pickle is a program, and unpickling runs it: it may call any function of any module. Here Python's
own `pickletools` reads the program, and a machine with a stack builds dicts, lists, numbers, texts
and tensors of it. It knows no other instruction and no other name, calls nothing, and compares and
hashes nothing but short texts and numbers.
"""

import io
import pickletools
from typing import Any, NamedTuple

LARGEST = 2**20  # bytes of a pickle; that of a model with 1,000 tensors has 250,000
MOST_AXES = 8  # of a tensor
MARK = object()
CONSTANTS = {
    "NONE": None, "NEWTRUE": True, "NEWFALSE": False, "BININT": ..., "BININT1": ..., "BININT2": ...,
    "LONG1": ..., "BINFLOAT": ..., "BINUNICODE": ..., "SHORT_BINUNICODE": ...,
}  # fmt: skip
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
STORAGES = {  # of PyTorch, and what its numbers are
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip


class Name(NamedTuple):
    """A function or class that the pickle asks for."""

    module: str
    name: str

    def __str__(self):
        return f"{self.module}.{self.name}"[:80]


class Storage(NamedTuple):
    """Numbers in a row, kept elsewhere in the file."""

    dtype: str
    key: str
    size: int  # how many numbers


class View(NamedTuple):
    """A tensor: which numbers of a storage it shows."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pickle(file: io.BufferedIOBase) -> Any:
    """Return what the next pickle in a file says: dicts, lists, tuples, constants and Views.

    Errors: ValueError for anything else.
    """
    data = file.read(LARGEST)
    source = io.BytesIO(data)
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(source):
            if opcode.name == "STOP":
                file.seek(source.tell() - len(data), io.SEEK_CUR)
                return stack.pop()
            _run(opcode.name, argument, stack, memo)
    except (IndexError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"its pickle makes no sense ({type(error).__name__})") from None
    raise ValueError("its pickle has no end")


def _run(name, argument, stack, memo):
    """Carry out one instruction."""
    if name in CONSTANTS:
        stack.append(argument if CONSTANTS[name] is ... else CONSTANTS[name])
    elif name in EMPTY:
        stack.append(EMPTY[name]())
    elif name == "MARK":
        stack.append(MARK)
    elif name in ("BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name in TUPLES:
        _replace(stack, TUPLES[name], tuple)
    elif name == "TUPLE":
        stack.append(tuple(_above_mark(stack)))
    elif name == "APPEND":
        item = stack.pop()
        _last(stack, list).append(item)
    elif name == "APPENDS":
        items = _above_mark(stack)
        _last(stack, list).extend(items)
    elif name == "SETITEM":
        items = [stack.pop(), stack.pop()][::-1]
        _set(_last(stack, dict), items)
    elif name == "SETITEMS":
        items = _above_mark(stack)
        _set(_last(stack, dict), items)
    elif name == "GLOBAL":
        stack.append(Name(*argument.split(" ", 1)))
    elif name == "STACK_GLOBAL":
        _replace(stack, 2, lambda names: _name(*names))
    elif name == "REDUCE":
        _replace(stack, 2, lambda call: _call(*call))
    elif name == "BINPERSID":
        stack.append(_storage(stack.pop()))
    elif name == "BUILD":  # the state of an OrderedDict, its version number
        stack.pop()
        _last(stack, dict)
    elif name not in ("PROTO", "FRAME"):
        raise ValueError(f"its pickle has the instruction {name}, which no tensor needs")


def _above_mark(stack):
    """Take off what lies above the last mark, and the mark."""
    place = len(stack) - 1
    while stack[place] is not MARK:  # an IndexError if there is none
        place -= 1
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _replace(stack, count, make):
    """Put what `make` returns in the place of the last `count` things."""
    if len(stack) < count:
        raise IndexError
    stack[-count:] = [make(stack[-count:])]


def _last(stack, kind):
    if type(stack[-1]) is not kind:
        raise TypeError
    return stack[-1]


def _set(mapping, items):
    """Put names and values, one after the other, into a dict."""
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) is not str and not (type(key) is int and abs(key) < 2**31):
            raise TypeError  # anything else may take for ever to hash, or to find in the dict
        mapping[key] = value


def _name(module, name):
    """The Name of two texts; of nested tuples, its message would never end."""
    if type(module) is not str or type(name) is not str:
        raise TypeError
    return Name(module, name)


def _call(function, arguments):
    """What one of the four functions that tensors need would return."""
    if type(function) is not Name or type(arguments) is not tuple:
        raise TypeError
    name = str(function)
    if name == "collections.OrderedDict" and not arguments:
        return {}
    if name == "torch._utils._rebuild_tensor_v2":
        return _view(*arguments[:4])
    if name == "torch._utils._rebuild_parameter" and type(arguments[0]) is View:
        return arguments[0]
    raise ValueError(
        f"its pickle calls {name}; only tensors are read: save the state dict alone, "
        "torch.save(model.state_dict(), FILE)"
    )


def _view(storage, offset, shape, strides):
    """A View, if it lies in its storage and no number is in it twice."""
    if not len(shape) == len(strides) <= MOST_AXES:
        raise TypeError
    numbers = [offset, *shape, *strides]
    if type(storage) is not Storage or not all(type(n) is int and n >= 0 for n in numbers):
        raise TypeError
    count, last = 1, offset
    for size, stride in zip(shape, strides, strict=True):
        count, last = count * size, last + (size - 1) * stride
    if count and (last >= storage.size or count > storage.size):
        raise ValueError(f"a tensor of shape {shape!s:.80} does not fit its {storage.size} numbers")
    return View(storage, offset, tuple(shape), tuple(strides))


def _storage(name):
    """The Storage that a persistent id names: ("storage", type, key, device, count, …)."""
    word, kind, key, _, size = name[:5]
    if word != "storage" or type(kind) is not Name or type(key) is not str or type(size) is not int:
        raise TypeError
    if kind.module != "torch" or kind.name not in STORAGES:
        raise ValueError(f"it holds numbers of the type {kind}")
    return Storage(STORAGES[kind.name], key, size)
