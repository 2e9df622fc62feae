"""The backends: NumPy, a stand-in for CuPy (stand_in/), and CuPy itself where it works."""

import os
import signal
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: tests run side by side

import hypothesis
import numpy as np
import pytest

import minivit
from minivit.backend import array_module, cuda
from tests.numeric import central_differences
from tests.stand_in import installed

hypothesis.settings.register_profile("minivit", deadline=None)  # CuPy's first calls compile
hypothesis.settings.load_profile("minivit")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & ignores Ctrl-C
BACKENDS = ["numpy", "stand-in", pytest.param("cupy", marks=pytest.mark.gpu)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Before -m is looked at: leave to -m thorough what others show as well.

    On the stand-in it is enough that gradients are those of NumPy, or of PyTorch; of whole models
    the complex step is enough, without the coarser differences.
    """
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        stands_in = params.get("device") == "stand-in"
        whole = item.get_closest_marker("numeric") is not None
        differentiate = params.get("differentiate")
        coarse = differentiate is central_differences
        if (stands_in and (differentiate or whole)) or (whole and coarse):
            item.add_marker("slow")
            item.add_marker("thorough")


@pytest.fixture(params=BACKENDS)
def device(request):
    """A test that asks for it runs once on every backend; it is "cpu" or "cuda"."""
    if request.param == "numpy":
        yield "cpu"
    elif request.param == "stand-in":
        with installed():
            yield "cuda"
    else:
        try:
            cuda()
        except (ImportError, OSError) as error:
            pytest.skip(str(error))
        yield "cuda"


@pytest.fixture
def everywhere(device, monkeypatch):
    """Run every layer, the model and the loss that a test calls on each backend.

    The test keeps its NumPy arrays: what it hands to a layer is moved there, what the layer returns
    is moved back. The layers inside of it are called with arrays that are there already.
    """
    if device == "cpu":
        return
    layers = [getattr(minivit.layers, name) for name in minivit.layers.__all__]
    for layer in [*layers, minivit.ViT]:
        for name in ("forward", "backward"):
            if name in vars(layer):
                monkeypatch.setattr(layer, name, moved(getattr(layer, name)))
    monkeypatch.setattr(minivit, "cross_entropy", moved(minivit.cross_entropy))


def moved(function):
    """The function, which moves NumPy arguments to the GPU and what it returns back."""

    def there_and_back(*arguments, **options):
        if any(array_module(value) is not np for value in arguments):
            return function(*arguments, **options)
        homes = {}  # id of what is on the GPU: what it is a copy of, and itself

        def send(value):
            if isinstance(value, minivit.Params):
                return value.of(sys.modules["cupy"].asarray(value.flat))
            if not isinstance(value, np.ndarray) or value.dtype.kind not in "fc":  # labels stay
                return value
            there = sys.modules["cupy"].asarray(value)
            homes[id(there)] = value, there
            return there

        def fetch(value):
            """What has only been handed on is the NumPy array that it was."""
            if array_module(value) is np:
                return value
            return homes[id(value)][0] if id(value) in homes else value.get()

        there = mapped(send, arguments)
        results = function(*there, **options)
        if function.__name__ == "backward" and len(arguments) == 5:  # adds to its last argument
            fetch_into(arguments[-1], there[-1])
        return mapped(fetch, results)

    return there_and_back


def mapped(function, nest):
    """Nested dicts, lists and tuples with function(leaf) in place of every leaf."""
    if isinstance(nest, dict):
        return {key: mapped(function, part) for key, part in nest.items()}
    if isinstance(nest, (list, tuple)):
        return type(nest)(mapped(function, part) for part in nest)
    return function(nest)


def fetch_into(grads, there):
    """Copy gradients back into the arrays that a test handed over."""
    if isinstance(grads, minivit.Params):
        grads.flat[...] = there.flat.get()
        return
    for key, value in grads.items() if isinstance(grads, dict) else enumerate(grads):
        if isinstance(value, (dict, list)):
            fetch_into(value, there[key])
        else:
            value[...] = there[key].get()
