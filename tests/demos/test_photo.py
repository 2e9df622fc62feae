import re

import cv2
import numpy as np
import pytest

import minivit
from demos import photo
from minivit import pretrained
from minivit.checks.numeric import random_params


def save(path, **changes):
    """A small network of random parameters, in timm's layout."""
    sizes = dict(
        image_size=16, patch_size=4, channels=3, dim=12, depth=2, heads=3, mlp_dim=10, classes=5,
        pool="cls", activation="gelu_exact",
    )  # fmt: skip
    model = minivit.ViT(**sizes | changes)
    params = random_params(model, np.random.default_rng(0)).astype(np.float32)
    pretrained.save(model, params, path, layout="timm")


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("net.safetensors")
    pixels = np.random.default_rng(1).integers(0, 256, (30, 50, 3)).astype(np.uint8)
    cv2.imwrite("picture.png", pixels)


SAID = ["--heads", "3", "--eps", "1e-6", "--pool", "cls"]


def run(*options):
    return photo.main(["net.safetensors", "picture.png", *SAID, *options])


def test_draws_a_photo_in_its_own_proportions_and_says_what_is_there(capsys):
    assert run("--image-size", "32") == 0
    printed = capsys.readouterr()
    assert "2 blocks of width 12, 3 heads" in printed.out
    assert "picture.png: 24 x 40 pixels, 6 x 10 patches of 4" in printed.out
    assert re.search(r"Three principal components hold \d+\.\d%, \d+\.\d%, \d+\.\d%", printed.out)
    assert printed.out.splitlines()[-1].endswith("patch_image picture.png")
    assert printed.err == "Written: look.jpg\n"
    assert cv2.imread("look.jpg").std() > 20


def test_the_patches_asked_for_are_compared(capsys):
    options = "--image-size 32 --token 5 1 --other 0 7 --out a.png"
    assert run(*options.split()) == 0
    assert "Patches (5, 1) and (0, 7), row and column" in capsys.readouterr().out
    assert cv2.imread("a.png").std() > 20


def test_a_network_without_class_token(capsys):
    save("net.safetensors", pool="mean")
    assert run("--image-size", "32", "--pool", "mean") == 0
    assert "The network has no class token, so there is no attention" in capsys.readouterr().out


@pytest.mark.parametrize(
    "shape, side, expected",
    [
        ((600, 600), None, (588, 588)),
        ((300, 451), None, (476, 714)),
        ((500, 340), None, (714, 490)),
        ((4000, 400), 28, (84, 14)),
        ((200, 100), 100, (140, 70)),
    ],
)
def test_the_size_has_whole_patches_and_the_photos_proportions(shape, side, expected):
    assert photo.image_size((*shape, 3), 14, side) == expected


@pytest.mark.parametrize(
    "options, message",
    [
        (["--token", "9", "0", "--image-size", "32"], "there is no patch (9, 0)"),
        (["--image-size", "7"], "--image-size 7 is less than two patches of 4 pixels"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(capsys, options, message):
    assert run(*options) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("photo: ") and message in printed
    assert len(printed.splitlines()) == 1


def test_missing_files_and_grey_networks_are_refused(capsys):
    assert photo.main(["nowhere.safetensors", "picture.png"]) == 2
    assert "nowhere.safetensors" in capsys.readouterr().err
    assert photo.main(["net.safetensors", "nowhere.png"]) == 2
    assert "there is no image nowhere.png" in capsys.readouterr().err
    save("net.safetensors", channels=1)
    assert run() == 2
    assert (
        "net.safetensors reads images (H, W, 1); expected a network for photos"
        in capsys.readouterr().err
    )


def test_a_file_of_another_kind_is_refused_before_the_work(capsys):
    with pytest.raises(SystemExit):
        run("--out", "look.gif")
    assert "expected a name ending in .jpg or .png, got look.gif" in capsys.readouterr().err


def test_a_photo_that_is_nearly_a_line_is_refused():
    with pytest.raises(ValueError, match="4001 x 400 pixels; expected sides of 1 to 10 at most"):
        photo.image_size((4001, 400), 14)
