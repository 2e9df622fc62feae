import numpy as np
import pytest

from minivit.study import figures
from minivit.study.figures import RED
from minivit.study.reading_figure import letters, letters_figure, readings_figure
from minivit.transcriber import Reading
from tests.test_transcriber import IMAGES, untrained

IMAGE = IMAGES[0][..., None]


def test_attention_is_shared_out_among_the_patches_of_the_picture():
    transcriber = untrained()
    names, attention, _ = letters(transcriber, IMAGE)
    text = transcriber.transcribe(IMAGE[None])[0].text
    assert names == [*text, "end"] and attention.shape == (len(names), 8, 12)
    of_patches = attention[:, 0, ::2]
    np.testing.assert_allclose(of_patches.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(
        attention, of_patches[:, None].repeat(2, axis=2).repeat(8, axis=1)
    )


def test_gradients_say_how_much_a_letters_logit_grows():
    transcriber = untrained()
    transcriber = transcriber.with_params(transcriber.params.astype(np.float64))
    names, _, gradients = letters(transcriber, IMAGE)
    numbers = transcriber.vocabulary.encode(["".join(names[:-1])], 4)
    x = transcriber.normalize(IMAGE[None]).astype(np.float64)
    moved = x.copy()
    moved[0, 3, 5] += 1e-5
    told = transcriber.model.told(numbers)
    before, after = (
        transcriber.model.forward(transcriber.params, y, **told)[0] for y in (x, moved)
    )
    for place in range(len(names)):
        slope = (after - before)[0, place, numbers[0, place + 1]] / 1e-5
        assert gradients[place, 3, 5] == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_a_row_for_each_letter():
    transcriber = untrained()
    names, *_ = letters(transcriber, IMAGE)
    figure = letters_figure(transcriber, IMAGE)
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == names
    assert figures.png(figure).startswith(b"\x89PNG")


def test_a_sheet_says_what_is_wrong():
    readings = [Reading("ab", 0.993), Reading("", 0.5)]
    figure = readings_figure(IMAGES[:2, ..., None], readings, ["ab", "c"])
    first, second, third = (axes.title for axes in figure.axes)
    assert (first.get_text(), second.get_text()) == ("ab  99%", "  50%, not c")
    assert (first.get_color(), second.get_color(), third.get_text()) == ("black", RED, "")
