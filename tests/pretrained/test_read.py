"""The formats of weights: what each library writes is read, and nothing else."""

import json
import struct
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from minivit.pretrained.read import read_checkpoint
from tests.hostile.weights import tensor

RNG = np.random.default_rng(0)
ARRAYS = {
    "a.weight": RNG.standard_normal((5, 3), np.float32),
    "b": RNG.standard_normal((2, 1, 7), np.float32),
    "one": RNG.standard_normal((), np.float32),
    "none": np.zeros((0, 3), np.float32),
}


def read(path):
    stored, configs = read_checkpoint(path)
    arrays = {name: array.read() for name, array in stored.items()}
    assert {name: array.shape for name, array in stored.items()} == {
        name: array.shape for name, array in arrays.items()
    }
    assert all(array.dtype == np.float32 for array in arrays.values())
    return arrays, configs


def expect(path, expected=ARRAYS):
    arrays, _ = read(path)
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(save, tmp_path):
    save(tmp_path / "weights.npz", **ARRAYS)
    expect(tmp_path / "weights.npz")


def test_npz_in_columns_and_in_other_precisions(tmp_path):
    half = ARRAYS["b"].astype(np.float16)
    upper = (ARRAYS["b"].view(np.uint32) >> 16).astype(np.uint16)  # bfloat16, as JAX saves it
    changed = {
        "columns": np.asfortranarray(ARRAYS["a.weight"]), "half": half,
        "bfloat16": upper.view("V2"), "big": ARRAYS["b"].astype(">f8"),
    }  # fmt: skip
    np.savez(tmp_path / "weights.npz", **changed)
    bfloat16 = (upper.astype(np.uint32) << 16).view(np.float32)
    expected = {
        "columns": ARRAYS["a.weight"], "half": half.astype(np.float32), "bfloat16": bfloat16,
        "big": ARRAYS["b"],
    }  # fmt: skip
    expect(tmp_path / "weights.npz", expected)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before PyTorch 1.6"])
@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_pytorch(legacy, wrap, tmp_path):
    torch = pytest.importorskip("torch")
    state = {name: torch.tensor(array) for name, array in ARRAYS.items()}
    state["column"] = torch.tensor(ARRAYS["a.weight"]).T  # the same numbers in another order
    state["part"] = state["b"][:, :, 2:5]
    state["parameter"] = torch.nn.Parameter(torch.tensor(ARRAYS["b"]).to(torch.bfloat16))
    module = torch.nn.Linear(3, 5).state_dict()  # an OrderedDict with a version
    module.update(state)
    whole = module if wrap is None else {wrap: module, "epoch": 3, "lr": 0.1, "best": [1, None]}
    torch.save(whole, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    expected = {name: value.detach().float().numpy() for name, value in module.items()}
    expect(tmp_path / "w.pth", expected)


def test_safetensors(tmp_path):
    safetensors.numpy.save_file(ARRAYS, tmp_path / "w.safetensors", {"format": "pt"})
    expect(tmp_path / "w.safetensors")
    names = {f"{number:03}": np.ones(1, np.float32) for number in range(60)}
    for count in range(30, 60):  # the header's length may begin with any byte
        some = dict(list(names.items())[:count])
        safetensors.numpy.save_file(some, tmp_path / "w.safetensors")
        expect(tmp_path / "w.safetensors", some)


@pytest.mark.parametrize("name", ["model.safetensors", "weights.npz", "pytorch_model.bin", "a.pth"])
def test_a_folder_and_the_files_beside_the_weights(name, tmp_path):
    if name.endswith("npz"):
        np.savez(tmp_path / name, **ARRAYS)
    else:
        safetensors.numpy.save_file(ARRAYS, tmp_path / name)
    (tmp_path / "config.json").write_text('{"a": 1}')
    (tmp_path / "README.md").write_text("…")
    for path in (tmp_path, tmp_path / name):
        expect(path)
        assert read(path)[1] == {"config.json": {"a": 1}}


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_parts_are_put_together(name, tmp_path):
    parts = {"a.weight": "1.safetensors", "b": "2.safetensors", "one": "1.safetensors"}
    for part in set(parts.values()):
        arrays = {key: ARRAYS[key] for key, place in parts.items() if place == part}
        safetensors.numpy.save_file(arrays, tmp_path / part)
    (tmp_path / f"{name}.index.json").write_text(json.dumps({"weight_map": parts}))
    expect(tmp_path, {key: ARRAYS[key] for key in parts})
    safetensors.numpy.save_file({"b": ARRAYS["b"]}, tmp_path / "1.safetensors")
    with pytest.raises(ValueError, match="has 'b', which another of the files has too"):
        read(tmp_path)


def test_a_folder_must_have_one_network(tmp_path):
    with pytest.raises(FileNotFoundError, match="has 0 files of weights"):
        read(tmp_path)
    for name in ("a.pth", "b.npz"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="has 2 files of weights"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no file .*nothing"):
        read(tmp_path / "nothing")


def test_pytorchs_archive_has_any_name_inside(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"b": torch.tensor(ARRAYS["b"])}, tmp_path / "first.pth")
    with (
        zipfile.ZipFile(tmp_path / "first.pth") as first,
        zipfile.ZipFile(tmp_path / "second.bin", "w") as second,
    ):
        for info in first.infolist():
            name = info.filename.partition("/")[2]
            second.writestr(f"archive/{name}", first.read(info))
    expect(tmp_path / "second.bin", {"b": ARRAYS["b"]})


def test_no_memory_behind_a_file_that_ends_early_is_shown(tmp_path):
    """A storage that claims more than the file has; another member makes the file large enough."""
    size = 4_000_000
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as file:
        file.writestr("w/spare", bytes(4 * size))
        file.writestr("w/data.pkl", tensor((size,), (1,), 0, size))
        file.writestr("w/data/0", b"1234")
    data = bytearray((tmp_path / "w.pth").read_bytes())
    entry = data.rindex(b"PK\1\2") + 20  # compressed and plain size
    data[entry : entry + 8] = struct.pack("<LL", 4 * size, 4 * size)
    (tmp_path / "w.pth").write_bytes(data)
    stored, _ = read_checkpoint(tmp_path / "w.pth")
    with pytest.raises(ValueError, match="it ends after .* of its 4,000,000 numbers"):
        stored["a"].read()
