"""Drawing a digit: the image that is made of it is the Python code's, and every pen can draw."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from minivit.data import scans
from minivit.study.explorer import page

pytestmark = pytest.mark.slow
SIZES = [(28, 28), (20, 33), (41, 32), (56, 56), (9, 9)]


def prepared(ink, height, width):
    """What `centred` shall return, (height, width): naive, axis by axis."""
    for _ in range(2):
        drawn = np.flatnonzero((ink > 0.5).any(axis=1))
        ink = ink[drawn[0] : drawn[-1] + 1].T
    scale = 20 / 28 * min(height, width) / max(ink.shape)
    for _ in range(2):
        ink = resized(ink, max(1, int(len(ink) * scale + 0.5))).T
    image = np.zeros((height, width))
    corners = []
    for axis, size in enumerate(image.shape):
        places = np.arange(ink.shape[axis])
        middle = np.average(places, weights=ink.sum(axis=1 - axis))
        corners.append(int(np.clip(round(size / 2 - middle), 0, size - len(places))))
    top, left = corners
    image[top : top + ink.shape[0], left : left + ink.shape[1]] = 255 * ink
    return image


def resized(lines, count):
    """Lines averaged to fewer by area, each cut into `count` parts; or interpolated to more."""
    if count <= len(lines):
        return np.repeat(lines, count, axis=0).reshape(count, len(lines), -1).mean(axis=1)
    places = (np.arange(count) + 0.5) * len(lines) / count - 0.5
    known = np.arange(len(lines))
    return np.stack([np.interp(places, known, column) for column in lines.T], axis=1)


def blobs(rng, rows, cols):
    """A few discs with soft edges, somewhere on a board."""
    y, x = np.mgrid[:rows, :cols]
    ink = np.zeros((rows, cols))
    for _ in range(rng.integers(1, 5)):
        i, j, radius = (
            rng.uniform(0, rows),
            rng.uniform(0, cols),
            rng.uniform(2, min(rows, cols) / 4),
        )
        ink = np.maximum(ink, np.clip(radius - np.hypot(y - i, x - j), 0, 1))
    return ink


@pytest.fixture
def open_board(browser):
    """Opens a page with nothing but a board; `seen` are the pictures that it has told of."""
    contexts, said = [], []

    def open_page(height=28, width=28, style="", **settings):
        contexts.append(browser.new_context(viewport=dict(width=600, height=600), **settings))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.set_content(f"<!doctype html><style>canvas {{ width: 280px }} {style}</style>")
        tab.add_script_tag(path=page.HERE / "dom.js")
        tab.add_script_tag(path=page.HERE / "heatmap.js")
        tab.add_script_tag(path=page.HERE / "draw.js")
        tab.evaluate(
            """([height, width]) => {
                window.seen = [];
                const onChange = (pixels) => seen.push(pixels && [...pixels]);
                window.board = drawingBoard({ id: "board", height, width, onChange });
                document.body.append(board);
            }""",
            [height, width],
        )
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def tab(open_board):
    return open_board()


def seen(tab):
    return tab.evaluate("seen")


def last(tab):
    return np.array(seen(tab)[-1], np.uint8).reshape(28, 28)


def at(tab, x, y):
    """The place on the screen of a place on the board."""
    box = tab.locator("#board").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def stroke(tab, *points):
    tab.mouse.move(*at(tab, *points[0]))
    tab.mouse.down()
    for point in points[1:]:
        tab.mouse.move(*at(tab, *point), steps=5)
    tab.mouse.up()


def press(tab, *keys):
    for key in keys:
        tab.keyboard.press(key)


def colours(tab):
    """The colours of the board, (560, 560, 4) as red, green, blue and how opaque it is."""
    url = tab.evaluate("byId('board').toDataURL()")
    return np.array(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def ink_of(tab):
    return colours(tab)[..., 3]


def upright(image):
    """Whether a picture is a stroke of MNIST's breadth from top to bottom, in the middle."""
    rows, columns = np.nonzero(image > 127)
    return (
        (np.ptp(rows), np.ptp(columns)) in [(19, 1), (19, 2), (19, 3)]
        and abs(rows.mean() - 13.5) <= 1
        and abs(columns.mean() - 13.5) <= 1
    )


CENTRED = """([ink, rows, cols, height, width]) => {
    const pixels = centred(Float64Array.from(ink), rows, cols, height, width);
    return pixels && [...pixels];
}"""


def centred(tab, ink, height, width):
    return tab.evaluate(CENTRED, [ink.ravel().tolist(), *ink.shape, height, width])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("board", [(112, 112), (40, 71), (30, 13)])
def test_a_drawing_is_prepared_as_in_python(tab, board, size):
    rng = np.random.default_rng([*board, *size])
    for _ in range(10):
        ink = blobs(rng, *board)
        found = np.reshape(centred(tab, ink, *size), size)
        assert abs(found - prepared(ink, *size)).max() < 0.5 + 1e-9


def test_a_drawing_is_prepared_as_a_photo_is(tab):
    rng = np.random.default_rng(0)
    for _ in range(10):
        ink = blobs(rng, 112, 112)
        ink[10:40, 20:31] = 1  # never so small that it must grow, which OpenCV does by cubics
        rows, columns = (np.flatnonzero((ink > 0.5).any(axis=axis)) for axis in (1, 0))
        box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
        found = np.reshape(centred(tab, ink, 28, 28), (28, 28))
        assert abs(found - scans._centred(box)[..., 0].astype(int)).max() <= 1


def test_nothing_is_made_of_an_empty_drawing(tab):
    assert centred(tab, np.zeros((5, 4)), 28, 28) is None
    assert centred(tab, np.full((5, 4), 0.5), 28, 28) is None


def test_draws_with_the_mouse(tab):
    tab.mouse.move(*at(tab, 0.1, 0.1))
    assert seen(tab) == []
    stroke(tab, (0.3, 0.2), (0.3, 0.8))
    assert len(seen(tab)) == 1 and upright(last(tab))
    tab.mouse.move(*at(tab, 0.8, 0.8))  # with the pen up
    assert len(seen(tab)) == 1
    ink = ink_of(tab)
    assert ink[280, 168] == 255 and ink[280, 240] == ink[448, 448] == 0
    stroke(tab, (0.3, 0.2), (0.9, 0.2))
    assert len(seen(tab)) == 2 and (last(tab)[:9, 8:20] > 127).any(axis=0).all()


def test_draws_a_dot_and_beyond_the_edge(tab):
    stroke(tab, (0.5, 0.5))
    rows, columns = np.nonzero(last(tab) > 127)
    assert (np.ptp(rows), np.ptp(columns)) == (19, 19) and len(rows) < 0.9 * 20 * 20
    tab.click("#board-clear")
    stroke(tab, (0.5, 0.5), (1.4, 0.5), (1.4, 1.3))
    assert ink_of(tab)[280:, -1].all()


def test_another_button_of_the_mouse_does_not_draw(tab):
    tab.mouse.move(*at(tab, 0.5, 0.5))
    tab.mouse.down(button="right")
    tab.mouse.move(*at(tab, 0.6, 0.6))
    tab.mouse.up(button="right")
    assert seen(tab) == [] and not ink_of(tab).any()


def test_draws_with_one_finger(open_board):
    tab = open_board(has_touch=True, is_mobile=True, style="body { height: 3000px }")
    send = tab.context.new_cdp_session(tab).send

    def touch(kind, *points):
        points = [dict(x=x, y=y, id=n) for n, (x, y) in enumerate(at(tab, *p) for p in points)]
        send("Input.dispatchTouchEvent", dict(type=kind, touchPoints=points))

    touch("touchStart", (0.5, 0.9))
    for y in (0.7, 0.5, 0.3):
        touch("touchMove", (0.5, y))
    touch("touchStart", (0.5, 0.3), (0.9, 0.9))  # a second finger
    touch("touchMove", (0.5, 0.3), (0.1, 0.9))
    touch("touchMove", (0.5, 0.1), (0.1, 0.1))
    touch("touchEnd")
    assert len(seen(tab)) == 1 and upright(last(tab))
    assert tab.evaluate("scrollY") == 0
    tab.touchscreen.tap(*at(tab, 0.9, 0.5))
    assert len(seen(tab)) == 2 and not upright(last(tab))


def test_draws_by_keyboard(tab):
    press(tab, "Tab")
    assert tab.evaluate("document.activeElement.id") == "board"
    before = ink_of(tab)
    assert before[280, 280] and not before[200, 280]  # the cursor
    press(tab, *["ArrowUp"] * 5, *["Shift+ArrowLeft"] * 2)
    assert seen(tab) == []
    assert tab.text_content("[aria-live]").strip() == "Pen up, column 6, row 9."
    press(tab, "Space", *["ArrowDown"] * 9)
    assert tab.text_content("[aria-live]").strip() == "Pen down, column 6, row 18."
    assert len(seen(tab)) == 10 and upright(last(tab))
    press(tab, "Space", "ArrowRight")
    assert len(seen(tab)) == 11 and seen(tab)[10] == seen(tab)[9]
    assert tab.text_content("[aria-live]").strip() == "Pen up, column 7, row 18."
    press(tab, *["Shift+ArrowRight"] * 9)
    assert tab.text_content("[aria-live]").strip() == "Pen up, column 28, row 18."


def test_says_how_the_keyboard_draws_and_shows_the_cursor_only_with_it(tab):
    label = tab.get_attribute("#board", "aria-label")
    assert tab.get_attribute("#board", "role") == "application"
    assert all(key in label for key in ("arrow keys", "Shift", "Space", "Escape", "Delete"))
    stroke(tab, (0.2, 0.2), (0.2, 0.8))
    drawn = ink_of(tab)
    press(tab, "Shift+ArrowRight")
    assert (ink_of(tab) != drawn).any()
    press(tab, "Tab")
    assert (ink_of(tab) == drawn).all()
    press(tab, "Shift+Tab", "Space")
    assert len(seen(tab)) == 2
    press(tab, "Tab", "Shift+Tab", "ArrowUp")  # leaving has lifted the pen
    assert len(seen(tab)) == 2
    press(tab, "Control+a", "a")
    assert len(seen(tab)) == 2


def test_keys_and_the_mouse_do_not_disturb_one_another(open_board):
    tab = open_board(style="body { height: 3000px }")
    press(tab, "Tab", "Space")
    told = "Pen down, column 14, row 14."
    tab.mouse.move(*at(tab, 0.1, 0.1))
    press(tab, "ArrowRight", "ArrowLeft")
    assert tab.text_content("[aria-live]").strip() == told and not ink_of(tab)[:200].any()
    stroke(tab, (0.2, 0.2), (0.2, 0.8))
    assert tab.text_content("[aria-live]").strip() == told  # the words are of the keyboard's pen
    before = len(seen(tab))
    tab.mouse.move(*at(tab, 0.9, 0.9))
    press(tab, "ArrowLeft")
    assert tab.text_content("[aria-live]").strip() == "Pen up, column 5, row 22."
    assert len(seen(tab)) == before and not ink_of(tab)[:, 400:].any()
    assert tab.evaluate("scrollY") == 0


def test_space_held_down_puts_the_pen_down_once(tab):
    press(tab, "Tab")
    for _ in range(2):
        tab.keyboard.down("Space")
    tab.keyboard.up("Space")
    assert tab.text_content("[aria-live]").strip() == "Pen down, column 14, row 14."


@pytest.mark.parametrize("key", ["Escape", "Delete"])
def test_clears_by_keyboard(tab, key):
    stroke(tab, (0.2, 0.2), (0.2, 0.8))
    press(tab, "Space", "ArrowUp", key)
    assert len(seen(tab)) == 4 and seen(tab)[-1] is None
    press(tab, "ArrowUp")  # the pen is up
    assert len(seen(tab)) == 4


def test_undo_and_clear(tab):
    stroke(tab, (0.3, 0.2), (0.3, 0.8))
    drawn = ink_of(tab)
    stroke(tab, (0.3, 0.2), (0.9, 0.2))
    tab.click("#board-undo")
    assert seen(tab)[2] == seen(tab)[0] != seen(tab)[1]
    assert (ink_of(tab) == drawn).all()
    stroke(tab, (0.3, 0.2), (0.9, 0.2))
    assert seen(tab)[3] == seen(tab)[1]
    tab.click("#board-clear")
    assert len(seen(tab)) == 5 and seen(tab)[4] is None and not ink_of(tab).any()
    tab.click("#board-undo")  # there is nothing to undo
    assert seen(tab)[5] is None


def test_the_page_can_clear_the_board_and_is_not_told(tab):
    stroke(tab, (0.3, 0.2), (0.3, 0.8))
    press(tab, "Space")
    tab.evaluate("board.clear()")
    assert not ink_of(tab)[:400].any()  # but for the cursor
    press(tab, "ArrowUp")  # the pen is up
    assert len(seen(tab)) == 2
    stroke(tab, (0.8, 0.2), (0.8, 0.8))
    assert seen(tab)[2] == seen(tab)[0]


def test_the_image_depends_on_neither_theme_nor_screen(open_board):
    images = []
    style = ":root { --text: #111111 }"
    style += "@media (prefers-color-scheme: dark) { :root { --text: #eeeeee } }"
    for scheme, density in (("light", 1), ("dark", 3)):
        tab = open_board(style=style, color_scheme=scheme, device_scale_factor=density)
        stroke(tab, (0.3, 0.2), (0.3, 0.8))
        images.append(seen(tab))
        assert colours(tab)[280, 168, 0] == dict(light=0x11, dark=0xEE)[scheme]
        other = dict(light="dark", dark="light")[scheme]
        tab.emulate_media(color_scheme=other)
        tab.wait_for_timeout(100)
        assert colours(tab)[280, 168, 0] == dict(light=0x11, dark=0xEE)[other]
    assert images[0] == images[1]


def test_the_image_has_the_size_asked_for(open_board):
    tab = open_board(20, 33)
    stroke(tab, (0.3, 0.2), (0.3, 0.8))
    rows, columns = np.nonzero(np.reshape(seen(tab)[0], (20, 33)) > 127)
    assert np.ptp(rows) == 13 and abs(rows.mean() - 9.5) <= 1 and abs(columns.mean() - 16) <= 1
