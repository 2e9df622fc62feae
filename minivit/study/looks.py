"""Where a decoder looked, as pictures that can be checked by eye."""

from matplotlib.figure import Figure

from .figures import RED


def looks(attention, written, given, right=None):
    """A map for each head of each block: what was written, and where the decoder looked for it.

    attention: for each block (h, T, S), what share of a row's attention each given token got
    written:   the T tokens, from top to bottom; given: the S, from left to right
    right:     for each row the columns where one would look, which are framed; or None
    """
    blocks, heads = len(attention), len(attention[0])
    side = 0.25 * max(len(written), len(given)) + 0.4
    figure = Figure(figsize=(heads * side, blocks * side + 0.3), layout="constrained")
    grid = figure.subplots(blocks, heads, squeeze=False)
    for number, of_block in enumerate(attention):
        for head, att in enumerate(of_block):
            axes = grid[number, head]
            axes.imshow(att, cmap="Blues", vmin=0, vmax=1)
            axes.set_title(f"block {number}, head {head}", fontsize=9)
            axes.set_xticks(range(len(given)), given, fontsize=7)
            axes.set_yticks(range(len(written)), written, fontsize=7)
            for row, columns in enumerate(right or ()):
                rows = [row] * len(columns)
                axes.plot(columns, rows, "s", markersize=11, markerfacecolor="none", color=RED)
    return figure
