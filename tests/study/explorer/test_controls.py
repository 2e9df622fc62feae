"""Every control of the page, by mouse, by touch and by keyboard, on three widths of screen."""

import base64
import itertools
import json
import re

import numpy as np
import pytest

from tests.study.explorer.cases import classifier_of, data_of
from tests.study.explorer.reading import came, finger, named, until

pytestmark = pytest.mark.slow

LEARNED = "[learning.steps, learning.running]"
TOUR = "[byId('tour').hidden, tour.at]"
CONTROLS = [  # a pattern of ids, what comes before, one of them, and what it changes
    (r"part-.*", "", "part-head", "state.line.part"),
    (r"line-.*", "", "line-head.dw", "state.line.result.name"),
    (r"heads-\d", "look('blocks.0.attn.q')", "heads-1", "state.head"),
    (r"map-query(-cls)?", "look('blocks.0.attn.q')", "map-query", "state.query"),
    (r"map-d?(att|scores|q|k|v)(-cls)?", "look('blocks.0.attn.q')", "map-datt", "state.line.kind"),
    (r"matrix-\d", "look('head.y')", "matrix-1", "state.cell"),
    (r"image|pixels", "", "pixels", "state.cell"),
    (r"digit-\d", "", "digit-2", "state.digit"),
    (r"truth", "", "truth", "net.label"),
    (r"board", "", "board", "[...state.pixels]"),
    (r"board-undo", "", "board-undo", "inkOnBoard()"),
    (r"board-clear", "draw()", "board-clear", "inkOnBoard()"),
    (r"learn-1", "", "learn-1", LEARNED),
    (r"learn-10", "", "learn-10", LEARNED),
    (r"learn-100", "", "learn-100", LEARNED),
    (r"stop", "learnSlowly()", "stop", "learning.stop || !learning.running"),
    (r"undo", "", "undo", LEARNED),
    (r"optimizer", "", "optimizer", "byId('rate').value"),
    (r"batch", "", "batch", "byId('batch').value"),
    (r"rate", "", "rate", "byId('rate-text').textContent"),
    (r"weights", "", "weights", "byId('change-after').ariaLabel"),
    (r"change-(before|after|change|gradient)", "watch('head.w')", "change-after",
     "byId('change-value').textContent"),
    (r"fresh", "", "fresh", "net.parameters.get('patches.w').data[5]"),
    (r"original", "", "original", "net.parameters.get('patches.w').data[5]"),
    (r"load-stages", "", "load-stages", "byId('replay').hidden"),
    (r"stage", "", "stage", "byId('stage-text').textContent"),
    (r"eps", "look('head.y')", "eps", "nudged.eps"),
    (r"any-eps", "look('head.y')", "any-eps", "nudged.eps"),
    (r"copy", "", "copy", "byId('numpy').hidden"),
    (r"numpy", "document.activeElement.blur()", "numpy", "document.activeElement.id"),
    (r"save", "", "save", "byId('shared').textContent"),
    (r"sum", "", "sum", "document.activeElement.id"),
    (r"code", "", "code", "document.activeElement.id"),
    (r"word", "", "word", "byId('word').textContent"),
    (r"derivation", "", "derivation", "document.activeElement.href"),
    (r"tour-open", "", "tour-open", TOUR),
    (r"answer-\d", "", "answer-1", "byId('tour-then').textContent"),
    (r"tour-next", "", "tour-next", TOUR),
    (r"tour-back", "", "tour-back", TOUR),
    (r"tour-play", "", "tour-play", "byId('tour-play').textContent"),
    (r"tour-close", "", "tour-close", TOUR),
]  # fmt: skip
WITHOUT_ID = {"word": "#part-words .word", "derivation": "#part-words a, #line-words a"}
HELP = """() => {
    addEventListener("click", (event) => event.target.tagName === "A" && event.preventDefault());
    window.look = (name) => update({ line: net.arrays.get(name).line });
    window.watch = (name) => drawLearning((byId("weights").value = name));
    window.inkOnBoard = () => byId("board").toDataURL().length;
    window.learnSlowly = () => {
        const step = OPTIMIZERS[byId("optimizer").value];
        OPTIMIZERS[byId("optimizer").value] = (...all) => {
            for (const end = performance.now() + 100; performance.now() < end; );
            step(...all);
        };
        learnFor(100);
    };
}"""


@pytest.fixture(scope="module")
def data():
    return data_of(classifier_of(), drawing=True, stages="stages.js", derivations="derivations/")


@pytest.fixture
def full_page(page_of, data, tmp_path):
    """Opens a page that has every control."""
    halves = np.linspace(-1, 1, data["model"]["parameters"]).astype("<f2")
    text = base64.b64encode(halves.tobytes()).decode()
    stage = dict(name="after 1 epoch", step=3, accuracy=0.5, float16=text)
    (tmp_path / "stages.js").write_text(f"receiveStages({json.dumps([stage, stage])});")

    def open_full_page(**settings):
        return page_of(data, expected=[tmp_path.as_uri(), "blob:"], **settings)

    return open_full_page


def use(page, way, control):
    """Act on a control as people do, by "mouse", "touch" or "keyboard"."""
    kind, box = control.evaluate("one => [one.type || one.tagName, one.getBoundingClientRect()]")
    there = dict(x=0.2 * box["width"], y=0.7 * box["height"])
    press = page.keyboard.press
    if way == "keyboard":
        control.focus()
    elif kind not in ("select-one", "CANVAS", "range"):
        control.tap() if way == "touch" else control.click()
    elif kind != "select-one":
        control.tap(position=there) if way == "touch" else control.click(position=there)
    if kind == "number":
        press("Control+A")
        page.keyboard.type("0.37")
        press("Enter")
    elif kind == "select-one" and way != "keyboard":  # its list is the browser's own
        control.select_option(index=(control.evaluate("one => one.selectedIndex") or 0) + 1)
    elif way == "keyboard" and kind == "select-one":
        press("ArrowDown")
    elif way == "keyboard" and kind == "range":
        press("ArrowLeft")
    elif way == "keyboard" and kind == "CANVAS":
        press("ArrowDown")
        press("ArrowRight")
        press("Enter")
    elif way == "keyboard" and kind in ("submit", "button", "g"):
        press("Enter")


def draw(page, way):
    """Draw a line on the board."""
    board = page.locator("#board")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    points = [(box["x"] + share * box["width"], box["y"] + 0.4 * box["height"])
              for share in (0.3, 0.5, 0.7)]  # fmt: skip
    if way == "keyboard":
        board.focus()
        for key in ("Space", *["Shift+ArrowRight"] * 3, "Space"):
            page.keyboard.press(key)
    elif way == "touch":
        finger(page, points)
    else:
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()


SCREENS = [(390, "touch"), (768, "keyboard"), (1440, "mouse")]


@pytest.mark.parametrize(
    "width, way",
    [
        pytest.param(*screen, marks=[] if screen in SCREENS else pytest.mark.thorough)
        for screen in itertools.product([390, 768, 1440], ["mouse", "touch", "keyboard"])
    ],
)
def test_every_control_does_what_it_is_for(full_page, width, way):
    page = full_page(width=width, height=900, has_touch=way == "touch", is_mobile=way == "touch")
    page.evaluate(HELP)
    for _, before, name, seen in CONTROLS:
        if before == "draw()":
            draw(page, way)
        elif before:
            page.evaluate(f"void {before}")
        if name in ("eps", "any-eps"):
            until(page, "nudged.slope !== null")
        was = page.evaluate(f"JSON.stringify({seen}, {KEY})")
        changed = f"JSON.stringify({seen}, {KEY}) !== {json.dumps(was)}"
        for _ in range(2):  # now and then the browser swallows a tap that follows a swipe
            if name == "board":
                draw(page, way)
            else:
                use(page, way, page.locator(WITHOUT_ID.get(name, named(name))).first)
            if way != "touch" or came(page, changed):
                break
        until(page, changed)
        if name.startswith("learn"):
            until(page, "!learning.running")
            count = int(name.removeprefix("learn-"))
            assert page.evaluate("learning.steps") == json.loads(was)[0] + count, name
        if name == "stop":
            until(page, "!learning.running")
            assert page.evaluate("learning.steps") < 211
        if name == "word":
            assert page.evaluate("byId('word').matches(':popover-open')")
            page.keyboard.press("Escape")


KEY = "(name, value) => (value?.shape ? value.name : value)"  # arrays are written as their names
CONTROL = "button, input, select, textarea, a, summary, [tabindex], [contenteditable]"


@pytest.mark.parametrize("changes", [{}, dict(pool="cls")], ids=str)
def test_no_control_is_missing_from_the_list(page_of, tmp_path, changes):
    (tmp_path / "stages.js").write_text("receiveStages([]);")
    options = dict(drawing=True, stages="stages.js", derivations="derivations/")
    page = page_of(data_of(classifier_of(**changes), **options), expected=[tmp_path.as_uri()])
    found = page.evaluate(
        """(kind) => {
            const found = new Set();
            const collect = () => {
                for (const { id, tagName, className } of document.querySelectorAll(kind))
                    found.add(id || (tagName === "A" ? "derivation" : className));
            };
            for (const { line } of net.arrays.values()) collect(update({ line }));
            for (const at of range(STOPS.length)) collect(openTour(at));
            return [...found];
        }""",
        CONTROL,
    )
    patterns = [pattern for pattern, *_ in CONTROLS]
    for name in found:
        assert sum(bool(re.fullmatch(pattern, name)) for pattern in patterns) == 1, name
    for pattern in patterns:
        assert any(re.fullmatch(pattern, name) for name in found), f"there is no {pattern}"
