"""Ctrl-C at any moment ends every demo in one line or none, with status 130."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demos.options import status
from tests.demos.every import ROOT, WORK, expect_a_line_at_most, prepare, started

TRIALS, LONGEST = 3, 2.5  # moments for each demo, and seconds after its start
QUIET = (130, -signal.SIGINT)  # by itself, or by the system before and after its work: 130 as well


def imports(process):
    """Wait until a process imports NumPy, so that the demo's package is there; False if it ended.

    What comes before is Python's own start, which no program can catch.
    """
    while process.poll() is None:
        try:
            if "_multiarray_umath" in Path(f"/proc/{process.pid}/maps").read_text():
                return True
        except OSError:
            pass
        time.sleep(0.001)
    return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux shows what is loaded")
@pytest.mark.parametrize("demo", list(WORK)[::6])  # a sample
def test_ctrl_c_at_any_moment_ends_in_a_line_or_none(demo, tmp_path):
    prepare(tmp_path)
    rng, work = random.Random(demo), {"post_norm": ""}.get(demo)
    ended = set()
    for number in range(TRIALS):
        process = started(demo, tmp_path, work=work, start_new_session=True)
        delay = rng.uniform(0, LONGEST * number / TRIALS)  # the first at once: some end in no time
        if imports(process):
            time.sleep(delay)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: its workers too
        _, errors = process.communicate(timeout=60)
        ended.add(process.returncode)
        expect_a_line_at_most(errors)
        assert process.returncode in (*QUIET, 0, 1), errors.decode()  # 0 or 1: it was done before
    assert ended & set(QUIET), "no moment was early enough"


def test_the_command_is_quiet_before_and_after_its_work(tmp_path):
    code = (
        "import signal; from minivit_command import main; import demos, sys; "
        "sys.modules['minivit.demos'] = demos; "
        "import demos.__main__; sys.modules['minivit.demos.__main__'] = demos.__main__; "
        "demos.__main__.main = lambda: signal.raise_signal(signal.SIGINT); main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_a_demo_takes_ctrl_c_from_the_system_and_hands_it_back(capsys):
    usual = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        assert status("demo", signal.raise_signal, signal.SIGINT) == 130
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, usual)
    assert capsys.readouterr().err == "\ndemo: stopped\n"
    assert status("demo", signal.raise_signal, signal.SIGINT) == 130
    assert signal.getsignal(signal.SIGINT) is usual


@pytest.mark.parametrize("ignored", [False, True])
def test_a_process_that_ignores_ctrl_c_goes_on_to(ignored):
    code = "import signal, demos.options; print(signal.getsignal(signal.SIGINT))"
    code = f"import sys; sys.argv[0] = '-m'; {code}"
    ignore = (lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignored else None
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, cwd=ROOT, preexec_fn=ignore).stdout
    expected = signal.SIG_IGN if ignored else signal.SIG_DFL
    assert printed.decode().strip() == str(expected)
