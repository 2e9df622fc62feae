import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from minivit.data import images as module
from minivit.data.framing import Framing
from minivit.data.images import load_image, load_pixels, resize
from tests.data.pictures import NOISE, OPTIONS, RGB, saved
from tests.data.server import serving


def read(tmp_path, data):
    (tmp_path / "image").write_bytes(data)
    return load_image(tmp_path / "image")


def encoded(ending, pixels):
    return cv2.imencode(ending, pixels)[1].tobytes()


GREY16 = np.linspace(0, 65535, 240).astype(np.uint16).reshape(12, 20)
GREY = (GREY16 // 257).astype(np.uint8)
NOISE16 = np.random.default_rng(0).integers(0, 65536, (12, 20, 3)).astype(np.uint16)
PALETTE = Image.fromarray(RGB).quantize(4)
ALPHA = np.broadcast_to(np.array([0, 51, 255], np.uint8)[np.arange(20) % 3], (12, 20))
RGBA = np.dstack([RGB, ALPHA])
BGR_51 = np.dstack([RGB[..., ::-1], np.full((12, 20), 51, np.uint8)])
GREY_102 = Image.fromarray(np.dstack([GREY, np.full_like(GREY, 102)]), "LA")
COLOUR, BLACK_WHITE = RGB / 255, (GREY > 128)[:, :, None]
ON_WHITE = COLOUR * ALPHA[..., None] / 255 + 1 - ALPHA[..., None] / 255
CORNER_WHITE = COLOUR.copy()
CORNER_WHITE[:6, :10] = 1


@pytest.mark.parametrize(
    "data, expected, off",
    [
        (saved(RGB, "PNG"), COLOUR, 0),
        (saved(RGB, "BMP"), COLOUR, 0),
        (saved(RGB, "TIFF"), COLOUR, 0),
        (saved(RGB, "TIFF", compression="tiff_lzw"), COLOUR, 0),
        (saved(Image.fromarray(RGB).convert("RGBX"), "TIFF"), COLOUR, 0),
        (saved(RGB, "TIFF", save_all=True, append_images=[PALETTE]), COLOUR, 0),
        (saved(RGB, "WEBP", lossless=True), COLOUR, 0),
        (saved(RGB, "WEBP", quality=95), COLOUR, 0.4),
        (saved(RGB, "JPEG", quality=98, subsampling=0), COLOUR, 0.05),
        (saved(RGB, "JPEG", quality=98, subsampling=0, progressive=True), COLOUR, 0.05),
        (saved(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=98), COLOUR, 0.3),
        (saved(PALETTE, "PNG"), COLOUR, 0),
        (saved(PALETTE, "BMP"), COLOUR, 0),
        (saved(PALETTE, "TIFF"), COLOUR, 0),
        (saved(GREY, "PNG"), GREY[:, :, None] / 255, 0),
        (saved(GREY, "JPEG", quality=100), GREY[:, :, None] / 255, 0.02),
        (saved(GREY16, "PNG"), GREY16[:, :, None] / 65535, 0),
        (saved(GREY16, "TIFF"), GREY16[:, :, None] / 65535, 0),
        (encoded(".png", NOISE16), NOISE16[..., ::-1] / 65535, 1 / 255),
        (encoded(".tiff", NOISE16), NOISE16[..., ::-1] / 65535, 1 / 255),
        (saved(Image.fromarray(GREY > 128), "PNG"), BLACK_WHITE, 0),
        (saved(Image.fromarray(GREY > 128), "TIFF"), BLACK_WHITE, 0),
        (saved(RGBA, "PNG"), ON_WHITE, 0),
        (saved(RGBA, "TIFF"), ON_WHITE, 0),
        (saved(RGBA, "WEBP", lossless=True), ON_WHITE, 0),
        (encoded(".png", BGR_51.astype(np.uint16) * 257), COLOUR * 0.2 + 0.8, 0),
        (encoded(".tiff", BGR_51.astype(np.uint16) * 257), COLOUR * 0.2 + 0.8, 0),
        (saved(PALETTE, "PNG", transparency=PALETTE.getpixel((0, 0))), CORNER_WHITE, 0),
        (saved(RGB, "PNG", transparency=(250, 20, 30)), CORNER_WHITE, 0),
        (saved(GREY, "PNG", transparency=0), np.where(GREY, GREY, 255)[:, :, None] / 255, 0),
        (saved(GREY_102, "PNG"), GREY[:, :, None] / 255 * 0.4 + 0.6, 0),
        (saved(GREY_102, "TIFF"), GREY[:, :, None] / 255 * 0.4 + 0.6, 0),
    ],
    ids=lambda value: None,
)
def test_every_kind_is_read_as_rgb_on_white(tmp_path, data, expected, off):
    image = read(tmp_path, data)
    assert (image.dtype, image.shape) == (np.float32, (12, 20, 3))
    assert image.flags.c_contiguous
    np.testing.assert_allclose(image, np.broadcast_to(expected, image.shape), atol=off + 1e-6)


STORED = {  # how EXIF (CIPA DC-008, table 6) says that an upright image lies in the file
    1: RGB,
    2: RGB[:, ::-1],
    3: RGB[::-1, ::-1],
    4: RGB[::-1],
    5: RGB.swapaxes(0, 1),
    6: np.rot90(RGB),
    7: RGB[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(RGB, -1),
    9: RGB,  # no such orientation: left as it is
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "16 bits"])
@pytest.mark.parametrize("orientation", STORED)
def test_the_orientation_of_the_camera_is_honoured(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    stored, upright = STORED[orientation].copy(), RGB
    if kind == "16 bits":
        kind, stored, upright = "PNG", stored[..., 0].astype(np.uint16) * 257, RGB[..., [0, 0, 0]]
    options = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}}.get(kind, {})
    image = read(tmp_path, saved(stored, kind, exif=exif, **options))
    assert image.shape == RGB.shape
    corners = np.s_[[2, 2, -3], [2, -3, 2]]
    np.testing.assert_allclose(image[corners], upright[corners] / 255, atol=0.06)


def test_metadata_without_sense_does_not_spoil_an_image(tmp_path):
    jpeg = saved(NOISE, "JPEG")
    turn = struct.pack("<HHII", 0x112, 3, 1, 6)
    software = struct.pack("<HHIf", 0x131, 11, 1, 0.5)  # a number where a text belongs
    odd = b"II*\0\x08\0\0\0\2\0" + turn + software + bytes(4)
    for metadata, turns in (
        (b"II*\0", 0),
        (b"nonsense", 0),
        (b"II*\0" + b"\xff" * 30, 0),
        (odd, 3),
    ):
        segment = b"\xff\xe1" + struct.pack(">H", len(metadata) + 8) + b"Exif\0\0" + metadata
        image = read(tmp_path, jpeg[:2] + segment + jpeg[2:])
        np.testing.assert_array_equal(image, np.rot90(read(tmp_path, jpeg), turns))
    planar = struct.pack("<HHI", 284, 3, 1), struct.pack("<HHI", 284, 3, 2**20)  # beyond the end
    image = read(tmp_path, saved(NOISE, "TIFF").replace(*planar))
    np.testing.assert_allclose(image, NOISE / 255, atol=1e-6)


@pytest.mark.parametrize("kind", OPTIONS)
def test_no_damage_leads_to_any_other_error(tmp_path, kind):
    whole, rng = saved(NOISE[:20, :20], kind, **OPTIONS[kind]), np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 300), 3):
            data[place] = rng.integers(256)
        try:
            image = read(tmp_path, bytes(data))
        except ValueError as error:
            assert str(tmp_path) in str(error)
        else:
            assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize(
    "limit, most, error",
    [("MOST_BYTES", len(saved(RGB, "BMP")), OSError), ("MOST_PIXELS", 240, ValueError)],
)
def test_an_image_at_a_limit(tmp_path, monkeypatch, limit, most, error):
    monkeypatch.setattr(module, limit, most)
    assert read(tmp_path, saved(RGB, "BMP")).shape == RGB.shape
    monkeypatch.setattr(module, limit, most - 1)
    with pytest.raises(error, match=f"{most - 1} "):
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
        ((4096, 8193), "at most 33,554,432 pixels, got 4096 x 8193"),
    ],
)
def test_a_size_that_no_picture_is_brought_to_is_refused_before_it_is_read(size, message):
    with pytest.raises(ValueError, match=message):
        load_pixels("nowhere.png", *size)


def test_want_of_memory_is_an_error_in_one_line(tmp_path, monkeypatch):
    def fail(*_, **__):
        cv2.blur(np.zeros((4, 4)), (0, 0))  # any error that is OpenCV's own

    def full(_):
        raise MemoryError

    monkeypatch.setattr(cv2, "resize", fail)
    with pytest.raises(ValueError, match="OpenCV cannot resize to 3 x 4: .*; try something sm"):
        resize(np.zeros((9, 9), np.float32), 3, 4)
    monkeypatch.setattr(Image.Image, "has_transparency_data", property(full))
    with pytest.raises(ValueError, match="image needs more memory than is free"):
        read(tmp_path, saved(RGB, "PNG"))


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
