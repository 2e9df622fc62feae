import cv2
import numpy as np
import pytest

from demos import patch_image


@pytest.fixture
def picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("picture.png", np.full((300, 500, 3), (0, 160, 250), np.uint8))
    return "picture.png"


def test_shows_every_step_for_the_sizes_of_the_paper(picture, capsys):
    assert patch_image.main([picture]) == 0
    printed = capsys.readouterr().out
    for shape in ("(300, 500, 3)", "(1, 224, 224, 3)", "(1, 14, 14, 16, 16, 3)", "(1, 196, 768)"):
        assert shape in printed
    assert "16 · 16 · 3 = 768 numbers each" in printed
    assert printed.count("  [") == 3
    difference = float(printed.partition("largest difference ")[2].split(",")[0])
    assert 0 < difference < 1e-5
    drawn = cv2.imread("patches.png")
    blue = drawn[..., 2] < 240  # the lines between the patches, on orange
    for share in (blue.mean(axis=1), blue.mean(axis=0)):
        lines = (np.diff((share > 0.8).astype(int), prepend=0) > 0).sum()
        assert 13 <= lines <= 15  # those along the edges may be cut


def test_oblong_patches_a_norm_and_a_grid(picture, capsys):
    options = "--size 40 60 --patch-size 8 20 --dim 5 --norm --grid --out out.png"
    assert patch_image.main([picture, *options.split()]) == 0
    printed = capsys.readouterr().out
    assert "(1, 5, 3, 8, 20, 3)" in printed
    assert "projected   (1, 5, 3, 5)" in printed
    assert "x w + b, layer norm" in printed
    first = printed.partition("[")[2].partition("]")[0]
    numbers = [float(number) for number in first.split()]
    assert sum(numbers) == pytest.approx(0, abs=1e-3)
    assert len(numbers) == 5
    assert cv2.imread("out.png").std() > 5


@pytest.mark.parametrize(
    "options, message",
    [
        (["nowhere.png"], "there is no image nowhere.png"),
        (["http://127.0.0.1:1/a.png"], "http://127.0.0.1:1/a.png cannot be read"),
        (["picture.png", "--patch-size", "15"], "cannot be cut into patches of 15 x 15"),
        (["picture.png", "--dim", "0"], "must be at least 1, got 0"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(picture, capsys, options, message):
    assert patch_image.main(options) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("patch_image: ")
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
