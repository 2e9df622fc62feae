"""How tests read the page and point at it."""

import numpy as np


def number(text):
    return float(text.replace("−", "-"))


def same(text, value, digits=4):
    return abs(number(text) - value) <= 0.51 * 10.0 ** (np.floor(np.log10(abs(value))) - digits + 1)


def point(page, canvas, i, j, rows, cols):
    """Put the mouse into the middle of a cell; a large matrix is scrolled to it in its frame."""
    page.locator(canvas).scroll_into_view_if_needed()
    page.locator(canvas).evaluate(
        "(canvas, share) => { const frame = canvas.parentElement;"
        " frame.scrollLeft = share * canvas.clientWidth - frame.clientWidth / 2; }",
        (j + 0.5) / cols,
    )
    box = page.locator(canvas).bounding_box()
    x, y = box["x"] + (j + 0.5) * box["width"] / cols, box["y"] + (i + 0.5) * box["height"] / rows
    page.mouse.move(x, y)


def until(page, condition):
    """Wait for a condition in JavaScript; the page forbids the eval of Playwright's own way."""
    for _ in range(500):
        if page.evaluate(f"Boolean({condition})"):
            return
        page.wait_for_timeout(20)
    raise AssertionError(condition)
