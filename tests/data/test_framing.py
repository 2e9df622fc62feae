import pytest

from minivit.data.framing import MIDDLE, Framing


@pytest.mark.parametrize(
    "framing, part, whole",
    [
        (MIDDLE, (300, 450), (40, 60)),
        (Framing(0.8), (240, 360), (50, 75)),
        (Framing(squash=True), (300, 451), (40, 60)),
        (Framing(0.8, squash=True), (240, 361), (50, 75)),
    ],
)
def test_the_part_that_is_shown_and_the_whole_of_which_it_is_the_middle(framing, part, whole):
    assert framing.part(300, 451, 40, 60) == part
    assert framing.whole(300, 451, 40, 60) == whole
    assert framing.part(451, 300, 60, 40) == part[::-1]
    assert framing.whole(451, 300, 60, 40) == whole[::-1]


def test_the_longer_side_is_rounded_down_and_nothing_is_less_than_a_pixel():
    assert Framing(0.875).whole(300, 451, 224, 224) == (256, 384)  # 384.9
    assert Framing(0.01).part(1, 3, 40, 60) == (1, 1)


def test_a_share_that_is_a_quotient_gives_its_numbers_back():
    for side in (96, 112, 126, 224, 384):
        for shorter in range(side, 2 * side):
            assert Framing(side / shorter).whole(500, 500, side, side) == (shorter, shorter)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(crop=0), "crop is a share from 0.01 to 1, got 0"),
        (dict(crop=1.01), "crop is a share from 0.01 to 1, got 1.01"),
        (dict(crop=float("nan")), "crop is a share from 0.01 to 1, got nan"),
        (dict(crop="0.9"), "crop is a share from 0.01 to 1, got '0.9'"),
        (dict(squash="no"), "squash is true or false, got 'no'"),
        (dict(interpolation="nearest"), "one of area, bilinear, bicubic, got 'nearest'"),
        (dict(interpolation=[]), r"one of area, bilinear, bicubic, got \[\]"),
    ],
)
def test_refuses_what_is_no_framing(changes, message):
    with pytest.raises(ValueError, match=message):
        Framing(**changes)
