"""Pictures of numbers: small matrices with their entries, and which places look alike."""

import numpy as np
from matplotlib.figure import Figure

READABLE = 100  # entries; a matrix with more is drawn without its numbers
CELL, SMALL = 0.62, 2.6  # inches: an entry with its number; the shorter side without
LIMITS = (2.2, 5.0)  # inches: the width of a matrix without numbers


def matrices(arrays, digits=2):
    """A row of matrices {name: (R, C)}: red is above zero, blue below, white is zero.

    Each has a colour scale of its own. Small ones show their numbers, with so many digits after
    the point.
    """
    arrays = {name: np.atleast_2d(array) for name, array in arrays.items()}
    sizes = [_size(array.shape) for array in arrays.values()]
    widths, heights = ([size[axis] for size in sizes] for axis in (0, 1))
    tall = max(heights)
    figure = Figure(figsize=(sum(widths) + 0.3 * len(arrays), tall + 0.5), layout="constrained")
    row = figure.subplots(1, len(arrays), squeeze=False, width_ratios=widths)[0]
    for axes, (name, array) in zip(row, arrays.items(), strict=True):
        limit = abs(array).max() or 1
        axes.imshow(array, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{name}   {array.shape[0]} × {array.shape[1]}", fontsize=10)
        if array.size <= READABLE:
            for (i, j), number in np.ndenumerate(array):
                ink = "white" if abs(number) > 0.6 * limit else "black"
                words = dict(ha="center", va="center", fontsize=9, color=ink)
                axes.text(j, i, f"{number:.{digits}f}", **words)
    return figure


def _size(shape):
    """Width and height of the picture of a matrix, in inches."""
    rows, columns = shape
    if rows * columns <= READABLE:
        return CELL * columns + 0.2, CELL * rows
    width = np.clip(SMALL * columns / rows, *LIMITS)
    return width, width * rows / columns


def similarity_maps(tables, rows, columns, every=1):
    """For each table {name: (N, D)} of positions, who looks like whom: a map for each place.

    Each map is rows x columns, N = rows · columns, and shows the cosine of the place's vector with
    those of all places; the maps stand where their places are. Yellow is alike, blue is not.

    every: draw only each so manieth row and column of maps
    """
    figure = Figure(figsize=(3.3 * len(tables), 3.6), layout="constrained")
    row = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, (name, table) in zip(row, tables.items(), strict=True):
        units = table / np.linalg.norm(table, axis=1, keepdims=True)  # (N, D)
        maps = (units @ units.T).reshape(rows, columns, rows, columns)[::every, ::every]
        framed = np.pad(maps, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=np.nan)
        R, S, tall, wide = framed.shape
        axes.imshow(framed.transpose(0, 2, 1, 3).reshape(R * tall, S * wide), vmin=-1, vmax=1)
        axes.set_title(name, fontsize=10)
        axes.axis("off")
    return figure
