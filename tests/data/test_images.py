import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from minivit.data import images as module
from minivit.data.images import load_image, load_pixels
from minivit.data.resize import resize
from tests.data.pictures import NOISE, OPTIONS, RGB, saved
from tests.data.server import serving


def read(tmp_path, data, name="image"):
    (tmp_path / name).write_bytes(data)
    return load_image(tmp_path / name)


GREY16 = np.linspace(0, 65535, 240).astype(np.uint16).reshape(12, 20)
GREY = (GREY16 // 257).astype(np.uint8)
PALETTE = Image.fromarray(RGB).quantize(4)


@pytest.mark.parametrize(
    "data, expected, off",
    [
        (saved(RGB, "PNG"), RGB / 255, 0),
        (saved(RGB, "BMP"), RGB / 255, 0),
        (saved(RGB, "TIFF"), RGB / 255, 0),
        (saved(RGB, "TIFF", compression="tiff_lzw"), RGB / 255, 0),
        (saved(RGB, "WEBP", lossless=True), RGB / 255, 0),
        (saved(RGB, "WEBP", quality=95), RGB / 255, 0.4),
        (saved(RGB, "JPEG", quality=98, subsampling=0), RGB / 255, 0.05),
        (saved(RGB, "JPEG", quality=98, subsampling=0, progressive=True), RGB / 255, 0.05),
        (saved(PALETTE, "PNG"), RGB / 255, 0),
        (saved(PALETTE, "BMP"), RGB / 255, 0),
        (saved(PALETTE, "TIFF"), RGB / 255, 0),
        (saved(GREY, "PNG"), GREY[:, :, None] / 255, 0),
        (saved(GREY, "JPEG", quality=100), GREY[:, :, None] / 255, 0.02),
        (saved(GREY16, "PNG"), GREY16[:, :, None] / 65535, 0),
        (saved(GREY16, "TIFF"), GREY16[:, :, None] / 65535, 0),
        (saved(Image.fromarray(GREY > 128), "PNG"), (GREY > 128)[:, :, None], 0),
        (saved(Image.fromarray(GREY > 128), "TIFF"), (GREY > 128)[:, :, None], 0),
        (saved(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=98), RGB / 255, 0.3),
        (cv2.imencode(".png", RGB.astype(np.uint16) * 257)[1].tobytes(), RGB[..., ::-1] / 255, 0),
    ],
    ids=lambda value: None,
)
def test_every_kind_is_read_as_rgb(tmp_path, data, expected, off):
    image = read(tmp_path, data)
    assert (image.dtype, image.shape) == (np.float32, (12, 20, 3))
    assert image.flags.c_contiguous
    np.testing.assert_allclose(image, np.broadcast_to(expected, image.shape), atol=off + 1e-6)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_what_is_transparent_shows_white(tmp_path, kind):
    alpha = np.array([0, 51, 255], np.uint8)[np.arange(20) % 3]
    rgba = np.dstack([RGB, np.broadcast_to(alpha, (12, 20))])
    image = read(tmp_path, saved(rgba, kind, **({"lossless": True} if kind == "WEBP" else {})))
    share, rounding = alpha[:, None] / 255, 0.5 / 255
    np.testing.assert_allclose(image, RGB / 255 * share + 1 - share, atol=rounding)


def test_transparency_in_16_bit(tmp_path):
    bgra = np.dstack([RGB[..., ::-1], np.full((12, 20), 51, np.uint8)]).astype(np.uint16) * 257
    for kind in (".png", ".tiff"):
        image = read(tmp_path, cv2.imencode(kind, bgra)[1].tobytes())
        np.testing.assert_allclose(image, RGB / 255 * 0.2 + 0.8, atol=1e-6)


def test_a_transparent_palette_and_grey_with_alpha(tmp_path):
    image = read(tmp_path, saved(PALETTE, "PNG", transparency=PALETTE.getpixel((0, 0))))
    np.testing.assert_array_equal(image[:6, :10], 1)
    np.testing.assert_allclose(image[6:, :10], RGB[6:, :10] / 255, atol=1e-6)
    grey = np.dstack([GREY, np.full_like(GREY, 102)])
    image = read(tmp_path, saved(Image.fromarray(grey, "LA"), "PNG"))
    np.testing.assert_allclose(image[:, :, 0], GREY / 255 * 0.4 + 0.6, atol=1e-6)


def bmp(masks, header, alpha):
    """A BMP of 32 bit (BITFIELDS), its header as long as asked for, with these masks."""
    pixels = np.dstack([RGB[::-1, :, ::-1], np.full((12, 20), alpha, np.uint8)]).tobytes()
    sizes = struct.pack("<iiHHIIiiII", 20, 12, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    fields = struct.pack(f"<{len(masks)}I", *masks).ljust(header - 40, b"\0")
    start = 18 + len(sizes) + len(fields)
    head = struct.pack("<IHHII", start + len(pixels), 0, 0, start, header)
    return b"BM" + head + sizes + fields + pixels


@pytest.mark.parametrize("header", [40, 56, 108, 124])
def test_the_fourth_byte_of_a_bmp_is_alpha_only_by_its_mask(tmp_path, header):
    colours = [0xFF0000, 0xFF00, 0xFF]
    image = read(tmp_path, bmp(colours, header, alpha=0))
    np.testing.assert_allclose(image, RGB / 255, atol=1e-6)
    if header > 40:
        image = read(tmp_path, bmp([*colours, 0xFF000000], header, alpha=51))
        np.testing.assert_allclose(image, RGB / 255 * 0.2 + 0.8, atol=1e-6)


def test_the_alpha_of_a_grey_tiff_is_passed_over(tmp_path):
    grey = Image.fromarray(np.dstack([GREY, np.full_like(GREY, 102)]), "LA")
    image = read(tmp_path, saved(grey, "TIFF"))
    np.testing.assert_allclose(image[:, :, 0], GREY / 255, atol=1e-6)


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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_the_orientation_of_the_camera_is_honoured(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    options = {"PNG": {}, "TIFF": {}, "JPEG": {"quality": 98}, "WEBP": {"lossless": True}}[kind]
    image = read(tmp_path, saved(STORED[orientation].copy(), kind, exif=exif, **options))
    np.testing.assert_allclose(image[[2, 2, -3], [2, -3, 2]], RGB[[2, 2, -3], [2, -3, 2]] / 255,
                               atol=0.06)  # fmt: skip
    assert image.shape == RGB.shape
    assert image.flags.c_contiguous


def test_a_size_that_reads_as_a_new_line(tmp_path):
    data = saved(RGB, "WEBP", lossless=True)
    data += b"EXIF" + struct.pack("<I", 2) + b"\0\0"
    data += b"JUNK" + struct.pack("<I", wanted := (10 - len(data)) % 256) + bytes(wanted)
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    assert data[4] == ord("\n")
    assert read(tmp_path, data).shape == RGB.shape


def test_the_first_page_of_several(tmp_path):
    pages = [Image.fromarray(RGB), Image.fromarray(GREY)]
    image = read(tmp_path, saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    np.testing.assert_allclose(image, RGB / 255, atol=1e-6)


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


def test_metadata_without_sense_does_not_spoil_an_image(tmp_path):
    for metadata in (b"Exif\0\0II*\0", b"Exif\0\0nonsense", b"Exif\0\0II*\0" + b"\xff" * 30):
        segment = b"\xff\xe1" + struct.pack(">H", len(metadata) + 2) + metadata
        jpeg = saved(NOISE, "JPEG")
        data = jpeg[:2] + segment + jpeg[2:]
        np.testing.assert_array_equal(read(tmp_path, data), read(tmp_path, jpeg))


def test_a_file_of_too_many_bytes(tmp_path, monkeypatch):
    data = saved(NOISE, "BMP")
    monkeypatch.setattr(module, "MOST_BYTES", len(data) - 1)
    with pytest.raises(OSError, match=f"is larger than {len(data) - 1:,} bytes"):
        read(tmp_path, data)
    monkeypatch.setattr(module, "MOST_BYTES", len(data))
    assert read(tmp_path, data).shape == NOISE.shape


def test_an_image_at_the_limit_of_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_PIXELS", 240)
    assert read(tmp_path, saved(RGB, "PNG")).shape == RGB.shape
    monkeypatch.setattr(module, "MOST_PIXELS", 239)
    with pytest.raises(ValueError, match="has more than 239 pixels"):
        read(tmp_path, saved(RGB, "PNG"))


def test_images_from_the_web(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serving({"/a.png": saved(RGB, "PNG")}) as web:
        np.testing.assert_allclose(load_image(f"{web}/a.png"), RGB / 255, atol=1e-6)
        np.testing.assert_allclose(load_image(f"HTTP{web[4:]}/a.png"), RGB / 255, atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (40, 80), (3, 90), (1, 1)])
def test_the_middle_of_a_picture_is_read_at_a_size_and_not_stretched(tmp_path, shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    picture = np.stack([x * 2, y * 2, 0 * x + 77], axis=-1).astype(np.uint8)
    pixels = load_pixels(saved_at(tmp_path / "a.png", picture), 4, 8)
    assert (pixels.shape, pixels.dtype) == ((4, 8, 3), np.uint8)
    share = min(shape[0] / 4, shape[1] / 8)  # pixels of the picture to one of the model
    for channel, (side, sides) in {0: (shape[1], 8), 1: (shape[0], 4)}.items():
        middles = (side - 1) / 2 + share * (np.arange(sides) - (sides - 1) / 2)
        found = pixels[..., channel].mean(axis=1 - (channel == 0)) / 2
        np.testing.assert_allclose(found, middles.clip(0, side - 1), atol=0.8)
    assert (pixels[..., 2] == 77).all()


def saved_at(path, rgb):
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


@pytest.mark.parametrize("call", ["imdecode", "cvtColor", "resize"])
def test_what_opencv_raises_is_told_by_name(tmp_path, monkeypatch, call):
    def fail(*_, **__):
        cv2.blur(np.zeros((4, 4)), (0, 0))  # any error that is OpenCV's own

    path = saved_at(tmp_path / "a.png", RGB)
    monkeypatch.setattr(cv2, call, fail)
    with pytest.raises(ValueError, match="is too much for OpenCV: .*; try something smaller"):
        resize(load_image(path), 3, 3)


def test_the_web_and_files_are_told_apart_by_the_whole_scheme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http-notes.png").write_bytes(saved(RGB, "PNG"))
    assert load_image("http-notes.png").shape == RGB.shape
