"""The package: what its files say agrees, and a wheel works without the repository."""

import configparser
import inspect
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import minivit

ROOT = Path(__file__).parent.parent


def test_setup_names_every_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    files = [path for top in ("minivit", "demos") for path in (ROOT / top).rglob("*.py")]
    folders = [path.parent for path in files if path.parent.name != "notebooks"]  # no modules
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    packages = {re.sub("^demos", "minivit.demos", name) for name in names}
    assert config["options"]["packages"].split() == sorted(packages)


def test_every_page_names_the_same_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {minivit.__version__}\n" in citation
    assert re.findall(r"^## \[(\d.*?)\]", changes, re.MULTILINE)[0] == minivit.__version__


@pytest.mark.parametrize("name", minivit.__all__)
def test_every_public_signature_is_annotated(name):
    public = getattr(minivit, name)
    functions = [public]
    if inspect.isclass(public):
        methods = inspect.getmembers(public, callable)
        functions = [public.__init__, *(method for key, method in methods if key[0] != "_")]
    for function in functions:
        signature = inspect.signature(function)
        untyped = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.annotation is parameter.empty and parameter.name != "self"
        ]
        assert not untyped, f"{function.__qualname__} does not type {', '.join(untyped)}"
        assert signature.return_annotation is not signature.empty, function.__qualname__


@pytest.mark.slow
@pytest.mark.thorough
def test_a_wheel_installed_elsewhere_brings_all_that_a_clone_has(tmp_path):
    source = tmp_path / "source"  # a copy, as building leaves files behind
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("minivit", "demos"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("minivit_command.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("minivit-*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert {
        "minivit/py.typed",
        "minivit/data/mnist/README.md",
        "minivit/data/mnist/t10k-labels-idx1-ubyte.gz",
        "minivit/demos/samples/five-photo.jpg",
    } < set(files)
    assert f"minivit-{minivit.__version__}.dist-info/licenses/LICENSE" in files
    assert not [file for file in files if file.startswith(("tests/", "demos/"))]

    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    install = [programs / "python", "-m", "pip", "install", "-q", wheel]
    subprocess.run(install, check=True)
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(program, *arguments):
        command = [programs / program, *arguments]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        pipes = dict(capture_output=True, text=True, cwd=empty, env=environment)
        done = subprocess.run(command, **pipes)
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = (
        "import minivit; data = minivit.load_digits(); from minivit.checks.faults import faults; "
        "print(minivit.__file__, data.train.images.shape, data.test.labels[:3], len(faults()) > 9)"
    )
    printed = run("python", "-c", code)
    assert str(tmp_path) in printed
    assert "(60000, 28, 28) [7 2 1] True" in printed

    demos = [line.split()[0] for line in run("minivit").splitlines() if "  " in line]
    assert {"benchmark", "check_gradients", "explore", "train_mnist"} < set(demos)
    assert "All right: linear\n" in run("minivit", "check_gradients", "--layer", "linear")
    small = ["--depth", "1", "--dim", "16", "--mlp-dim", "16", "--shards", "2"]
    printed = run("minivit", "train-mnist", "--epochs", "1", *small)
    assert "Test accuracy" in printed
    assert f": {programs / 'minivit'} " in printed  # what to try next
    assert (empty / "runs" / "mnist" / "weights.safetensors").is_file()
    assert "explorer.html" in run("minivit", "explore", "--no-browser")
    assert (empty / "runs" / "mnist" / "explorer.html").stat().st_size > 10_000


def test_published_weights_are_loaded_when_they_are_first_asked_for():
    code = (
        "import sys, minivit; early = 'minivit.pretrained' in sys.modules; "
        "print(early, minivit.pretrained.load.__name__)"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert printed.stdout == "False load\n"
    with pytest.raises(AttributeError, match="'minivit' has no attribute 'pretraind'"):
        _ = minivit.pretraind
