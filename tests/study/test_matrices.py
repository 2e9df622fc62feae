import numpy as np
import pytest

from minivit.study import figures
from minivit.study.matrices import matrices, similarity_maps


def test_small_matrices_show_their_numbers_large_ones_do_not():
    rng = np.random.default_rng(0)
    arrays = {"q": rng.normal(size=(3, 2)), "b": rng.normal(size=5), "w": rng.normal(size=(11, 13))}
    figure = matrices(arrays, digits=3)
    assert [axes.get_title() for axes in figure.axes] == ["q   3 × 2", "b   1 × 5", "w   11 × 13"]
    for axes, array in zip(figure.axes, arrays.values(), strict=True):
        array = np.atleast_2d(array)
        np.testing.assert_array_equal(axes.images[0].get_array(), array)
        written = {text.get_position()[::-1]: text.get_text() for text in axes.texts}
        expected = {place: f"{number:.3f}" for place, number in np.ndenumerate(array)}
        assert written == (expected if array.size <= 100 else {})
    figures.png(figure)


def test_white_is_zero_and_each_matrix_has_its_own_scale():
    figure = matrices({"small": np.array([[1e-9, -2e-9]]), "zero": np.zeros((2, 2))})
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(-2e-9, 2e-9), (-1, 1)]
    figures.png(figure)


@pytest.mark.parametrize("every", [1, 2])
def test_a_map_shows_the_cosines_of_its_place_with_all_places(every):
    table = np.random.default_rng(0).normal(size=(3 * 5, 7))
    figure = similarity_maps({"random": table}, 3, 5, every)
    shown = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    units = table / np.linalg.norm(table, axis=1, keepdims=True)
    for row in range(0, 3, every):
        for column in range(0, 5, every):
            top, left = row // every * 5 + 1, column // every * 7 + 1  # a frame of one around each
            cosines = (units @ units[row * 5 + column]).reshape(3, 5)
            np.testing.assert_allclose(shown[top : top + 3, left : left + 5], cosines)
            assert np.isnan(shown[top - 1, left])
    figures.png(figure)
