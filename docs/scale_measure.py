"""What docs/scale.py measures: the parts of a step, and sums over links of a bounded speed.

    python -m docs.scale_measure       as root, on Linux: measures, and writes docs/scale.json

The ranks are put into network namespaces, each with an address and a link of its own, so that they
meet as machines do that stand apart. They still share one processor.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np

import minivit
from demos.benchmark.report import machine
from minivit.files import write_json
from minivit.models.micro_batch import images_at_once
from minivit.threads import threads
from minivit.training import mpi
from minivit.training.step import loss_and_gradients, one_by_one

FIGURES = Path(__file__).with_name("scale.json")
MODELS = {  # from the default model of train_mnist to a hundred times its parameters
    "default": dict(image_size=28, patch_size=7, channels=1, dim=64, depth=4, heads=2),
    "small": dict(image_size=32, patch_size=4, channels=3, dim=128, depth=6, heads=4),
    "medium": dict(image_size=64, patch_size=8, channels=3, dim=256, depth=8, heads=4),
    "large": dict(image_size=96, patch_size=8, channels=3, dim=384, depth=12, heads=6),
}
LINKS = {"100 Mbit/s": 100e6, "1 Gbit/s": 1e9}  # bits a second, of each link measured
RANKS = (2, 3, 4)
SEEN = dict(default=250, small=64, medium=16, large=4)  # images of a rank, to time a step
STEPS = ("default", "small")  # models whose whole steps are timed
REPEATS, SUMS = 7, 5  # of what is timed, and of each sum
NETWORK = "10.77.0"  # the machines are .1, .2, …; the launcher is .254


def model_of(name):
    """A model and its first parameters."""
    config = MODELS[name]
    model = minivit.ViT(**config, mlp_dim=2 * config["dim"], classes=10)
    return model, minivit.Params(model.init(np.random.default_rng(0)))


def batch_of(model, count):
    """Random images, as the model reads them, and labels."""
    rng = np.random.default_rng(1)
    H, W = model.config["image_size"]
    images = rng.standard_normal((count, H, W, model.config["channels"]), np.float32)
    return images, rng.integers(0, 10, count)


def timed(function, repeats):
    """The median of the seconds that a function takes; the first call is not counted."""
    seconds = []
    for _ in range(1 + repeats):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return median(seconds[1:])


def work(name):
    """Seconds that one core takes for an image, and for the optimizer's part of a step."""
    model, params = model_of(name)
    images, labels = batch_of(model, SEEN[name])
    grads, optimizer = params.zeros_like(), minivit.Muon(params)
    with threads(1):
        seconds = timed(lambda: loss_and_gradients(model, params, images, labels, grads), REPEATS)
        update = timed(lambda: optimizer.step(grads), REPEATS)
    return dict(
        parameters=params.flat.size, image=seconds / len(labels), update=update,
        at_once=images_at_once(model, params),
    )  # fmt: skip


def rank(file):
    """What each rank of MPI does: it times sums of each model's size and one, and whole steps."""
    ranks, told = mpi.world(), {"sums": {}, "steps": {}}
    sizes = [1, *(model_of(name)[1].flat.size for name in MODELS)]
    with threads(1):
        for size in sizes:
            part = np.ones(size, np.float32)
            total = np.empty_like(part)
            seconds = []
            for _ in range(SUMS):
                ranks.comm.Barrier()
                began = time.perf_counter()
                ranks.comm.Allreduce(part, total)
                seconds.append(time.perf_counter() - began)
            told["sums"][size] = median(seconds)
        for name in STEPS:
            told["steps"][name] = step_of(name, ranks)
        told["overlap"] = overlap_of(ranks)
    if ranks.first:
        write_json(Path(file), told)


def overlap_of(ranks):
    """Seconds of a sum, of products that take about as long, and of both when they may overlap."""
    part = np.ones(model_of("medium")[1].flat.size, np.float32)
    total, square = np.empty_like(part), np.ones((256, 256), np.float32)

    def adding():
        ranks.comm.Allreduce(part, total)

    def working():
        for _ in range(rounds):
            square @ square

    def both():
        coming = ranks.comm.Iallreduce(part, total)
        working()
        coming.Wait()

    rounds = 1
    alone = timed(adding, SUMS)
    rounds = int(ranks.told(alone / timed(working, SUMS)))
    return dict(sum=alone, work=timed(working, SUMS), both=timed(both, SUMS))


def step_of(name, ranks):
    """Seconds of a whole step, with SEEN images on each rank."""
    model, params = model_of(name)
    images, labels = batch_of(model, SEEN[name])
    grads, optimizer = params.zeros_like(), minivit.Muon(params)
    run = ranks.adding(one_by_one, threading.Event())
    size = ranks.count * len(labels)

    def step():
        bounds = [(0, len(labels))]
        how = dict(bounds=bounds, batch=size, run=run)
        loss_and_gradients(model, params, images, labels, grads, **how)
        optimizer.step(grads)

    return timed(step, REPEATS)


def measure():
    """Measure, on a machine that does nothing else, and write the figures."""
    result = dict(processor=machine(), models={name: work(name) for name in MODELS}, links={})
    print(json.dumps(result, indent=1))
    result["links"]["one machine"] = {count: ranked(count) for count in RANKS}
    for link, speed in LINKS.items():
        with network(max(RANKS), speed) as launcher:
            result["links"][link] = {count: ranked(count, launcher) for count in RANKS}
        print(link, json.dumps(result["links"][link]))
    write_json(FIGURES, result)


def ranked(count, launcher=()):
    """What the first of so many ranks tells."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "told.json")
        command = [sys.executable, "-m", "docs.scale_measure", "--rank", str(file)]
        mpiexec = [str(Path(sys.executable).with_name("mpiexec")), *launcher, "-n", str(count)]
        environment = os.environ | ({"UCX_TLS": "tcp,self"} if launcher else {})
        subprocess.run([*mpiexec, *command], check=True, env=environment, timeout=900)
        return json.loads(file.read_text())


@contextlib.contextmanager
def network(machines, speed):
    """Yield mpiexec's options for so many namespaces, whose links carry `speed` bits a second."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        ip("link add scale type bridge")
        stack.callback(ip, "link del scale")
        ip(f"addr add {NETWORK}.254/24 dev scale")
        ip("link set scale up")
        for number in range(1, machines + 1):
            name = f"scale{number}"
            ip(f"netns add {name}")
            stack.callback(ip, f"netns del {name}")
            ip(f"link add {name} type veth peer name eth0 netns {name}")
            stack.callback(ip, f"link del {name}")
            ip(f"link set {name} master scale up")
            ip(f"-n {name} addr add {NETWORK}.{number}/24 dev eth0")
            for device in ("eth0", "lo"):
                ip(f"-n {name} link set {device} up")
            limit = f"root tbf rate {speed:.0f}bit burst 128kb latency 50ms"
            run(f"ip netns exec {name} tc qdisc add dev eth0 {limit}")
            run(f"tc qdisc add dev {name} {limit}")
        remote = Path(folder, "remote")  # in the place of ssh: [options] host command…
        remote.write_text(
            '#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\nhost=$1; shift\n'
            'exec ip netns exec scale${host##*.} sh -c "$*"\n'
        )
        remote.chmod(0o755)
        hosts = ",".join(f"{NETWORK}.{number}" for number in range(1, machines + 1))
        yield [
            "-launcher", "ssh", "-launcher-exec", str(remote), "-localhost", f"{NETWORK}.254",
            "-hosts", hosts, "-ppn", "1",
        ]  # fmt: skip


def ip(line):
    run(f"ip {line}")


def run(line):
    subprocess.run(line.split(), check=True)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m docs.scale_measure", description=__doc__)
    parser.add_argument("--rank", metavar="FILE", help=argparse.SUPPRESS)  # what mpiexec starts
    options = parser.parse_args(argv)
    if options.rank:
        rank(options.rank)
    else:
        measure()


if __name__ == "__main__":
    main()
