"""What files mean is computed here from the numbers that were written, without Pillow's readers."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from minivit.data import decode as module
from minivit.data.decode import decode
from tests.data.formats import bmp, png, tiff
from tests.data.pictures import NOISE, OPTIONS, RGB, saved
from tests.hostile import limits
from tests.hostile.images import large_tile, sized

H, W = 12, 20
EXACT, ROUNDED, LOSSY = 2e-6, 2.6 / 255, 0.12  # how far off a picture may be
SAMPLES = {
    "1": 1, "L": 1, "P": 1, "I;16": 1, "I;16B": 1, "LA": 2, "La": 2, "PA": 2, "RGB": 3, "YCbCr": 3,
    "RGBA": 4, "RGBX": 4, "RGBa": 4, "CMYK": 4,
}  # fmt: skip
PACKINGS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4", "zstd", "lzma")
COLOURS = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)


def read(data):
    return decode(data, "it")


def noise(samples, bits=8):
    rng = np.random.default_rng([samples, bits])
    return rng.integers(0, 2**bits, (H, W, samples)).astype(np.uint8 if bits <= 8 else np.uint16)


def smooth(samples):
    """What a lossy format keeps."""
    y, x = np.mgrid[:H, :W]
    channels = np.stack([12 * x, 20 * y, 128 + 0 * x, 240 - 12 * x], axis=-1)
    return channels[..., :samples].astype(np.uint8)


def on_white(colour, alpha):
    return colour * alpha + 1 - alpha


def meaning(mode, values):
    """The picture (H, W, 1 or 3) of values in [0, 1], (H, W, S), by the name of Pillow's mode."""
    colours, last = values[..., :3], values[..., -1:]
    if mode in ("P", "PA"):
        colours = COLOURS[np.rint(255 * values[..., 0]).astype(int)] / 255
    if mode == "YCbCr":  # JFIF 1.02
        y, blue, red = np.moveaxis(255 * values, -1, 0) - np.array([0, 128, 128])[:, None, None]
        rgb = [y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue]
        return np.stack(rgb, axis=-1).clip(0, 255) / 255
    if mode == "CMYK":
        return (1 - colours) * (1 - last)
    if mode in ("La", "RGBa"):
        return values[..., :-1] + 1 - last
    if mode in ("LA", "RGBA"):
        return on_white(values[..., :-1], last)
    return on_white(colours, last) if mode == "PA" else colours


def pillow():
    """Every mode that Pillow writes, in every format."""
    kinds = [(kind, more) for kind, more in OPTIONS.items() if kind != "TIFF"]
    kinds += [("TIFF", {"compression": packing}) for packing in PACKINGS]
    for mode, samples in SAMPLES.items():
        for kind, more in kinds:
            lossy = "JPEG" in (kind, more.get("compression", "").upper())
            bits = 1 if mode == "1" else 16 if ";16" in mode else 8
            array = smooth(samples) if lossy and bits == 8 else noise(samples, bits)
            if mode in ("La", "RGBa"):
                array = np.minimum(array, array[..., -1:])
            values = array / (2**bits - 1)
            stored = array.astype(">u2") if mode == "I;16B" else array
            image = Image.frombytes(mode, (W, H), stored.tobytes()) if bits > 1 else None
            image = image or Image.fromarray(array[..., 0] > 0)
            if mode in ("P", "PA"):
                image.putpalette(COLOURS.tobytes())
            quality = {"exact": True} if kind == "WEBP" else {"quality": 100} if lossy else {}
            try:
                data = saved(image, kind, **more, **quality)
            except (OSError, RuntimeError, ValueError):
                continue  # Pillow writes no such file
            if bits == 16 and kind == "WEBP":
                continue  # what Pillow writes is not this picture
            shown = "RGBX" if (mode, kind) == ("RGBA", "BMP") else mode  # no header says alpha
            off = LOSSY if lossy else ROUNDED if mode in ("La", "RGBa", "CMYK", "YCbCr") else EXACT
            yield f"{mode} {kind} {more}", data, meaning(shown, values), off


def opencv():
    """Every depth and number of channels that OpenCV writes, in every format."""
    for ending in (".png", ".jpg", ".webp", ".bmp", ".tiff"):
        for bits in (8, 16) if ending in (".png", ".tiff") else (8,):
            for channels in (1, 3, 4):
                array = smooth(channels) if ending == ".jpg" else noise(channels, bits)
                values = array / (2**bits - 1)
                picture = values[..., 2::-1] if channels > 1 else values
                if channels == 4 and ending != ".jpg":
                    picture = on_white(picture, values[..., 3:])
                off = ROUNDED if bits == 16 and channels > 1 else EXACT
                data = cv2.imencode(ending, array)[1].tobytes()
                yield f"{ending} {bits} {channels}", data, picture, max(off, (ending == ".jpg") / 9)


def tiffs():
    """Grey, palette, RGB and CMYK of every depth, with every kind of further sample."""
    for order in "<>":
        for packing in (False, True):
            more = dict(order=order, pack=packing)
            for bits in (1, 2, 4, 8, 12, 16):
                grey, top = noise(1, bits), 2**bits - 1
                for photometric in (0, 1):
                    data = tiff(grey, bits, photometric, **more)
                    picture = grey / top if photometric else 1 - grey / top
                    yield f"grey {bits} {photometric} {more}", data, picture, 2 / 65535
                if bits <= 8:
                    table = COLOURS[: top + 1]
                    data = tiff(grey, bits, 3, colours=(257 * table.T.astype(int)).ravel(), **more)
                    yield f"palette {bits} {more}", data, table[grey[..., 0]] / 255, EXACT
            yield "reversed", tiff(noise(1), 8, 1, reverse=True, order=order), noise(1) / 255, EXACT
            for bits in (8, 16):
                yield from tiffs_in_colour(bits, **more)


def tiffs_in_colour(bits, **more):
    top, off = 2**bits - 1, EXACT if bits == 8 else ROUNDED
    for planes in (1, 2):
        name = f"{bits} {more | dict(planes=planes)}"
        cmyk = noise(4, bits)
        data = tiff(cmyk, bits, 5, planes=planes, **more)
        yield f"CMYK {name}", data, meaning("CMYK", cmyk / top), ROUNDED
        for photometric, samples in ((1, 1), (2, 3)):
            colour, alpha = noise(samples, bits), noise(2, bits)[..., :1]
            under = np.minimum(colour, alpha)
            for extra, stored, picture in (
                ((), [colour], colour / top),
                ((0,), [colour, alpha], colour / top),
                ((0, 0), [colour, alpha, alpha], colour / top),
                ((1,), [under, alpha], under / top + 1 - alpha / top),
                ((2,), [colour, alpha], on_white(colour / top, alpha / top)),
            ):
                array = np.concatenate(stored, axis=2)
                data = tiff(array, bits, photometric, extra=extra, planes=planes, **more)
                yield (
                    f"{samples} + {extra} {name}",
                    data,
                    picture,
                    ROUNDED if extra == (1,) else off,
                )


def bmps():
    for bits in (1, 4, 8):
        numbers = noise(1, bits)
        ramp = np.linspace(0, 255, 2**bits).astype(np.uint8)[:, None].repeat(3, axis=1)
        for os2 in (False, True):
            for table in (COLOURS[: 2**bits], ramp, ramp[::-1]):
                colours = b"".join(bytes(bgr) + bytes(not os2) for bgr in table[:, ::-1])
                data = bmp(numbers, bits, colours, os2=os2)
                yield f"palette {bits} {os2}", data, table[numbers[..., 0]] / 255, EXACT
    for os2 in (False, True):
        yield f"24 {os2}", bmp(NOISE[:H, :W], 24, os2=os2), NOISE[:H, :W, ::-1] / 255, EXACT
    yield "32", bmp(noise(4), 32), noise(4)[..., 2::-1] / 255, EXACT
    red, green, blue = (noise(1, bits).astype(int) for bits in (5, 6, 5))
    picture = np.concatenate([red / 31, green / 63, blue / 31], axis=2)
    data = bmp(red << 11 | green << 5 | blue, 16, masks=(0xF800, 0x7E0, 0x1F))
    yield "5, 6 and 5", data, picture, 1 / 255
    picture = np.concatenate([red / 31, green // 2 / 31, blue / 31], axis=2)
    yield "5, 5 and 5", bmp(red << 10 | green // 2 << 5 | blue, 16), picture, 1 / 255
    yield "white of 5 bits", bmp(0 * red + 0x7FFF, 16), np.ones((H, W, 1)), 0


def pngs():
    """Every depth and kind, with and without a transparent colour."""
    for bits in (1, 2, 4, 8, 16):
        grey, top = noise(1, bits), 2**bits - 1
        yield f"grey {bits}", png(grey, bits, 0), grey / top, EXACT
        for key in {0, top, int(grey[0, 0, 0])}:
            picture = np.where(grey == key, 1, grey / top)
            data = png(grey, bits, 0, tRNS=struct.pack(">H", key))
            yield f"grey {bits}, transparent {key}", data, picture, EXACT
        if bits <= 8:
            table = COLOURS[: top + 1]
            picture, alpha = table[grey[..., 0]] / 255, COLOURS[: top + 1, 1]
            yield f"palette {bits}", png(grey, bits, 3, PLTE=table.tobytes()), picture, EXACT
            data = png(grey, bits, 3, PLTE=table.tobytes(), tRNS=alpha.tobytes())
            picture = on_white(picture, alpha[grey] / 255)
            yield f"palette {bits} with alpha", data, picture, EXACT
        if bits >= 8:
            off = EXACT if bits == 8 else ROUNDED
            for kind, mode in ((2, "RGB"), (4, "LA"), (6, "RGBA")):
                array = noise(len(mode), bits)
                yield f"{mode} {bits}", png(array, bits, kind), meaning(mode, array / top), off
            array, key = noise(3, bits), noise(3, bits)[0, 0]
            picture = np.where((array == key).all(axis=2, keepdims=True), 1, array / top)
            data = png(array, bits, 2, tRNS=key.astype(">u2").tobytes())
            yield f"RGB {bits}, one colour transparent", data, picture, off


RARE = [  # what Pillow cannot read, or would read wrongly; no picture is better than a wrong one
    "grey 12 0", "grey 12 1 {'order': '>'", "grey 16 0 {'order': '>'",
    "1 + (0, 0)", "3 + (0, 0) 16", "1 + (0,) 16", "1 + (1,) 16", "1 + (2,) 16",
]  # fmt: skip


def is_rare(name):
    apart = "'planes': 2" in name and not name.startswith(("1 + () 8", "3 + () 8", "CMYK 8"))
    return apart or name.startswith(tuple(RARE))


@pytest.mark.parametrize("table", [pillow, opencv, tiffs, bmps, pngs])
def test_every_file_is_the_picture_that_it_means(table):
    """Grey is shown as three equal channels, alpha on white paper."""
    wrong, count = [], 0
    for name, data, picture, off in table():
        count += 1
        try:
            image = read(data)
        except ValueError as error:
            wrong += [] if table is tiffs and is_rare(name) else [f"{name}: {error}"]
            continue
        assert (image.dtype, image.shape) == (np.float32, (H, W, 3))
        assert image.flags.c_contiguous
        distance = abs(image - picture).max()
        if distance > off or image.min() < 0 or image.max() > 1:
            wrong.append(f"{name}: off by {distance:.4f}")
    assert not wrong, "\n".join(wrong)
    assert count >= 15


def test_a_tiff_shows_its_first_page():
    other = Image.fromarray(RGB[::-1])
    image = read(saved(RGB, "TIFF", save_all=True, append_images=[other]))
    np.testing.assert_allclose(image, RGB / 255, atol=EXACT)


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
def test_the_orientation_of_the_camera_is_honoured(kind, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    stored, upright = STORED[orientation].copy(), RGB
    if kind == "16 bits":
        kind, stored, upright = "PNG", stored[..., 0].astype(np.uint16) * 257, RGB[..., [0, 0, 0]]
    options = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}}.get(kind, {})
    image = read(saved(stored, kind, exif=exif, **options))
    assert image.shape == RGB.shape
    corners = np.s_[[2, 2, -3], [2, -3, 2]]
    np.testing.assert_allclose(image[corners], upright[corners] / 255, atol=0.06)


def test_metadata_without_sense_does_not_spoil_an_image():
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
        image = read(jpeg[:2] + segment + jpeg[2:])
        np.testing.assert_array_equal(image, np.rot90(read(jpeg), turns))
    planar = struct.pack("<HHI", 284, 3, 1), struct.pack("<HHI", 284, 3, 2**20)  # beyond the end
    image = read(saved(NOISE, "TIFF").replace(*planar))
    np.testing.assert_allclose(image, NOISE / 255, atol=1e-6)


@pytest.mark.parametrize("kind", OPTIONS)
def test_no_damage_leads_to_any_other_error(kind):
    whole, rng = saved(NOISE[:20, :20], kind, **OPTIONS[kind]), np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 300), 3):
            data[place] = rng.integers(256)
        try:
            image = read(bytes(data))
        except ValueError as error:
            assert str(error).startswith("it ")
        else:
            assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1


def test_an_image_at_the_limit(monkeypatch):
    monkeypatch.setattr(module, "MOST_PIXELS", 240)
    assert read(saved(RGB, "BMP")).shape == RGB.shape
    monkeypatch.setattr(module, "MOST_PIXELS", 239)
    with pytest.raises(ValueError, match="it has more than 239 pixels"):
        read(saved(RGB, "BMP"))


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\xfe\0\2"], ids=["0xff", "comments"])
def test_a_source_is_read_so_much_and_no_more(monkeypatch, filling):
    """Counted, as a clock says something else on every machine."""
    reads, usual = [], module._Source.read

    def counted(source, size=-1):
        reads.append(size)
        return usual(source, size)

    monkeypatch.setattr(module, "MOST_READ", 1000 * module.READ)
    monkeypatch.setattr(module._Source, "read", counted)
    with pytest.raises(ValueError, match="it is not an image"):
        read(b"\xff\xd8" + filling * 9000)
    assert 500 < len(reads) <= 1001


def test_a_tile_larger_than_any_picture_is_refused_before_it_takes_memory(monkeypatch):
    loaded = []
    monkeypatch.setattr(TiffImageFile, "load", lambda image: loaded.append(image))
    with pytest.raises(ValueError, match="it is a TIFF that is damaged"):
        read(large_tile())
    assert not loaded


def test_want_of_memory_is_an_error_in_one_line(monkeypatch):
    def full(_):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "has_transparency_data", property(full))
    with pytest.raises(ValueError, match="it needs more memory than is free"):
        read(saved(RGB, "PNG"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_the_largest_picture_takes_half_a_gigabyte(kind):
    if kind == "PNG":
        body = zlib.compress(bytes(5120 * (1 + 8 * 5120)), 1)
        data = sized(5120, 5120, depth=16, color=6, body=body)
    else:
        mode = {"JPEG": "CMYK", "WEBP": "RGBA", "TIFF": "RGBA"}[kind]
        options = {"JPEG": dict(progressive=True), "WEBP": dict(lossless=True, method=0)}
        packed = options.get(kind, dict(compression="tiff_lzw"))
        data = saved(Image.new(mode, (5120, 5120)), kind, **packed)
    with limits(20, 2**29):
        assert read(data).shape == (5120, 5120, 3)
    assert module.MOST_PIXELS == 5120 * 5120
