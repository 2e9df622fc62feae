"""A 3 is drawn on the page of the documentation, whose model was trained on MNIST, and is read."""

import math
from pathlib import Path

import pytest

from tests.study.explorer.reading import finger, until

PAGE = Path(__file__).parents[3] / "docs" / "explorer" / "index.html"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PAGE.is_file(), reason="docs/explorer/index.html is not built yet"),
]


def arc(x, y, radius, start, end):
    """Points on a circle, at angles in degrees, clockwise from the right."""
    turns = [math.radians(start + (end - start) * step / 12) for step in range(13)]
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


THREE = arc(0.47, 0.35, 0.16, -160, 90) + arc(0.47, 0.69, 0.18, -90, 160)


def by_mouse(page, at):
    page.mouse.move(*at(THREE[0]))
    page.mouse.down()
    for point in THREE[1:]:
        page.mouse.move(*at(point))
    page.mouse.up()


def by_touch(page, at):
    finger(page, [at(point) for point in THREE])


def by_keyboard(page, at):
    page.focus("#board")
    for keys in (
        "Up Up Left",
        "Space",
        "Right Right Down Down Left Right Down Down Left Left",
        "Space",
    ):
        for key in keys.split():
            page.keyboard.press(key if key == "Space" else f"Shift+Arrow{key}")


@pytest.mark.parametrize("way", [by_mouse, by_touch, by_keyboard])
def test_a_drawn_three_is_read_as_a_three(new_page, way):
    page = new_page(PAGE.as_uri() + "#digit=0", has_touch=way is by_touch)
    page.locator("#board").scroll_into_view_if_needed()
    box = page.locator("#board").bounding_box()
    at = lambda point: (box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"])  # noqa: E731
    way(page, at)
    until(page, "state.digit === null")
    assert page.text_content("#verdict").startswith("The model reads “3” (")
    assert page.evaluate("net.arrays.get('loss.dlogits@0').data[3]") > 0.9
    page.select_option("#truth", "3")
    assert page.text_content("#verdict").startswith("This is “3”. The model reads “3” (")
    page.select_option("#truth", "8")
    assert page.text_content("#verdict").startswith("This is “8”. The model reads “3” (")
    page.click("#learn-10")
    until(page, "!learning.running")
    first, *_, last = page.evaluate("learning.losses.map(([, loss]) => loss)")
    assert last < first


def test_the_page_is_small_and_opens_with_its_stages_beside_it(new_page):
    assert PAGE.stat().st_size <= 1.5e6 and PAGE.with_name("stages.js").stat().st_size <= 3e6
    page = new_page(PAGE.as_uri() + "#digit=0", expected=[PAGE.parent.as_uri()])
    reads = "digits.filter((_, n) => byId(`digit-${n}`).title)"
    until(page, f"{reads}.length === digits.length")
    assert page.evaluate("digits.length") == 30
    wrong = page.locator("#digits .wrong").count()
    assert wrong == 10, "the worst mistakes"
    accuracies = []
    page.click("#load-stages")
    until(page, "!byId('replay').hidden")
    page.focus("#stage")
    page.keyboard.press("Home")
    for _ in range(int(page.get_attribute("#stage", "max"))):
        words = page.text_content("#stage-text")
        accuracies.append(float(words.split(": ")[1].split()[0]))
        page.keyboard.press("ArrowRight")
    assert accuracies[0] < 20 and accuracies[-1] > 95
