"""Whatever becomes of its output, a demo ends in one line or none, and no training is lost."""

import io
import os
import sys

import pytest

from demos.__main__ import demos
from demos.streams import Stream, reliable, unread
from minivit import Classifier
from minivit.finder import Finder
from minivit.pretrainer import Pretrainer
from minivit.transcriber import Transcriber
from tests.demos.every import TRAINS, WORK, expect_a_line_at_most, prepare, started

WAYS = {  # redirections and variables; exit statuses where there is output
    "full": (">/dev/full", {}, {2}),
    "closed": (">&-", {}, {0, 1}),
    "error closed": ("2>&-", {}, {0, 1}),
    "error full": ("2>/dev/full", {}, {0, 1}),
    "everything closed": ("<&- >&- 2>&-", {}, {0, 1}),
    "everything full": (">/dev/full 2>/dev/full", {}, {2}),
    "cp1252": ("", {"PYTHONIOENCODING": "cp1252"}, {0, 1}),
    "ascii": ("", {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}, {0, 1}),
}


def test_there_is_work_for_every_demo():
    assert WORK.keys() == demos().keys()


# A sample: each demo in one way, and one in all.
PAIRS = [
    (demo, way)
    for i, demo in enumerate(WORK)
    for j, way in enumerate([*WAYS, "unread"])
    if demo == "predict" or (i + j) % 18 == 0
]


@pytest.mark.slow
@pytest.mark.parametrize("demo, way", PAIRS)
def test_a_demo_ends_in_order_whatever_its_output_leads_to(demo, way, tmp_path):
    prepare(tmp_path)
    redirect, variables, expected = WAYS.get(way, ("", {}, {141}))
    process = started(demo, tmp_path, redirect, env=variables)
    if way == "unread":
        process.stdout.close()
        process.stdout = None
    _, errors = process.communicate(timeout=300)
    assert process.returncode in expected, errors.decode()
    expect_a_line_at_most(errors)
    if way == "full":
        assert errors.decode() == f"{demo}: [Errno 28] No space left on device: 'standard output'\n"
    if demo in TRAINS:
        kinds = {"detect": Finder, "pretrain": Pretrainer, "read": Transcriber}
        kinds.get(demo, Classifier).load(tmp_path / "runs" / "made")
        assert (tmp_path / "runs" / "made" / "result.json").is_file()


class Broken(io.StringIO):
    encoding = "cp1252"

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_what_an_encoding_lacks_is_written_as_an_escape():
    under = io.TextIOWrapper(io.BytesIO(), "cp1252", newline="\n")
    print("Σ x² – \udcff", file=Stream(under), flush=True)
    assert under.buffer.getvalue() == "\\u03a3 x² – \\udcff\n".encode("cp1252")


def test_output_that_fails_raises_once_and_says_what_it_is():
    output = Stream(Broken())
    with pytest.raises(OSError, match="No space left on device: 'standard output'"):
        output.write("a")
    assert output.write("b") == 1
    with pytest.raises(OSError, match="standard output"):
        output.flush()


def test_streams_that_are_closed_are_opened_and_errors_of_stderr_dropped(monkeypatch):
    for name in ("stdin", "stdout"):
        monkeypatch.setattr(sys, name, None)
    monkeypatch.setattr(sys, "stderr", Broken())
    with reliable():
        print("to nobody", flush=True)
        print("nobody to tell", file=sys.stderr, flush=True)
        assert sys.stdin.read() == ""
        opened = sys.stdin, sys.stdout.stream
    for stream in opened:
        stream.close()


def test_work_goes_on_that_nobody_reads_and_the_error_follows(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    done = []
    with open(writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", Stream(output))
        with pytest.raises(BrokenPipeError, match="standard output"), unread():
            for number in range(3):
                print(number, flush=True)
                done.append(number)
    assert done == [0, 1, 2]
