"""Runs on several ranks of MPI, as mpiexec starts them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from demos import finetune, read, together, train_mnist
from minivit.training import mpi
from tests.data.idx import few_digits
from tests.demos.digit_runs import assert_same
from tests.demos.every import ROOT
from tests.ranks import children, mpiexec, needs_mpi
from tests.samples import sample

SIZES = "--dim 8 --depth 2 --heads 2 --mlp-dim 8 --patch-size 14 --batch-size 10"
TINY = [*SIZES.split(), "--data=digits", "--checkpoint-every=2", "--mpi"]
CTRL_C = 130


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """A working directory with a few digits."""
    needs_mpi()
    monkeypatch.chdir(tmp_path)
    few_digits(tmp_path / "digits")


def started(*sets, count=3, demo="train_mnist"):
    """Start a demo on ranks: the first with one set of options, the others with the next."""
    command = [mpiexec()]
    for number, options in enumerate(sets):
        ranks = count if len(sets) == 1 else 1 if number == 0 else count - 1
        if number:
            command.append(":")
        command += ["-n", str(ranks), sys.executable, "-m", f"demos.{demo}", *TINY, *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def done(*sets, **more):
    """The status of such a demo, what it printed, and the lines of its errors that are ours."""
    process = started(*sets, **more)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, ours(errors)


def ours(errors):
    """The lines on stderr that are not of the launcher."""
    return [line for line in errors.splitlines() if line.startswith("train_mnist: ")]


def reached(run, step):
    """Wait until a run has a checkpoint of that step, or a later one."""
    limit = time.monotonic() + 60
    while not any(int(path.stem[5:]) >= step for path in Path(run).glob("checkpoints/step-*")):
        assert time.monotonic() < limit
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.thorough
def test_only_the_first_rank_speaks_and_any_number_of_ranks_learns_the_same(digits):
    for count in (1, 2, 3):
        how = ["--epochs=2", "--shards=3", f"--run={count}"]
        status, output, errors = done(how, count=count)
        assert (status, errors) == (0, [])
        assert output.count("epoch 2/2") == output.count("Saved in") == output.count("Next,") == 1
        if count > 1:
            assert f"2 times each, on {count} ranks; 20 more" in output
    rows = [
        np.genfromtxt(f"runs/{count}/metrics.csv", delimiter=",", skip_header=1)[:, 2:4]
        for count in (1, 2, 3)
    ]
    for one in rows[1:]:  # Muon enlarges what is rounded where a gradient has next to nothing
        np.testing.assert_allclose(one, rows[0], rtol=1e-4)


@pytest.mark.slow
def test_ctrl_c_saves_once_and_any_number_of_ranks_goes_on(digits):
    assert done(["--epochs=3", "--shards=3", "--run=whole"])[0] == 0
    process = started(["--epochs=3", "--shards=3", "--run=stopped"])
    reached("runs/stopped", 20)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    (line,) = ours(errors)
    assert process.returncode == CTRL_C, errors
    assert "stopped and saved after " in line
    assert "To resume: mpiexec -n 3 " in line
    assert line.endswith("--resume runs/stopped --mpi")
    resume = [sys.executable, "-m", "demos.train_mnist", "--resume", "runs/stopped", "--mpi"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([mpiexec(), "-n", "3", *resume], env=environment, check=True, timeout=60)
    assert_same("runs/whole", "runs/stopped")


@pytest.mark.slow
def test_a_killed_rank_ends_the_others_with_a_line_and_another_number_goes_on(digits):
    process = started(["--epochs=400", "--run=killed"])
    reached("runs/killed", 10)
    (proxy,) = children(process.pid)
    assert len(children(proxy)) == 3
    os.kill(children(proxy)[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=10)
    (line,) = ours(errors)
    assert process.returncode != 0
    assert "a process of this run was killed or failed, which ended the others. To res" in line
    command = [sys.executable, "-m", "demos.train_mnist", "--resume", "runs/killed", "--mpi"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    resumed = subprocess.Popen([mpiexec(), "-n", "2", *command], env=environment)
    step = newest("runs/killed")
    reached("runs/killed", step + 4)
    resumed.send_signal(signal.SIGINT)
    assert resumed.wait(30) == CTRL_C


def newest(run):
    return max(int(path.stem[5:]) for path in Path(run).glob("checkpoints/step-*"))


ERRORS = [
    ([[], ["--lr=0.5"]], "ranks were not started alike: options.lr is None on the first, 0.5"),
    ([["--shards=2"]], "train_mnist: 3 ranks and 2 shards of a step; expected at least one"),
    ([[], ["--data=nowhere"]], "no data set at 'nowhere'"),
    ([["--lr=1e30"]], "not finite: cache blocks."),
]


@pytest.mark.slow
@pytest.mark.parametrize("sets, expected", sample(ERRORS, 2))
def test_an_error_of_any_rank_is_told_once_and_ends_all(sets, expected, digits):
    status, output, (line,) = done(*[["--epochs=2", "--run=bad", *options] for options in sets])
    assert status == 2
    assert expected in line
    assert "Traceback" not in output


def test_without_mpi_a_line_says_so_and_nothing_is_written(monkeypatch, tmp_path, capsys):
    def missing():
        raise ImportError("a run on several ranks needs mpi4py")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mpi, "world", missing)
    for demo in (train_mnist, read):
        assert demo.main(["--mpi"]) == 2
        assert capsys.readouterr().err.endswith(": a run on several ranks needs mpi4py\n")
    assert list(tmp_path.iterdir()) == []


def test_only_what_trains_all_of_a_network_takes_ranks(capsys):
    for options in (["runs/x", "mnist"], ["runs/x", "mnist", "--per-class=10", "--compare=2"]):
        with pytest.raises(SystemExit):
            finetune.arguments([*options, "--mpi"])
        assert "--mpi" in capsys.readouterr().err


def test_a_process_alone_is_left_as_it_is():
    with pytest.raises(KeyError), together.together("demo", mpi.Ranks()):
        raise KeyError


ENDS = {
    "pass": (0, ""),
    "os.kill(os.getpid(), signal.SIGKILL)": (-signal.SIGKILL, "the text\n"),
    "raise Ranks.gone": (1, "the text\n"),
    "raise KeyboardInterrupt": (4, ""),
}


@pytest.mark.parametrize("how, expected", ENDS.items())
def test_last_words_come_only_where_a_rank_is_gone(how, expected):
    code = f"""
import os, signal
from demos.together import last_words

class Ranks:
    gone = RuntimeError
    end = os._exit

try:
    with last_words("the text", Ranks):
        {how}
except KeyboardInterrupt:
    os._exit(4)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, text=True)
    assert (done.returncode, done.stderr) == expected
