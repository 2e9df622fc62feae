import errno
import os
import stat

import pytest

from minivit.files import remove_unfinished, write_file


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "fdopen", "replace"])
def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch, call):
    path = tmp_path / "config.json"
    write_file(path, b"old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left on device: '.*config.json'") as failed:
        write_file(path, b"new")
    assert failed.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


def test_what_cannot_be_begun_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file or directory: '.*nowhere/a.json'"):
        write_file(tmp_path / "nowhere" / "a.json", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="'.*file/a.json'"):
        write_file(tmp_path / "file" / "a.json", b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folders")
def test_the_file_is_on_disk_before_it_has_its_name_and_then_the_name(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def watched_fsync(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def watched_replace(*paths):
        done.append("rename")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write_file(tmp_path / "a", b"data")
    assert done == ["file", "rename", "folder"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    write_file(tmp_path / "kept", b"data")
    (tmp_path / ".gitignore").write_bytes(b"*")
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, "replace", full)
        patch.setattr(os, "unlink", lambda path: None)  # as if killed here
        write_file(tmp_path / "lost", b"data")
    assert len(list(tmp_path.iterdir())) == 3
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "kept"]
