"""How tests read the page and point at it."""

import numpy as np

PHONE = dict(width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)


def number(text):
    return float(text.replace("−", "-").replace("∞", "inf"))


def same(text, value, digits=4):
    """Whether a number on the page is a value, but for what is not written; or both are nothing."""
    if abs(value) < 1e-14:
        return abs(number(text)) < 1e-14
    if np.isinf(value):
        return number(text) == value
    size = 10.0 ** (np.floor(np.log10(abs(value))) - digits + 1)
    return abs(number(text) - value) <= 0.51 * size


def named(name):
    """The selector of an id that has dots in it."""
    return f"[id='{name}']"


def point(page, canvas, i, j, rows, cols):
    """Put the mouse into the middle of a cell; a large matrix is scrolled to it in its frame."""
    box = page.locator(canvas).evaluate(
        """(canvas, [across, down]) => {
            const frame = canvas.parentElement;
            canvas.scrollIntoView({ block: "center" });
            frame.scrollLeft = across * canvas.clientWidth - frame.clientWidth / 2;
            frame.scrollTop = down * canvas.clientHeight - frame.clientHeight / 2;
            const { x, y, width, height } = canvas.getBoundingClientRect();
            return { x, y, width, height };
        }""",
        [(j + 0.5) / cols, (i + 0.5) / rows],
    )
    x, y = box["x"] + (j + 0.5) * box["width"] / cols, box["y"] + (i + 0.5) * box["height"] / rows
    page.mouse.move(x, y)


def until(page, condition):
    """Wait for a condition in JavaScript; the page forbids the eval of Playwright's own way."""
    assert came(page, condition, seconds=10), condition


def came(page, condition, seconds=2):
    """Whether a condition holds within some seconds."""
    for _ in range(50 * seconds):
        if page.evaluate(f"Boolean({condition})"):
            return True
        page.wait_for_timeout(20)
    return False


def choose_line(page, name):
    """Look at the line of an array, until its number has been moved."""
    page.evaluate(
        """async (name) => {
            update({ line: net.arrays.get(name).line });
            const pause = () => new Promise((go) => setTimeout(go));
            while (nudged.moving && nudged.slope === null) await pause();
        }""",
        name,
    )


def numbers(page, *names):
    """What is written beside the chart of the nudge."""
    return [number(page.text_content(f"#nudge-{name}")) for name in names]


def finger(page, points):
    """Move a finger over the screen, from the first of the points to the last."""
    session = page.context.new_cdp_session(page)
    points = [*points, points[-1]]  # it rests, or the browser ignores a tap that follows
    kinds = ["touchStart", *["touchMove"] * (len(points) - 1), "touchEnd"]
    for kind, place in zip(kinds, [*points, None], strict=True):
        touches = [dict(zip("xy", place, strict=True))] if place else []
        session.send("Input.dispatchTouchEvent", dict(type=kind, touchPoints=touches))
        page.wait_for_timeout(20)
    session.detach()
