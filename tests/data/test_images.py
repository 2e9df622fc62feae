import cv2
import numpy as np
import pytest
from PIL import Image

from minivit.data import images as module
from minivit.data.framing import Framing
from minivit.data.images import load_image, load_pixels, resize
from tests.data.pictures import RGB, saved
from tests.data.server import serving


def read(tmp_path, data):
    (tmp_path / "image").write_bytes(data)
    return load_image(tmp_path / "image")


def test_a_file_at_the_limit(tmp_path, monkeypatch):
    most = len(saved(RGB, "BMP"))
    monkeypatch.setattr(module, "MOST_BYTES", most)
    assert read(tmp_path, saved(RGB, "BMP")).shape == RGB.shape
    monkeypatch.setattr(module, "MOST_BYTES", most - 1)
    with pytest.raises(OSError, match=f"{most - 1} "):
        read(tmp_path, saved(RGB, "BMP"))


def test_images_from_the_web(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.chdir(tmp_path)
    with serving({"/a.png": saved(RGB, "PNG")}) as web:
        np.testing.assert_allclose(load_image(f"{web}/a.png"), RGB / 255, atol=1e-6)
        np.testing.assert_allclose(load_image(f"HTTP{web[4:]}/a.png"), RGB / 255, atol=1e-6)
    (tmp_path / "http-notes.png").write_bytes(saved(RGB, "PNG"))
    assert load_image("http-notes.png").shape == RGB.shape  # a file


@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (40, 80), (3, 90), (1, 1)])
def test_the_middle_of_a_picture_is_read_at_a_size_and_not_stretched(tmp_path, shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    picture = np.stack([x * 2, y * 2, 0 * x + 77], axis=-1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    pixels = load_pixels(tmp_path / "a.png", 4, 8)
    assert (pixels.shape, pixels.dtype) == ((4, 8, 3), np.uint8)
    share = min(shape[0] / 4, shape[1] / 8)  # pixels of the picture to one of the model
    for channel, (side, sides) in {0: (shape[1], 8), 1: (shape[0], 4)}.items():
        middles = (side - 1) / 2 + share * (np.arange(sides) - (sides - 1) / 2)
        means = pixels[..., channel].mean(axis=1 - (channel == 0)) / 2
        np.testing.assert_allclose(means, middles.clip(0, side - 1), atol=0.8)
    assert (pixels[..., 2] == 77).all()
    grey = load_pixels(tmp_path / "a.png", 4, 8, channels=1)
    assert (grey.shape, grey.dtype) == ((4, 8, 1), np.uint8)
    np.testing.assert_allclose(grey[..., 0], pixels @ [0.299, 0.587, 0.114], atol=0.6)


def test_of_an_odd_margin_the_larger_half_is_at_the_end(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 4, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_pixels(tmp_path / "a.png", 4, 4), picture[1:5])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(97, 61), (61, 97), (13, 11)])
@pytest.mark.parametrize("crop, rows, columns", [(1.0, 31, 23), (31 / 41, 41, 30), (0.7, 44, 32)])
def test_published_models_are_shown_what_pillow_resizes_and_cuts(
    tmp_path, interpolation, shape, crop, rows, columns
):
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8))
    picture.save(tmp_path / "a.png")
    for squash in (False, True):
        framing = Framing(crop, squash, interpolation)
        pixels = load_pixels(tmp_path / "a.png", 31, 23, framing=framing)
        H, W = (rows, columns) if squash else expected_whole(*shape, rows, columns)
        kind = Image.Resampling[interpolation.upper()]
        top, left = round((H - 31) / 2), round((W - 23) / 2)
        resized = picture.resize((W, H), kind)
        expected = resized.crop((left, top, left + 23, top + 31))
        np.testing.assert_array_equal(pixels, np.asarray(expected))
        assert pixels.base is None  # it keeps no larger picture in memory
        grey = load_pixels(tmp_path / "a.png", 31, 23, 1, framing)
        assert grey.shape == (31, 23, 1)
        np.testing.assert_allclose(grey[..., 0], pixels @ [0.299, 0.587, 0.114], atol=0.6)


def expected_whole(H, W, rows, columns):
    """The smallest size with the proportions H x W that covers rows x columns."""
    scale = max(rows / H, columns / W)
    return int(H * scale + 1e-6), int(W * scale + 1e-6)


def test_a_part_of_a_picture_is_averaged_over_areas(tmp_path):
    y, x = np.mgrid[:40, :60]
    picture = np.stack([x * 4, y * 4, 0 * x], axis=-1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    for framing, h, w in [
        (Framing(0.5), 20, 20),
        (Framing(squash=True), 40, 60),
        (Framing(0.5, squash=True), 20, 30),
    ]:
        pixels = load_pixels(tmp_path / "a.png", 10, 10, framing=framing)
        columns = 30 - w / 2 + w / 10 * (np.arange(10) + 0.5) - 0.5
        rows = 20 - h / 2 + h / 10 * (np.arange(10) + 0.5) - 0.5
        np.testing.assert_allclose(pixels[..., 0], np.tile(4 * columns, (10, 1)), atol=0.6)
        np.testing.assert_allclose(pixels[..., 1], np.tile(4 * rows[:, None], (1, 10)), atol=0.6)


def test_a_stripe_that_would_become_too_large_is_refused(tmp_path):
    Image.new("RGB", (1, 9000)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="resize: .*, got 639000 x 71; ask for less"):
        load_pixels(tmp_path / "a.png", 64, 64, framing=Framing(0.9, interpolation="bicubic"))
    assert load_pixels(tmp_path / "a.png", 64, 64).shape == (64, 64, 3)


@pytest.mark.parametrize(
    "size, message",
    [
        ((4, 8, 2), "with 1 channel or with 3, got 2"),
        ((0, 3), "at least 1, got 0 x 3"),
        ((4096, 8193), "at most 26,214,400 pixels, got 4096 x 8193"),
    ],
)
def test_a_size_that_no_picture_is_brought_to_is_refused_before_it_is_read(size, message):
    with pytest.raises(ValueError, match=message):
        load_pixels("nowhere.png", *size)


def test_want_of_memory_is_an_error_in_one_line(monkeypatch):
    def fail(*_, **__):
        cv2.blur(np.zeros((4, 4)), (0, 0))  # any error that is OpenCV's own

    monkeypatch.setattr(cv2, "resize", fail)
    with pytest.raises(ValueError, match="OpenCV cannot resize to 3 x 4: .*; try something sm"):
        resize(np.zeros((9, 9), np.float32), 3, 4)


def test_an_axis_that_shrinks_is_averaged():
    image = np.random.default_rng(0).random((12, 20, 3), np.float32)
    expected = image.reshape(4, 3, 5, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, 4, 5), expected, atol=1e-6)
    np.testing.assert_allclose(resize(image[:, :, 0], 4, 5), expected[:, :, 0], atol=1e-6)


def test_an_axis_that_grows_is_smooth_and_stays_in_range():
    step = np.repeat(np.float32([0, 1]), 4)[None].repeat(8, axis=0)
    wider = resize(step, 4, 24)
    assert wider.shape == (4, 24)
    assert (wider.min(), wider.max()) == (0, 1)  # no overshoot is left
    assert len(np.unique(wider[0, 9:15])) >= 4
    assert resize(step[:, :, None], 3, 9).shape == (3, 9, 1)
    np.testing.assert_array_equal(resize(step, 8, 8), step)
