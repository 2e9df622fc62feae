import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import minivit
from demos import evaluate, predict, train_images, train_mnist
from demos.options import status
from minivit.backend import (
    array_module,
    beside,
    cuda,
    device_of,
    floats,
    to_device,
    usable_device,
    use_gpu,
)
from tests.stand_in import installed

ROOT = Path(__file__).parent.parent


def test_the_cpu_needs_nothing():
    array = np.arange(3.0)
    assert array_module(array) is np
    assert device_of(array) == usable_device("cpu") == "cpu"
    assert to_device(array, "cpu") is array
    assert beside(array, np.zeros(())) is array
    params = minivit.Params({"w": array})
    assert params.to("cpu") is params
    assert floats(np.float32(0.5), 2, np.array(3)) == [0.5, 2.0, 3.0]
    assert {type(number) for number in floats(np.float32(0.5), 2, np.array(3))} == {float}


@pytest.mark.parametrize("device", ["gpu", "cuda:0", "auto", None])
def test_refuses_other_devices(device):
    with pytest.raises(ValueError, match='a device is "cpu" or "cuda", got'):
        minivit.Params({"w": np.arange(3.0)}).to(device)


def test_a_model_and_its_images_are_in_one_place(device):
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=3
    )
    params = minivit.Params(model.init(np.random.default_rng(0))).to(device)
    images = np.zeros((2, 4, 4, 1), np.float32)
    if device == "cuda":
        with pytest.raises(TypeError, match="images are on cpu, the parameters on cuda; move one"):
            model.forward(params, images)
    logits, cache = model.forward(params, beside(images, params.flat))
    assert device_of(logits) == device
    with pytest.raises(ValueError, match="label 3 is out of range"):
        minivit.cross_entropy(logits, [0, 3])
    loss, dlogits = minivit.cross_entropy(logits, [0, 2])
    model.backward(params, dlogits, cache, params.zeros_like())
    assert floats(loss) == [pytest.approx(np.log(3))]


def test_params_go_there_and_back(device):
    params = minivit.Params({"w": np.arange(6.0).reshape(2, 3), "b": np.ones(3)})
    there = params.to(device)
    assert device_of(there["w"]) == device_of(there.flat) == device
    there.require_views("parameter")
    there["w"][...] = 7
    there["b"] += 1
    back = there.to("cpu")
    np.testing.assert_array_equal(back.flat, [7] * 6 + [2] * 3)
    assert (back is params) == (device == "cpu")
    assert there.to(device) is there
    assert usable_device(device) == device
    assert usable_device("auto") in {device, "cuda"}


def test_ranks_take_turns_at_the_gpus():
    with installed() as cupy:
        cupy.cuda.runtime.getDeviceCount = lambda: 3
        used = [(use_gpu(number), cupy.used)[1] for number in range(5)]
    assert used == [0, 1, 2, 0, 1]


def not_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cupy", None)


def broken(monkeypatch, tmp_path, text="raise ImportError('libcudart.so.13\\n is missing')"):
    (tmp_path / "cupy.py").write_text(text)
    monkeypatch.setitem(sys.modules, "cupy", None)  # so that afterwards it is as it was
    del sys.modules["cupy"]
    monkeypatch.syspath_prepend(tmp_path)


def without_a_part(monkeypatch, tmp_path):
    broken(monkeypatch, tmp_path, "import nothing_of_that_name")


def too_old(monkeypatch, tmp_path):
    text = "__version__ = '13.6.0'\nclass ndarray: pass"
    broken(monkeypatch, tmp_path, text)


def failing(text):
    def there(monkeypatch, tmp_path):
        def ones(*_):
            raise RuntimeError(text)

        module = types.SimpleNamespace(ones=ones, ndarray=type("ndarray", (), {"mT": 0}))
        monkeypatch.setitem(sys.modules, "cupy", module)

    return there


no_driver = failing(
    "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"
)
CASES = [
    (
        not_installed,
        ImportError,
        "CuPy, which is not installed: pip install .cupy-cuda13x",
    ),
    (without_a_part, ImportError, "cannot be imported: No module named 'nothing_of_that_name'"),
    (too_old, ImportError, "cuda needs CuPy 14 or newer, not 13.6.0: pip install"),
    (broken, ImportError, "CuPy, which cannot be imported: libcudart.so.13 is missing"),
    (no_driver, OSError, "cuda cannot be used: there is no NVIDIA driver, or it is too old"),
    (failing("cudaErrorNoDevice: no CUDA-capable device"), OSError, "a driver but no GPU"),
    (failing("libnvrtc\nis missing"), OSError, "cuda cannot be used: libnvrtc is missing$"),
]


@pytest.mark.parametrize("there, error, message", CASES)
def test_says_what_is_missing(monkeypatch, tmp_path, there, error, message):
    there(monkeypatch, tmp_path)
    with pytest.raises(error, match=message):
        cuda()
    with pytest.raises(error, match=message):
        usable_device("cuda")
    with pytest.raises(error, match=message):
        minivit.Params({"w": np.arange(3.0)}).to("cuda")
    assert usable_device("auto") == "cpu"


DEMOS = {
    train_mnist: [],
    train_images: ["photos"],
    predict: ["runs/mnist", "digit.png"],
    evaluate: ["runs/mnist"],
}


@pytest.mark.parametrize("there, text", [(not_installed, "pip install"), (no_driver, "driver")])
@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.__name__)
def test_a_demo_without_a_gpu_ends_in_one_line(monkeypatch, tmp_path, capsys, demo, there, text):
    monkeypatch.chdir(tmp_path)
    there(monkeypatch, tmp_path)
    assert demo.main([*DEMOS[demo], "--device", "cuda"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    name = demo.__name__.removeprefix("demos.")
    assert printed.err.startswith(f"{name}: cuda ") and text in printed.err
    assert not list(tmp_path.iterdir())


def test_what_cupy_itself_raises_ends_a_demo_in_one_line(capsys):
    class CUDARuntimeError(RuntimeError):
        __module__ = "cupy_backends.cuda.api.runtime"

    def work(error):
        raise error

    assert status("train", work, CUDARuntimeError("cudaErrorLaunchFailure")) == 2
    assert capsys.readouterr().err == "train: cudaErrorLaunchFailure\n"
    with pytest.raises(RuntimeError, match="a bug"):
        status("train", work, RuntimeError("a bug"))


def test_an_optimizer_and_its_gradients_are_in_one_place():
    with installed():
        params = minivit.Params({"w": np.ones((2, 3))})
        optimizer = minivit.SGD(params.to("cuda"), 0.1)
        with pytest.raises(ValueError, match="gradients are on cpu, the parameters on cuda"):
            optimizer.step(params.zeros_like())


def test_cupy_without_a_gpu_ends_in_one_line(tmp_path):
    cupy = pytest.importorskip("cupy")
    if cupy.is_available():
        pytest.skip("there is a GPU")
    command = [sys.executable, "-m", "demos.train_mnist", "--device", "cuda"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("train_mnist: cuda cannot be used: there is no NVIDIA driver")
    assert done.stderr.count("\n") == 1
