"""The stand-in for CuPy keeps CuPy's rules; where CuPy is installed, the rules are compared to it.

Expressions are written out as text, so that the same ones run on the stand-in and on the real one.
"""

import dataclasses
import itertools
import sys
import types
import warnings

import numpy as np
import pytest

from .stand_in import Counts, installed
from .stand_in.calculation import UFUNCS
from .stand_in.device import NAMES, ndarray
from .stand_in.names import names

# Refused before the device is asked: the real CuPy says so without a GPU too.
REFUSED = [
    ("np.asarray(x)", TypeError, "Implicit conversion to a NumPy array is not allowed"),
    ("write(x, ..., host)", ValueError, "non-scalar numpy.ndarray cannot be used for fill"),
    ("write(x, slice(2), [1, 2])", ValueError, "non-scalar numpy.ndarray cannot be used for fill"),
    ("write(x, slice(2), 'a')", ValueError, "could not convert string to float"),
    ("x.fill(x)", ValueError, "non-scalar cupy.ndarray cannot be used for fill"),
    ("x @ host.T", TypeError, "Argument 'b' has incorrect type"),
    ("host.T @ x", TypeError, "Argument 'a' has incorrect type"),
    ("cupy.matmul(x, host.T)", TypeError, "got numpy.ndarray)"),
    ("cupy.matmul(x, x.T, out=host)", TypeError, "`out` must be a tuple or `cupy.ndarray`"),
    ("cupy.matmul(x)", TypeError, "'b'"),
    ("cupy.matmul(x, x.T, x, x)", TypeError, ""),
    ("x.sum(out=host)", TypeError, "Argument 'out' has incorrect type"),
    ("cupy.stack([x, host])", TypeError, "Argument 'a' has incorrect type"),
    ("cupy.split(host, 2)", TypeError, "Argument 'ary' has incorrect type"),
    ("cupy.broadcast_to(host, (2, 4, 5))", TypeError, "Argument 'array' has incorrect type"),
    ("cupy.nonzero(host)", TypeError, "'a' must be a cupy.ndarray object, not <class 'numpy"),
    ("cupy.any(host)", TypeError, "'a' must be a cupy.ndarray object, not <class 'numpy"),
    ("cupy.where(True, x, x)", AttributeError, "'bool' object has no attribute 'astype'"),
    ("cupy.where(x, x)", ValueError, "Must provide both 'x' and 'y' or neither."),
    ("cupy.exp(x, where=x > 0)", TypeError, "Wrong arguments {'where':"),
    ("cupy.add(x, x, order='C')", TypeError, "Wrong arguments {'order': 'C'}"),
    ("cupy.exp()", TypeError, "Wrong number of arguments for 'cupy_exp'. It must be either 1 or 2"),
    ("cupy.exp(x, x, out=x)", ValueError, "Cannot specify 'out' as both"),
    ("cupy.add(x, x, out=(x, x))", ValueError, "The 'out' tuple must have exactly one entry"),
    ("x.sum(where=x)", TypeError, "sum() got an unexpected keyword argument 'where'"),
    ("x.sum(initial=0)", TypeError, "sum() got an unexpected keyword argument 'initial'"),
    ("np.mean(x, where=x)", TypeError, "mean() got an unexpected keyword argument 'where'"),
    ("x.reshape(shape=(20,))", TypeError, "reshape() got an unexpected keyword argument 'shape'"),
    ("x.item(0)", TypeError, "item() takes"),
    ("cupy.full(3)", TypeError, "full() missing 1 required positional argument: 'fill_value'"),
    ("cupy.concatenate([x], out=None, foo=1)", TypeError, "unexpected keyword argument 'foo'"),
    ("cupy.exp.nosuch", AttributeError, "no attribute 'nosuch'"),
    ("cupy.nosuch", AttributeError, "module 'cupy' has no attribute 'nosuch'"),
    ("x.itemset", AttributeError, "'ndarray' object has no attribute 'itemset'"),
    ("setattr(x, 'note', 1)", AttributeError, "'ndarray' object has no attribute 'note'"),
    ("x.astype(object)", ValueError, "Unsupported dtype object"),
    ("cupy.zeros(2, 'U1')", ValueError, "Unsupported dtype <U1"),
    ("cupy.array(['a'])", ValueError, "Unsupported dtype <U1"),
    ("x.astype('f8', casting='safe')", TypeError, "casting is not supported yet"),
    ("x.astype('f8', subok=True)", TypeError, "subok is not supported yet"),
    ("x.set(host.astype('f8'))", TypeError, "float64 array cannot be set to float32 array"),
    ("x.set(host[:, 1:])", ValueError, "Shape mismatch. Old shape: (4, 5), new shape: (4, 4)"),
    ("x.set([1])", TypeError, "Only numpy.ndarray can be set to cupy.ndarray"),
    ("x[4]", IndexError, "out of bounds for axis 0 with size 4"),
    ("x[0, 0, 0]", IndexError, "too many indices for array: array is 2-dimensional, but 3 were"),
    ("x['a']", ValueError, "invalid literal for int() with base 10: 'a'"),
    ("bool(x)", ValueError, "The truth value of an array with more than one element is ambiguous."),
    ("bool(x[:0])", DeprecationWarning, "The truth value of an empty array is ambiguous."),
    ("x.item()", ValueError, "can only convert an array of size 1 to a Python scalar"),
    ("len(x[0, 0])", TypeError, "len() of unsized object"),
    ("iter(x[0, 0])", TypeError, "iteration over a 0-d array"),
    ("hash(x)", TypeError, "unhashable type: 'ndarray'"),
    ("x[0].mT", ValueError, "matrix transpose with ndim < 2 is undefined"),
    ("x.reshape(3, 3)", ValueError, "cannot reshape array of size 20 into shape (3"),
]
# Refused too, but the real CuPy asks for the device first.
REFUSED_ON_DEVICE = [
    ("x + host", TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    ("host + x", TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    ("x == host", TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    ("x.__iadd__(host)", TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    ("host.__iadd__(x)", TypeError, ""),
    ("np.maximum(x, host)", TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    ("cupy.exp(host)", TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    ("cupy.exp(x, out=host)", TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    ("cupy.concatenate([x, host])", TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    ("np.concatenate([host, x])", TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    ("cupy.where(x > 0, x, host)", TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    ("x + None", TypeError, ""),
    ("cupy.concatenate([x[0, 0]])", TypeError, "zero-dimensional arrays cannot be concatenated"),
    ("cupy.matmul(x, x.T, out=cupy.empty((2, 4, 4), 'f4'))", ValueError, "an invalid size"),
    ("x + [1] * 5", TypeError, ""),
    ("x.astype('i8').__itruediv__(2)", TypeError, ""),
    ("cupy.asarray(np.ones(2, 'u1')) + 300", OverflowError, "out of bounds for uint8"),
    ("x[x]", IndexError, "arrays used as indices must be of integer or boolean type."),
]
# What is free: (expression, what it is)
FREE = [
    ("x.T.base is x and x.mT.base is x and x.T.T.base is x", True),
    ("x.reshape(-1).base is x and x.reshape(4, 5) is not x", True),
    ("x[1:].reshape(3, 5, 1).base is x and x[..., None, ::2].base is x", True),
    ("x.transpose(1, 0).base is x and x.swapaxes(0, 1).base is x and x.ravel().base is x", True),
    ("cupy.broadcast_to(x, (3, 4, 5)).base is x and cupy.expand_dims(x, 0).base is x", True),
    ("all(part.base is x for part in cupy.split(x, 5, axis=1))", True),
    ("cupy.split(x, 1)[0] is x and x.squeeze() is x and x.real is x", True),
    ("all(row.base is x for row in x) and [*x][0].shape", (5,)),
    ("np.transpose(x).base is x", True),
    ("(row := x[0]).T is row", True),
    ("x[:0].reshape(5, 0).base is x", True),
    ("x.base, x.flags.owndata, x.T.flags.owndata", (None, True, False)),
    ("x.T.flags.c_contiguous, x.T.flags.f_contiguous", (False, True)),
    ("len(x), x.ndim, x.size, x.nbytes, x.itemsize, x.strides", (4, 2, 20, 80, 4, (20, 4))),
    ("x[0, 0].shape, type(x[0, 0]) is cupy.ndarray", ((), True)),
    ("x[1.5].shape", (5,)),
    ("cupy.broadcast_to(x[0], (3, 5)).strides", (0, 4)),
    ("issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)", True),
    ("str(cupy.cuda.memory.OutOfMemoryError(5000, 3000, 4000))", "Out of memory allocating 5,000 "
     "bytes (allocated so far: 3,000 bytes, limit set to: 4,000 bytes)."),
    ("str(cupy.cuda.runtime.CUDARuntimeError(100))", "cudaErrorNoDevice: "
     "no CUDA-capable device is detected"),
    ("cupy.cuda.runtime.CUDARuntimeError(35).status", 35),
    ("cupy.sum(host), cupy.asnumpy(host) is host", (20.0, True)),
]  # fmt: skip
COSTS = [
    ("cupy.asarray(host)", Counts(bytes_in=80)),
    ("x.set(host)", Counts(bytes_in=80)),
    ("x.get()", Counts(synchronisations=1, bytes_out=80)),
    ("x.T.get()", Counts(synchronisations=1, bytes_out=80)),
    ("cupy.asnumpy(x)", Counts(synchronisations=1, bytes_out=80)),
    ("x.tolist()", Counts(synchronisations=1, bytes_out=80)),
    ("repr(x)", Counts(synchronisations=1, bytes_out=80)),
    ("f'{x[0]}'", Counts(synchronisations=1, bytes_out=20)),
    ("float(x[0, 0])", Counts(synchronisations=1, bytes_out=4)),
    ("int(x[0, 0])", Counts(synchronisations=1, bytes_out=4)),
    ("x[0, 0].item()", Counts(synchronisations=1, bytes_out=4)),
    ("bool(x.any())", Counts(synchronisations=1, bytes_out=1)),
    ("x[cupy.asarray(np.array([0, 1]))]", Counts(bytes_in=16)),
    ("x[:, [0, 1]]", Counts(bytes_in=16)),
    ("x[[0, 1], np.array([2, 3])]", Counts(bytes_in=32)),
    ("write(x, ([0, 1], [2, 3]), host[0, :2])", Counts(bytes_in=40)),
    ("write(x, [0, 1], 1.0)", Counts(bytes_in=16)),
    ("x[x > 0]", Counts(synchronisations=1, bytes_out=4)),
    ("x[:, cupy.asarray(host[0] > 0)]",
     Counts(synchronisations=1, bytes_in=5, bytes_out=4)),
    ("x.nonzero()", Counts(synchronisations=1, bytes_out=4)),
    ("cupy.concatenate([x[0]] * 9)", Counts(bytes_in=8 * 9)),
    ("cupy.concatenate([x[0]] * 9 + [x[0, :2]])", Counts(bytes_in=8 * 10 * 3)),
]  # fmt: skip
SAME_NUMBERS = [
    "+x, -x, abs(x), x + x, x - x[0], x * 3, x / 2, x ** 2, 1 / (x + 1), 2.5 - x, 2 ** x",
    "x < 3, x <= x, x == x, x != 1, x > x.mean(), x >= 2, x.astype(bool) & (x > 2)",
    "xp.exp(x), xp.log(x), xp.sqrt(x), xp.tanh(x), xp.sin(x), xp.cos(x), np.exp(x), np.add(x, 1)",
    "xp.minimum(1.0, x), xp.maximum(x, 1e-7), xp.isfinite(x), xp.divide(x, 3), np.float64(2) * x",
    "x.sum(), x.sum(axis=0), x.mean(axis=(0, 1), keepdims=True), xp.sum(x, axis=1), np.sum(x)",
    "x.max(axis=-1), x.min(), x.argmax(axis=1), x.any(), (x >= 0).all(axis=0), x.prod(axis=0)",
    "x.astype('c16'), x.copy(), x.flatten(), x.T.ravel(), x.reshape(2, -1), xp.transpose(x)",
    "x[1], x[1, 2], x[:, ::2], x[..., None], x[[0, 2]], x[[0, 2], [1, 3]], x[x > 3], x[[]]",
    "xp.concatenate([x, x], axis=1), xp.stack([x, x]), *xp.split(x, 2), xp.tile(x, (2, 1))",
    "xp.repeat(x, 2, axis=1), xp.broadcast_to(x[0], (3, 5)), xp.where(x > 2, x, 0), *xp.nonzero(x)",
    "xp.ones(3, x.dtype), xp.zeros((2, 3)), xp.full(2, 7), xp.arange(4), xp.arange(1, 2, 0.25)",
    "xp.asarray([1.5, 2]), xp.take(x, xp.asarray([1, 0]), axis=1), x.real, x.imag, xp.empty(0)",
]


def namespace(cupy, x, stack=None):
    """What an expression may name; x is (4, 5) and stack (2, 4, 5), both float32."""
    names = dict(cupy=cupy, np=np, host=np.ones((4, 5), np.float32), write=type(x).__setitem__)
    return names | dict(x=x, stack=stack)


@pytest.fixture
def cupy():
    with installed() as module:
        yield module


@pytest.fixture
def stand_in(cupy):
    numbers = np.arange(20, dtype=np.float32).reshape(4, 5)
    return namespace(cupy, cupy.asarray(numbers), cupy.asarray(np.stack([numbers, numbers])))


def refuse(where, expression, error, words):
    with pytest.raises(error) as caught:
        eval(expression, where)
    assert words.lower() in str(caught.value).lower()


@pytest.mark.parametrize(("expression", "error", "words"), REFUSED + REFUSED_ON_DEVICE)
def test_it_refuses_what_cupy_refuses(stand_in, expression, error, words):
    before = stand_in["x"].get()
    refuse(stand_in, expression, error, words)
    np.testing.assert_array_equal(stand_in["x"].get(), before)


@pytest.mark.parametrize(("expression", "expected"), FREE)
def test_views_and_what_the_host_knows_are_free(stand_in, expression, expected):
    before = stand_in["cupy"].counts.copy()
    assert eval(expression, stand_in) == expected
    assert stand_in["cupy"].counts - before == Counts()


@pytest.mark.parametrize(("expression", "expected"), COSTS)
def test_waits_and_bytes_are_counted(stand_in, expression, expected):
    before = stand_in["cupy"].counts.copy()
    eval(expression, stand_in)
    spent = stand_in["cupy"].counts - before
    assert dataclasses.replace(spent, calls=0) == expected


@pytest.mark.parametrize("expressions", SAME_NUMBERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int64", "uint8"])
def test_numbers_are_those_of_numpy(cupy, expressions, dtype):
    numbers = np.arange(20).reshape(4, 5).astype(dtype)
    with np.errstate(all="ignore"):
        expected = eval(f"[{expressions}]", dict(np=np, xp=np, x=numbers))
        results = eval(f"[{expressions}]", dict(np=np, xp=cupy, x=cupy.asarray(numbers)))
    for result, wanted in zip(results, expected, strict=True):
        assert type(result) is cupy.ndarray
        assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(result.get(), wanted)


@pytest.mark.parametrize("expression", ["x @ x.T", "x[0] @ x[1]", "x @ x[0]", "xp.matmul(x.T, x)"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_products_are_those_of_numpy(cupy, expression, dtype):
    numbers = np.arange(20).reshape(4, 5).astype(dtype)
    result = eval(expression, dict(xp=cupy, x=cupy.asarray(numbers)))
    expected = eval(expression, dict(xp=np, x=numbers))
    assert (type(result), result.dtype) == (cupy.ndarray, expected.dtype)
    np.testing.assert_array_equal(result.get(), expected)


def test_indices_in_arrays_wrap_around(stand_in):
    x = stand_in["x"]
    np.testing.assert_array_equal(x[[4, -6, 9]].get(), x.get()[[0, 2, 1]])
    np.testing.assert_array_equal(x.take([7], axis=1).get(), x.get()[:, [2]])
    np.testing.assert_array_equal(x[..., [7]].get(), x.get()[:, [2]])
    np.testing.assert_array_equal(x[None, [5]].get(), x.get()[None, [1]])
    stack, mask = stand_in["stack"], stand_in["stack"][..., 0] >= 0
    np.testing.assert_array_equal(stack[mask, [7]].get(), stack.get()[:, :, 2].reshape(-1))
    x[[5], [-7]] = -1.0
    assert float(x[1, 3]) == -1.0


def test_in_place_operators_write_into_the_array_itself(stand_in):
    x = row = stand_in["x"]
    expected = x.get() * 3
    x *= 3
    assert x is row
    first = x[0]
    first += x[1]
    expected[0] += expected[1]
    np.testing.assert_array_equal(x.get(), expected)


def test_results_are_in_c_order_whatever_the_order_of_the_arguments(stand_in):
    x = stand_in["x"]
    assert (x.T + 1).flags.c_contiguous and x.T.copy().flags.c_contiguous
    assert x.T.astype("f8").flags.f_contiguous


def test_a_view_of_an_axis_repeated_can_be_written_to(stand_in):
    x = stand_in["x"]
    stand_in["cupy"].broadcast_to(x[0], (3, 5))[1, 2] = -1.0
    assert float(x[0, 2]) == -1.0


def test_what_is_sent_and_fetched_is_copied(cupy):
    host = np.zeros(3)
    device = cupy.asarray(host)
    host[0] = 1
    device.get()[1] = 1
    assert device.tolist() == [0, 0, 0]


def test_memory_can_be_made_to_run_out(cupy):
    cupy.counts.memory_limit = 100
    cupy.zeros(25, np.float32)
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError, match="Out of memory allocating 104 by"):
        cupy.empty(26, np.float32)
    with pytest.raises(MemoryError):
        cupy.zeros(25, np.float32).astype(np.float64)


def test_each_stand_in_counts_anew_and_leaves_what_was_there(monkeypatch):
    real = types.ModuleType("cupy")
    monkeypatch.setitem(sys.modules, "cupy", real)
    with installed() as first:
        first.counts.memory_limit = 1
        first.ones(0)
        assert sys.modules["cupy"] is first
        first.counts.calls = 7
    with installed() as second:
        assert second.counts == Counts() and second.counts.memory_limit > 1
    assert sys.modules["cupy"] is real
    monkeypatch.delitem(sys.modules, "cupy")
    with installed():
        pass
    assert "cupy" not in sys.modules


def test_a_machine_without_a_gpu_can_be_played(cupy):
    assert cupy.is_available() and cupy.cuda.is_available()
    assert cupy.cuda.runtime.getDeviceCount() == 1

    def none():
        raise cupy.cuda.runtime.CUDARuntimeError(100)

    cupy.cuda.runtime.getDeviceCount = none
    assert not cupy.is_available() and not cupy.cuda.is_available()


@pytest.mark.parametrize(
    "expression",
    ["cupy.fft", "cupy.sort", "cupy.modf", "cupy.cuda.Stream", "x.sort", "x.__dlpack__",
     "cupy.add.reduce", "x.get(order='F')", "cupy.ones(3, order='F')", "np.linalg.norm(x)",
     "cupy.asarray([x, x])", "cupy.asarray(x, copy=False)", "cupy.logical_and",
     "x.astype(int) @ x.T.astype(int)", "cupy.exp(x, _where=x > 0)"],
)  # fmt: skip
def test_what_cupy_has_and_the_stand_in_has_not_says_so(stand_in, expression):
    with pytest.raises(NotImplementedError, match="stand-in"):
        eval(expression, stand_in)


def test_it_has_no_name_that_cupy_has_not(cupy):
    module = set(NAMES["constants"] + NAMES["others"]) | NAMES["ufuncs"].keys()
    module |= NAMES["functions"].keys()
    assert {name for name in vars(cupy) if name[0] != "_"} - module == {"counts", "used"}
    array = set(NAMES["methods"]) | set(NAMES["attributes"]) | {"__getattr__", "_host"}
    assert set(vars(ndarray)) - array <= {"__getattr__", "__module__", "__doc__", "__hash__"}


@pytest.fixture(scope="module")
def real():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it misses on a machine without CUDA
        cupy = pytest.importorskip("cupy")
    if cupy.__version__ != NAMES["version"]:
        pytest.skip(f"the stand-in is of CuPy {NAMES['version']}")
    # An address that nobody reads is enough for what happens before the device is asked.
    memory = cupy.cuda.UnownedMemory(1 << 20, 1 << 16, None, 0)
    return namespace(cupy, cupy.ndarray((4, 5), "f4", cupy.cuda.MemoryPointer(memory, 0)))


def test_the_real_cupy_has_these_names_and_signatures(real):
    assert names() == NAMES


# x > 0 asks for the device
@pytest.mark.parametrize(
    ("expression", "error", "words"), [case for case in REFUSED if "x >" not in case[0]]
)
def test_the_real_cupy_refuses_the_same(real, expression, error, words):
    refuse(real, expression, error, words)


@pytest.mark.parametrize(("expression", "expected"), FREE)
def test_the_real_cupy_has_the_same_views(real, expression, expected):
    assert eval(expression, real) == expected


def test_the_real_cupy_promotes_types_as_numpy_does(real, cupy):
    """CuPy takes the first of its loops that the inputs can be cast to (_guess_routine)."""
    for name in UFUNCS:
        ufunc, function = getattr(real["cupy"], name), getattr(np, name)
        # E is bfloat16, which CuPy has where the package ml_dtypes is installed
        loops = [loop.split("->") for loop in ufunc.types if "E" not in loop]
        for given in itertools.product("?BlfdD", repeat=ufunc.nin):
            try:
                with np.errstate(all="ignore"):
                    expected = function(*[np.ones(1, char) for char in given]).dtype.char
            except TypeError:
                continue  # NumPy refuses what CuPy may take
            results = [out for chars, out in loops if all(map(np.can_cast, given, chars))]
            assert results[0] == expected, (name, given)
