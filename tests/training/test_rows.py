import csv
import errno
import hashlib

import pytest

from minivit.training.rows import TYPES, Rows, read_rows


def row(step, **changes):
    usual = dict(
        step=step, epoch=1, loss=0.1 + step / 3, accuracy=0.5, learning_rate=1e-20,
        gradient_norm=3e8, validation_loss=None, validation_accuracy=None,
    )  # fmt: skip
    return usual | changes


ROWS = [row(0), row(1), row(2, validation_loss=1.6, validation_accuracy=0.25), row(3, epoch=2)]


@pytest.fixture
def path(tmp_path):
    """A metrics.csv of four rows, from two sittings."""
    path = tmp_path / "metrics.csv"
    for some in (ROWS[:3], ROWS[3:]):
        with Rows(path) as rows:
            for each in some:
                rows.append(each)
            rows.flush()
    return path


def sum_of(path, count):
    """The sum of the header and the first `count` rows."""
    return hashlib.sha256(b"".join(path.read_bytes().splitlines(True)[: 1 + count])).hexdigest()


def test_rows_that_were_appended_are_read_to_the_last_bit(path):
    assert read_rows(path, 4, sum_of(path, 4)) == ROWS
    with open(path, newline="") as file:  # any other program can read them
        table = list(csv.DictReader(file))
    assert [list(each) for each in table] == [list(TYPES)] * 4
    assert (table[0]["validation_loss"], table[2]["validation_loss"]) == ("", "1.6")


def test_a_row_is_in_the_file_as_soon_as_it_is_appended_and_so_is_the_sum(path):
    with Rows(path) as rows:
        assert rows.sum() == sum_of(path, 4)
        rows.append(row(4))
        assert read_rows(path, 5, rows.sum())[4] == row(4)


@pytest.mark.parametrize("lost", [1, 5, 20])
def test_a_torn_last_row_is_dropped_and_the_next_follows_the_whole_ones(path, lost):
    path.write_bytes(path.read_bytes()[:-lost])
    assert read_rows(path, 3, sum_of(path, 3)) == ROWS[:3]
    with Rows(path) as rows:
        rows.append(row(3, loss=9.0))
    assert read_rows(path, 4, rows.sum()) == [*ROWS[:3], row(3, loss=9.0)]


def test_rows_beyond_the_checkpoint_are_cut_off(path):
    whole = path.read_bytes()
    assert read_rows(path, 2, sum_of(path, 2)) == ROWS[:2]
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:3])
    assert read_rows(path, 0, "") == []
    assert path.read_bytes() == b""


@pytest.mark.parametrize("header", ["", "step,epo", "stop,epoch\n"])
def test_before_the_first_step_there_may_be_no_file_or_a_damaged_header(tmp_path, header):
    path = tmp_path / "metrics.csv"
    assert read_rows(path, 0, "") == []
    path.write_text(header)
    assert read_rows(path, 0, "") == []
    with Rows(path) as rows:
        rows.append(ROWS[0])
    assert read_rows(path, 1, rows.sum()) == ROWS[:1]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data.replace(b"\n1,1,", b"\n1,3,"),  # as plausible as what stood there
        lambda data: data.replace(b"\n1,1,", b'\n1,1,"'),
        lambda data: data.replace(b"\n1,1,", b"\n1,,"),
        lambda data: data.replace(b"0.5,", b""),
        lambda data: data.replace(b"0.5", b"0,5"),
        lambda data: data.replace(b"epoch", b"age"),
        lambda data: data.replace(b"0.5", b"\xff"),
        lambda data: data.replace(b"0.5", b"\r0.5"),
    ],
)
def test_refuses_by_name_what_does_not_have_the_rows(path, change):
    its_sum = sum_of(path, 4)
    path.write_bytes(change(path.read_bytes()))
    message = (
        "metrics.csv is damaged or was edited: it does not begin with the 4 rows that the check"
    )
    with pytest.raises(ValueError, match=message):
        read_rows(path, 4, its_sum)
    path.unlink()
    with pytest.raises(ValueError, match="metrics.csv is damaged .*No such file"):
        read_rows(path, 4, its_sum)


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "metrics.csv"
    path.symlink_to("/dev/full")
    message = "No space left on device: '.*/metrics.csv'"
    with pytest.raises(OSError, match=message) as full, Rows(path) as rows:
        rows.append(ROWS[0])
    assert full.value.errno == errno.ENOSPC
