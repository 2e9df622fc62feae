"""Kill a training with `kill -9` at random moments, and resume it each time, to the same last bit.

    .venv/bin/python -m tests.killed_runs [--demo pretrain] [--ranks 3] [--kills 20] [--seed 0]

Two runs of demos.train_mnist, or of demos.pretrain, on a few digits: one is left alone, the other
is killed again and again. The moments are drawn over the whole run: a step that must be reached,
and then a delay of up to two steps, so that some kills interrupt the writing of a file. The first
comes at the start, when there may be no folder yet, and the last two after the training. Of several
ranks of MPI a random one is killed, which must end the others within ten seconds. In the end both
folders must hold the same weights, metrics and checkpoint.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import safetensors.numpy

import minivit
from minivit.files import read_arrays
from minivit.pretrainer import Pretrainer, is_pretrained
from tests.data.idx import few_digits
from tests.ranks import children, mpiexec

ROOT = Path(__file__).parent.parent
EPOCHS, STEPS, EVERY = 8, 50, 3  # 110 digits, of which 100 to train on, two a step
SETTINGS = (
    "--data digits --dim 8 --depth 2 --heads 2 --mlp-dim 8 --patch-size 14 "
    f"--epochs {EPOCHS} --batch-size 2 --shards 2 --checkpoint-every {EVERY} --patience {EPOCHS}"
).split()
WITHIN = 10  # seconds after a kill
DEMOS = {"train_mnist": ["--dropout", "0.1", "--keep-tokens", "0.5"], "pretrain": []}


def start(demo, folder, *options, ranks=1):
    """Start a demo in a folder, as a process that prints nothing, or as the ranks of MPI."""
    command = [sys.executable, "-m", f"demos.{demo}", *options]
    if ranks > 1:
        command = [mpiexec(), "-n", str(ranks), *command, "--mpi"]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill(process, ranks, rng):
    """Kill a process, or a random one of the ranks that mpiexec has started."""
    if ranks == 1:
        process.kill()
        return
    while len(pids := [pid for proxy in children(process.pid) for pid in children(proxy)]) < ranks:
        time.sleep(0.001)
    os.kill(pids[rng.integers(ranks)], signal.SIGKILL)


def newest_step(run):
    """The step of the newest checkpoint; -1 if there is no run yet."""
    return max((int(path.stem[5:]) for path in run.glob("checkpoints/step-*")), default=-1)


def compare(left, right):
    """Raise AssertionError unless two runs have the same weights, metrics and last checkpoint."""
    for name in ("weights.safetensors", "config.json", "metrics.csv"):
        assert (left / name).read_bytes() == (right / name).read_bytes(), name
    one, other = (newest_state(run) for run in (left, right))
    assert one.keys() == other.keys()
    for name in one.keys() - {"seconds"}:
        np.testing.assert_array_equal(one[name], other[name], name)
    (Pretrainer if is_pretrained(right) else minivit.Classifier).load(right)


def newest_state(run):
    """Everything in the newest checkpoint."""
    metadata, arrays = read_arrays(max(run.glob("checkpoints/step-*")))
    return json.loads(metadata["minivit"])["state"] | arrays


def killed_run(demo, folder, kills, ranks, rng):
    """Start a run, kill it `kills` times and resume it; return how far it was each time."""
    run = folder / "runs" / "killed"
    moments = np.sort(rng.integers(0, EPOCHS * STEPS - 2 * EVERY, kills - 3))
    moments = [-1, *moments.tolist(), EPOCHS * STEPS, EPOCHS * STEPS]
    reached = []
    for moment in moments:
        resumed = run.is_dir()
        new = [*SETTINGS, *DEMOS[demo], "--run", run.name]
        process = start(demo, folder, *(["--resume", run] if resumed else new), ranks=ranks)
        while newest_step(run) < moment:
            assert process.poll() is None, f"it ended by itself with status {process.returncode}"
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02 if moment >= 0 else 0.3))
        kill(process, ranks, rng)
        assert process.wait(WITHIN) != 0, "it had ended before it was killed"
        reached.append(newest_step(run))
        for weights in run.glob("weights.safetensors"):  # whole at any moment
            safetensors.numpy.load_file(weights)
    process = start(demo, folder, "--resume", run, ranks=ranks)
    assert process.wait() == 0
    return reached


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.killed_runs", description=__doc__)
    parser.add_argument("--demo", choices=DEMOS, default="train_mnist", help="which training")
    parser.add_argument("--ranks", type=int, default=1, help="of MPI; 1: a process alone")
    parser.add_argument("--kills", type=int, default=20, help="at least 4")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        few_digits(folder / "digits", train=109, test=20)
        began = time.perf_counter()
        settings = [*SETTINGS, *DEMOS[options.demo], "--run", "whole"]
        assert start(options.demo, folder, *settings, ranks=options.ranks).wait() == 0
        seconds = time.perf_counter() - began
        rng = np.random.default_rng(options.seed)
        reached = killed_run(options.demo, folder, options.kills, options.ranks, rng)
        compare(folder / "runs" / "whole", folder / "runs" / "killed")
        runs = {path.name for path in (folder / "runs").iterdir()} - {".lock"}
        assert runs == {"killed", "whole"}, runs
        hidden = {path.name for path in (folder / "runs" / "killed").glob("**/.*")}
        assert hidden <= {".lock"}, hidden
    print(f"Left alone, {EPOCHS * STEPS} steps take {seconds:.1f} s.")
    print(f"Killed {len(reached)} times, after steps {', '.join(map(str, reached))}:")
    print(f"the same to the last bit, in {time.perf_counter() - began - seconds:.1f} s.")
    return reached


if __name__ == "__main__":
    main()
