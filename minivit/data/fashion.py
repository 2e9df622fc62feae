"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): found on this machine, or fetched.

70,000 grey images of 28 × 28 pixels, ten kinds of clothing: MNIST's format, and harder. Made by
Zalando Research, MIT licence, https://github.com/zalandoresearch/fashion-mnist.
"""

import gzip
import hashlib
import http.client
import io
import itertools
import os
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from tqdm import tqdm

from ..files import write_file

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
LARGEST = 2**26  # bytes of a file, compressed or not
PIECE = 2**16  # bytes read at once
CLASSES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip
MD5_SUMS = {  # of the unpacked files
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def fashion_mnist_folder():
    """Return the folder with the four files: Debian's, else the cache, which is filled if need be.

    The cache is ~/.cache/minivit/fashion-mnist (or under XDG_CACHE_HOME). A file is kept there only
    once its checksum is right.

    Errors: OSError, with what to do, if a file can be neither found nor downloaded.
    """
    if all((DEBIAN / f"{name}.gz").is_file() for name in MD5_SUMS):
        return DEBIAN
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(home, "minivit", "fashion-mnist")
    for name, md5 in MD5_SUMS.items():
        path = cache / f"{name}.gz"
        if not (path.is_file() or path.with_suffix("").is_file()):
            try:
                packed = _download(f"{URL}/{name}.gz", md5)
            except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()  # it holds the connection
                raise OSError(
                    f"Fashion-MNIST is not on this machine, and {URL}/{name}.gz cannot be "
                    f"downloaded: {error}. Try again later; or install Debian's package "
                    f"dataset-fashion-mnist; or put the four idx files into {cache}"
                ) from error
            cache.mkdir(parents=True, exist_ok=True)
            write_file(path, packed)
    return cache


def _download(url, md5):
    """Return the bytes of a .gz file; OSError unless its contents have the checksum."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        size = int(answer.headers.get("Content-Length") or 0) or None
        name = url.rpartition("/")[2]
        bar = tqdm.wrapattr(answer, "read", total=size, desc=name, disable=None)
        with bar as reader:
            pieces = iter(lambda: reader.read(PIECE), b"")
            packed = b"".join(itertools.islice(pieces, LARGEST // PIECE))
    with gzip.open(io.BytesIO(packed)) as file:
        actual = hashlib.md5(file.read(LARGEST)).hexdigest()
    if actual != md5:
        raise OSError(f"the MD5 sum of what came is {actual}, expected {md5}")
    return packed
