import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minivit.files import locked, read_json, remove_unfinished, write_file, write_json

ROOT = Path(__file__).parent.parent


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch, call):
    path = tmp_path / "config.json"
    write_file(path, b"old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left on device: '.*config.json'") as failed:
        write_file(path, b"new")
    assert failed.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


def test_a_file_that_cannot_be_created_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file or directory: '.*nowhere/a.json'"):
        write_file(tmp_path / "nowhere" / "a.json", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="'.*file/a.json'"):
        write_file(tmp_path / "file" / "a.json", b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_no_file_takes_the_place_of_a_pipe_or_a_device(tmp_path):
    """The test has a pipe alone: a file in the place of /dev/null would spoil the machine."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="pipe is a device or a pipe; expected the name of a file"):
        write_file(path, b"new")
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_may_read_it(tmp_path, umask, mode):
    usual = os.umask(umask)
    try:
        write_file(tmp_path / "a", b"data")
    finally:
        os.umask(usual)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


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


def test_only_what_a_killed_process_left_is_removed(tmp_path, monkeypatch):
    write_file(tmp_path / "kept", b"data")
    (tmp_path / ".gitignore").write_bytes(b"*")
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, "replace", full)
        patch.setattr(os, "unlink", lambda path: None)  # as if killed here
        write_file(tmp_path / "lost", b"data")
    assert len(list(tmp_path.iterdir())) == 3
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "kept"]


def refused(folder):
    return pytest.raises(OSError, match=f"^another process is at work in {folder}; wait until it")


def test_a_folder_is_locked_until_the_end_or_an_error(tmp_path):
    with locked(tmp_path), refused(tmp_path), locked(tmp_path):
        raise AssertionError
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):  # the file .lock, which may stay, keeps nobody out
        pass


def test_waits_for_the_lock_if_asked_to(tmp_path):
    order = []

    def second():
        with locked(tmp_path, wait=True):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path):
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        "import sys; from minivit.files import locked\n"
        "with locked(sys.argv[1]): print('in', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == b"in\n"
        with refused(tmp_path), locked(tmp_path):
            raise AssertionError
        process.kill()
        process.wait()
        with locked(tmp_path):
            pass


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError()], ids=repr
)
def test_where_there_are_no_locks_nobody_is_kept_out(tmp_path, monkeypatch, error):
    def acquire(_):
        raise error

    monkeypatch.setattr("filelock.FileLock.acquire", acquire)
    with locked(tmp_path), locked(tmp_path):
        pass


def test_json_is_read_as_it_was_written(tmp_path):
    value = {"name": "Zürich", "sizes": [1, None, 0.1]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_json_is_not_read_from_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(ValueError, match=r"config\.json is not a file"):
        read_json(tmp_path / "config.json")
