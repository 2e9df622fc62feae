import numpy as np

from minivit.study.looks import looks


def test_a_map_for_each_head_of_each_block():
    attention = np.random.default_rng(0).random((2, 3, 4, 5))
    figure = looks(attention, list("abcd"), list("vwxyz"), [[0], [], [3, 1], [4]])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"block {block}, head {head}" for block in range(2) for head in range(3)]
    np.testing.assert_array_equal(figure.axes[4].images[0].get_array(), attention[1, 1])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == list("abcd")
    framed = [(list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].lines]
    assert framed == [([0], [0]), ([], []), ([3, 1], [2, 2]), ([4], [3])]
