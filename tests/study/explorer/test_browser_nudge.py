"""Numbers are moved on the page, in a real browser."""

import pytest

from minivit.study import nudge
from minivit.study.explorer.arrays import find
from minivit.study.explorer.scores import STEPS
from tests.study.explorer.reading import number

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
    assert "To move any number: python -m demos.explore" in page.text_content("#nudge")


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
    page.wait_for_function("nudged.eps === 0.37")
    assert number(page.text_content("#nudge-eps-value")) == 0.37
