"""Files of pictures written byte by byte, for tests: TIFF, BMP and PNG of any depth.

Samples are integers (H, W, S) of so many bits.
"""

import struct
import zlib

import numpy as np


def packed(row, bits, order=">"):
    """The samples of one row as bytes, the first of them in the highest bits."""
    if bits >= 8 and bits != 12:
        return row.astype(f"{order}u{bits // 8}").tobytes()
    signs = "".join(f"{sample:0{bits}b}" for sample in row.ravel().tolist())
    signs += "0" * (-len(signs) % 8)
    return bytes(int(signs[start : start + 8], 2) for start in range(0, len(signs), 8))


def tiff(
    samples, bits, photometric, order="<", extra=(), planes=1, reverse=False, pack=False, colours=()
):
    """A TIFF of one strip, or one for each sample if planes is 2.

    photometric: 0 grey, 0 is white; 1 grey; 2 RGB; 3 palette; 5 CMYK
    extra:       what the samples beyond those are: 0 unknown, 1 premultiplied alpha, 2 alpha
    reverse:     whether the first sample is in the lowest bits of a byte
    pack:        whether zlib compresses it
    """
    H, W, S = samples.shape
    parts = np.split(samples, S, axis=2) if planes == 2 else [samples]
    strips = [b"".join(packed(row, bits, order) for row in part) for part in parts]
    if reverse:
        strips = [bytes(int(f"{byte:08b}"[::-1], 2) for byte in strip) for strip in strips]
    if pack:
        strips = [zlib.compress(strip) for strip in strips]
    tags = {  # tag: (type, values)
        256: ("H", [W]), 257: ("H", [H]), 258: ("H", [bits] * S), 259: ("H", [8 if pack else 1]),
        262: ("H", [photometric]), 266: ("H", [2 if reverse else 1]), 273: ("I", [0] * len(strips)),
        277: ("H", [S]), 278: ("H", [H]), 279: ("I", list(map(len, strips))), 284: ("H", [planes]),
    }  # fmt: skip
    tags |= {320: ("H", colours)} if len(colours) else {}
    tags |= {338: ("H", extra)} if len(extra) else {}
    start = 8 + 2 + 12 * len(tags) + 4
    tags[273] = ("I", [start + sum(map(len, strips[:n])) for n in range(len(strips))])
    body, entries = b"".join(strips), b""
    for tag, (kind, values) in tags.items():
        data = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(data) > 4:
            body += bytes(len(body) % 2)
            data, longer = struct.pack(f"{order}I", start + len(body)), data
            body += longer
        code = {"H": 3, "I": 4}[kind]
        entries += struct.pack(f"{order}HHI", tag, code, len(values)) + data.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return head + entries + bytes(4) + body


def bmp(samples, bits, colours=b"", masks=(), os2=False):
    """A BMP; samples are numbers of colours, or whole pixels (H, W, 1), or BGR.

    masks: of red, green and blue in a pixel
    os2:   whether its header is the short one of OS/2
    """
    H, W, _ = samples.shape
    rows = [packed(row, bits if bits < 24 else 8, "<") for row in samples[::-1]]
    body = b"".join(row + bytes(-len(row) % 4) for row in rows)
    if os2:
        header = struct.pack("<IHHHH", 12, W, H, 1, bits)
    else:
        header = struct.pack("<IiiHHI", 40, W, H, 1, bits, 3 if masks else 0) + bytes(20)
        header += struct.pack(f"<{len(masks)}I", *masks)
    start = 14 + len(header) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + colours + body


def png(samples, bits, kind, **chunks):
    """A PNG. kind: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha."""
    H, W, _ = samples.shape
    rows = b"".join(b"\0" + packed(row, bits) for row in samples)
    head = struct.pack(">IIBBBBB", W, H, bits, kind, 0, 0, 0)
    named = {"IHDR": head, **chunks, "IDAT": zlib.compress(rows), "IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in named.items())


def chunk(name, data):
    """A chunk of a PNG."""
    named = name.encode() + data
    return struct.pack(">I", len(data)) + named + struct.pack(">I", zlib.crc32(named))
