"""A wheel, built and installed elsewhere, works without the repository."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_a_wheel_installed_elsewhere_loads_mnist(tmp_path):
    source = tmp_path / "source"  # a copy, as building leaves files behind
    shutil.copytree(ROOT / "minivit", source / "minivit")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("minivit-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", wheel], check=True)
    code = (
        "import minivit, minivit.training, minivit.study.figures, minivit.checks.faults; "
        "assert minivit.checks.faults.faults(); "
        "data = minivit.load_digits(); "
        "print(minivit.__file__, data.train.images.shape, data.test.labels[:3])"
    )
    printed = subprocess.run(
        [python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert str(tmp_path) in printed
    assert "(60000, 28, 28) [7 2 1]" in printed
    files = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True
    ).stdout
    assert "minivit/data/mnist/README.md" in files
    assert "minivit/data/mnist/MD5SUMS" in files
    for name in ("page.html", "page.css", "page.js", "terms.js"):
        assert f"minivit/study/explorer/{name}" in files
    assert "LICENSE" in files
    assert "tests/" not in files
