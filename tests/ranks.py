"""Ranks of MPI: with mpiexec, or as threads of one process, which is quicker.

    mpiexec -n 3 .venv/bin/python -m tests.ranks 5 rows.npz

trains a small model for 50 steps of 5 shards, in float64 and in float32, and saves the rows.
"""

import argparse
import os
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.training import Progress, fit, mpi

# In float32 Muon and Adam enlarge what is rounded, where a gradient has next to nothing.
OPTIMIZERS = {
    "float64": minivit.Muon,
    "float32": lambda params: minivit.SGD(params, 0.1, momentum=0.9),
}
COLUMNS = ("loss", "accuracy", "gradient_norm", "validation_loss")


def needs_mpi():
    """Skip a test where mpi4py or mpiexec is missing."""
    pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    if mpiexec() is None:
        pytest.skip("there is no mpiexec")


def mpiexec():
    """The mpiexec beside this Python, or on the PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return shutil.which("mpiexec", path=path)


def children(pid):
    """The processes that a process has started, those of them that still live."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Threads:
    """A communicator as mpi4py's, whose ranks are threads of this process."""

    def __init__(self, rank, size, barrier, places):
        self.rank, self.size, self.barrier, self.places = rank, size, barrier, places

    def allgather(self, value):
        self.places[self.rank] = value
        self.barrier.wait()
        values = list(self.places)
        self.barrier.wait()  # before a place is used again
        return values

    def bcast(self, value):
        return self.allgather(value)[0]

    def Bcast(self, array):
        array[...] = self.allgather(array.copy())[0]

    def Allreduce(self, part, total):
        assert type(part) is type(total) is np.ndarray  # MPI knows no GPU
        total[...] = sum(self.allgather(part))

    def Ibarrier(self):
        self.barrier.wait()
        return self

    def Test(self):
        return True


def on_threads(count, function):
    """What function(ranks) returns on each of `count` ranks, which are threads."""
    barrier, places = threading.Barrier(count), [None] * count

    def work(number):
        try:
            return function(mpi.Ranks(Threads(number, count, barrier, places)))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(count) as pool:
        ranks = [pool.submit(work, number) for number in range(count)]
    errors = [rank.exception() for rank in ranks if rank.exception()]
    for error in sorted(errors, key=lambda each: isinstance(each, threading.BrokenBarrierError)):
        raise error  # the one that broke the barrier, if there is one
    return [rank.result() for rank in ranks]


class Cast:
    """A Normalize for models of another dtype."""

    def __init__(self, normalize, dtype):
        self.normalize, self.dtype = normalize, dtype

    def __call__(self, images):
        return self.normalize(images).astype(self.dtype)


def case(dtype="float32", device="cpu"):
    """A Progress with dropout, and 97 + 40 of MNIST's digits."""
    digits = minivit.load_digits().train
    train, validation = (
        Split(digits.images[part], digits.labels[part]) for part in (slice(97), slice(100, 140))
    )
    sizes = dict(image_size=28, patch_size=7, channels=1, dim=12, depth=2, heads=3, mlp_dim=20)
    model = minivit.ViT(**sizes, classes=10, dropout=0.1)
    params = minivit.Params(model.init(np.random.default_rng(0), dtype)).to(device)
    normalize = Cast(Normalize.of(train.images), dtype)
    classifier = minivit.Classifier(model, params, normalize, list("0123456789"))
    return Progress(classifier, OPTIMIZERS[dtype](params)), train, validation


def trained(ranks, shards=5, epochs=2, **options):
    """Train for 10 steps an epoch, of which the last has 7 images; return the Progress."""
    progress, train, validation = case(**options)
    fit(
        progress, train, validation, epochs=epochs, batch_size=10, shards=shards, seed=3,
        augment=Augmentation(shift=1, rotation=10), ranks=ranks,
    )  # fmt: skip
    return progress


def table(progress):
    """The rows' numbers, (steps, 4)."""
    return np.array([[row[name] or 0 for name in COLUMNS] for row in progress.rows])


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.ranks", description=__doc__)
    parser.add_argument("shards", type=int)
    parser.add_argument("file")
    options = parser.parse_args()
    ranks, tables = mpi.world(), {}
    for dtype in OPTIMIZERS:
        progress = trained(ranks, options.shards, epochs=5, dtype=dtype)
        weights = ranks.each(progress.params.flat)
        assert all((one == weights[0]).all() for one in weights), "the ranks' weights differ"
        tables[dtype] = table(progress)
    if ranks.first:
        np.savez(options.file, **tables)


if __name__ == "__main__":
    main()
