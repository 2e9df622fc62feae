"""Numbers are moved on the page, in a real browser."""

import pytest

from minivit.study import nudge
from minivit.study.explorer.arrays import find
from minivit.study.explorer.scores import STEPS
from tests.study.explorer.reading import number, until

pytestmark = pytest.mark.slow


def test_the_file_alone_moves_the_attention_scores(record, file):
    page = file()
    for block in range(page.evaluate("MODEL.depth")):
        page.click(f"#blocks-{block}")
        for line in ("scores", "dscores"):
            page.click(f"#line-{line}")
            index = tuple(page.evaluate("nudged.target.index"))
            found = nudge(record, f"blocks.{block}.attn.scores", index)
            slope, gradient = (
                number(page.text_content(f"#nudge-{n}")) for n in ("slope", "gradient")
            )
            assert slope == pytest.approx(gradient, rel=1e-3)
            assert gradient == pytest.approx(found.gradient, rel=1e-3)
    page.focus("#eps")
    page.keyboard.press("Home")
    assert number(page.text_content("#nudge-eps-value")) == -1
    low = page.text_content("#nudge-after")
    page.keyboard.press("End")
    assert number(page.text_content("#nudge-eps-value")) == 1
    assert page.text_content("#nudge-after") != low
    page.click("#line-q")
    assert "The explorer's server can move any number" in page.text_content("#nudge")


def test_the_server_moves_any_number(record, url, new_page):
    page = new_page(url)
    for group, lines in {
        "attention": ["q", "att", "dv", "proj.dw"],
        "pixels": ["dpatches"],
    }.items():
        page.click(f"#group-{group}")
        for line in lines:
            page.locator(f"[id='line-{line}']").click()
            page.locator(".chart circle").nth(len(STEPS)).wait_for()
            slope, gradient = (
                number(page.text_content(f"#nudge-{n}")) for n in ("slope", "gradient")
            )
            assert slope == pytest.approx(gradient, rel=1e-3), line
            name, index = page.evaluate("[nudged.target.name, nudged.target.index]")
            assert gradient == pytest.approx(
                nudge(record, find(record, name), index).gradient, rel=1e-3
            )
    page.fill("#any-eps", "0.25")
    page.keyboard.press("Tab")
    page.locator(".chart circle").nth(len(STEPS) + 1).wait_for()
    assert number(page.text_content("#nudge-eps-value")) == 0.25


def test_the_slider_is_dragged_to_where_the_mouse_goes(file):
    page = file()
    page.locator("#eps").scroll_into_view_if_needed()
    box = page.locator("#eps").bounding_box()
    at = lambda share: (box["x"] + share * box["width"], box["y"] + box["height"] / 2)  # noqa: E731
    page.mouse.move(*at(0.8))
    page.mouse.down()
    page.mouse.move(*at(0.4), steps=5)
    page.mouse.move(*at(0.02), steps=5)
    page.mouse.up()
    assert number(page.text_content("#nudge-eps-value")) == STEPS[0]


def test_what_is_typed_stays_while_answers_arrive(url, new_page):
    page, held = new_page(url), []  # requests

    def answer():
        while not held:
            page.wait_for_timeout(20)
        count = page.locator(".chart circle").count()
        held.pop().continue_()
        page.locator(".chart circle").nth(count).wait_for()

    page.route("**/nudge", lambda route: held.append(route))
    page.locator("#line-q").click()
    answer()
    page.locator("#any-eps").fill("")
    page.keyboard.type("0.")
    answer()
    page.keyboard.type("3")
    answer()
    page.keyboard.type("7")
    assert page.evaluate("document.activeElement.value") == "0.37"
    page.keyboard.press("Enter")
    for _ in STEPS[3:]:
        answer()
    answer()
    until(page, "nudged.eps === 0.37")
    assert number(page.text_content("#nudge-eps-value")) == 0.37


def test_asks_for_the_slope_once_and_then_for_each_step(url, new_page):
    page, asked = new_page(url), []
    page.on("request", lambda request: asked.append((request.url, request.post_data_json)))
    page.locator("#line-q").click()
    page.locator(".chart circle").nth(len(STEPS)).wait_for()
    assert [path.removeprefix(url) for path, _ in asked] == ["slope"] + ["nudge"] * len(STEPS)
    assert [question["eps"] for _, question in asked[1:]] == STEPS
    page.locator("#line-q").click()  # the same number once more
    page.wait_for_timeout(200)
    assert len(asked) == 1 + len(STEPS)


def test_every_line_can_be_chosen_and_what_cannot_be_moved_says_why(url, new_page):
    page, asked = new_page(url), []
    for group in range(page.locator("#groups button").count()):
        page.locator("#groups button").nth(group).click()
        for line in range(page.locator("#lines button").count()):
            page.locator("#lines button").nth(line).click()
            until(page, "nudged.source || !nudged.target.name")
    page.wait_for_timeout(500)
    page.on("request", lambda request: asked.append(request.url))
    for group, line in [("output", "p"), ("layer-norm", "ln.dnormed_mean")]:
        page.click(f"#group-{group}")
        page.wait_for_timeout(200)
        asked.clear()
        page.locator(f"[id='line-{line}']").click()
        assert "This number cannot be moved" in page.text_content("#nudge")
        assert [url for url in asked if "slope" in url] == []


def test_says_where_the_gradient_is_from(url, new_page):
    page = new_page(url)
    page.click("#line-q")
    page.locator("#nudge-gradient").wait_for()
    assert "gradient, from the backward" in page.text_content("#nudge")
    page.click("#group-layer-norm")
    for line in ("mean", "centered", "var", "rstd"):
        page.locator(f"[id='line-ln.{line}']").click()
        until(page, "nudged.source")
        says = "gradient, by the complex step: no line of the backward holds it"
        assert says in page.text_content("#nudge"), line


def test_a_step_to_no_number_is_named_and_the_others_are_shown(url, new_page):
    page = new_page(url)
    page.click("#group-layer-norm")
    page.locator("[id='line-ln.var']").click()
    until(page, "nudged.points.size + nudged.none.size === STEPS.length + 1")
    page.fill("#any-eps", "-900")
    page.keyboard.press("Enter")
    until(page, "nudged.none.has(-900)")
    assert page.locator(".chart circle").count() > 3
    assert "−900.0" in page.text_content("#nudge")
    assert "the loss is not a number" in page.text_content("#nudge")


@pytest.mark.parametrize(
    "body, words",
    [
        ('{"error": "too far"}', "too far"),
        ("<p>", "The server's answer is not JSON"),
        (None, "The server does not answer"),
    ],
)
def test_tells_a_refusal_from_no_json_and_from_no_answer(file, body, words):
    page = file()
    page.evaluate("DATA.live = true")
    answer = "Promise.reject(new TypeError())" if body is None else f"new Response({body!r})"
    page.evaluate(f"() => {{ calls = 0; window.fetch = async () => (calls++, {answer}); }}")
    page.click("#line-q")
    until(page, "nudged.failed")
    assert words in page.text_content("#nudge") and page.evaluate("calls") == 1
