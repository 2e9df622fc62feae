import os
import re

import pytest

from minivit import checksums
from minivit.checksums import CHECKSUMS, expect_undamaged, write_summed
from minivit.files import read_json, write_json

SUM = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of b"abc", FIPS 180-2


def refused(path):
    return pytest.raises(
        ValueError,
        match=f"^{re.escape(str(path))} is damaged.*Put back a good copy; resuming the run writes",
    )


def test_the_sum_is_that_of_fips_180(tmp_path):
    write_summed(tmp_path / "a", b"abc")
    assert read_json(tmp_path / CHECKSUMS) == {"a": [SUM]}
    assert expect_undamaged(tmp_path, "a") is True


def test_of_several_files_the_damaged_one_is_named(tmp_path):
    for name in "abc":
        write_summed(tmp_path / name, b"abc")
    (tmp_path / "b").write_bytes(b"abd")
    assert expect_undamaged(tmp_path, "a", "c")
    with refused(tmp_path / "b"):
        expect_undamaged(tmp_path, "a", "b", "c")


def test_without_sums_nothing_is_known(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert expect_undamaged(tmp_path, "a") is False


def test_beside_sums_a_file_without_one_is_refused(tmp_path):
    write_summed(tmp_path / "a", b"abc")
    (tmp_path / "b").write_bytes(b"abc")
    for name in ("b", "missing"):
        with refused(tmp_path / name):
            expect_undamaged(tmp_path, name)


@pytest.mark.parametrize("known", [True, False], ids=["with sums", "of an earlier version"])
@pytest.mark.parametrize("killed_at", [1, 2])
def test_a_kill_at_either_write_leaves_a_file_that_is_not_refused(
    tmp_path, monkeypatch, known, killed_at
):
    if known:
        write_summed(tmp_path / "a", b"old")
    (tmp_path / "a").write_bytes(b"old")
    for text in (b"new", b"newest"):  # killed again and again
        with monkeypatch.context() as patch:
            left, replace = iter(range(killed_at)), os.replace

            def one_more(*paths, left=left, replace=replace):
                if next(left) == killed_at - 1:
                    raise KeyboardInterrupt
                replace(*paths)

            patch.setattr(os, "replace", one_more)
            with pytest.raises(KeyboardInterrupt):
                write_summed(tmp_path / "a", text)
        assert (tmp_path / "a").read_bytes() == b"old"
        assert expect_undamaged(tmp_path, "a") is (known or killed_at == 2)
    write_summed(tmp_path / "a", b"last")
    assert expect_undamaged(tmp_path, "a")


def test_who_reads_while_a_file_is_replaced_does_not_refuse_it(tmp_path, monkeypatch):
    write_summed(tmp_path / "a", b"old")
    write_summed(tmp_path / "a", b"new")

    def replaced_before_the_sums_are_read(path):
        monkeypatch.undo()
        write_summed(tmp_path / "a", b"newest")
        return read_json(path)

    monkeypatch.setattr(checksums, "read_json", replaced_before_the_sums_are_read)
    assert expect_undamaged(tmp_path, "a")
    assert (tmp_path / "a").read_bytes() == b"newest"


def test_the_sum_of_a_damaged_file_is_not_kept(tmp_path):
    write_summed(tmp_path / "a", b"old")
    (tmp_path / "a").write_bytes(b"old, damaged")
    write_summed(tmp_path / "a", b"new")
    (tmp_path / "a").write_bytes(b"old, damaged")
    with refused(tmp_path / "a"):
        expect_undamaged(tmp_path, "a")


@pytest.mark.parametrize("text", [b"", b"[]", b'{"a": "ba78"}', b'{"a": 3}', b'{"a": null}'])
def test_damaged_sums_are_refused_by_name_and_written_anew(tmp_path, text):
    write_summed(tmp_path / "a", b"abc")
    (tmp_path / CHECKSUMS).write_bytes(text)
    with refused(tmp_path / CHECKSUMS):
        expect_undamaged(tmp_path, "a")
    write_summed(tmp_path / "a", b"abc")
    assert expect_undamaged(tmp_path, "a")


def test_a_pipe_for_the_sums_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / CHECKSUMS)
    with pytest.raises(ValueError, match=f"{CHECKSUMS} is not a file. Put back"):
        expect_undamaged(tmp_path, "a")


def test_sums_that_stay_the_same_are_not_written(tmp_path):
    write_summed(tmp_path / "a", b"abc")
    before = (tmp_path / CHECKSUMS).stat().st_ino
    write_summed(tmp_path / "a", b"abc")
    assert (tmp_path / CHECKSUMS).stat().st_ino == before
    write_json(tmp_path / "a", {}, write_summed)
    assert (tmp_path / CHECKSUMS).stat().st_ino != before
