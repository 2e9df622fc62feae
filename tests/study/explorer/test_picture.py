import cv2
import numpy as np
import pytest

from minivit.study.explorer.picture import read_picture


@pytest.fixture
def file(tmp_path):
    def write(image):
        path = str(tmp_path / "digit.png")
        cv2.imwrite(path, image)
        return path

    return write


def seven(paper, ink, shape=(300, 200, 3), place=(40, 120)):
    image = np.full(shape, paper, np.uint8)
    return cv2.putText(image, "7", place, cv2.FONT_HERSHEY_SIMPLEX, 3, (ink,) * 3, 12)


def test_a_digit_is_light_on_black_in_the_middle_and_as_large_as_in_mnist(file):
    digit = read_picture(file(seven(230, 20)), 28, 28)
    assert digit.shape == (28, 28) and digit.dtype == np.uint8
    assert digit.max() == 255 and digit[0].max() == digit[:, 0].max() == 0
    rows, columns = np.nonzero(digit)
    assert rows.min() == 4 and rows.max() == 23  # 20 of 28
    assert abs(columns.min() + columns.max() - 27) <= 1


def test_paper_and_ink_may_change_places_and_the_digit_its_place(file):
    expected = read_picture(file(seven(230, 20)), 28, 28).astype(int)
    for other in (seven(20, 230), seven(230, 20, place=(90, 200))):
        assert np.abs(read_picture(file(other), 28, 28) - expected).max() <= 2


def test_refuses_what_is_no_picture_of_a_digit(file, tmp_path):
    with pytest.raises(ValueError, match="digit.png is of one tone; expected a digit"):
        read_picture(file(np.full((30, 30), 200, np.uint8)), 28, 28)
    for content in (b"", b"text"):
        (tmp_path / "no.png").write_bytes(content)
        with pytest.raises(ValueError, match="no.png is no image that OpenCV can read"):
            read_picture(tmp_path / "no.png", 28, 28)
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "missing.png", 28, 28)
