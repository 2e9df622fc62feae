"""The page on screens of all sizes, under a finger, in both themes, and for a screen reader."""

from itertools import product

import pytest

from tests.samples import sample
from tests.study.explorer.cases import SMALL, classifier_of, data_of
from tests.study.explorer.reading import PHONE, choose_line, named

pytestmark = pytest.mark.slow
SIZES = [(1440, 900), (1024, 768), (768, 1024), (390, 844), (320, 568)]
WIDE = dict(dim=48, mlp_dim=64, heads=3)  # matrices as wide as those of the default model


@pytest.fixture(scope="module")
def data():
    return data_of(classifier_of(SMALL, **WIDE), drawing=True, derivations="d/", stages="s.js")


def each_line(page):
    """Yield after a line of each part and of each shape is chosen."""
    shapes = "((line) => line && [line.kind, ...line.result.shape].join())"
    seen = set()
    for name in page.evaluate("[...net.arrays.keys()]"):
        shape = page.evaluate(f"name => {shapes}(net.arrays.get(name).line)", name)
        if shape not in seen:
            seen.add(shape)
            page.evaluate("name => update({ line: net.arrays.get(name).line })", name)
            yield name


@pytest.mark.parametrize(
    "width, height, scheme",
    sample(((*size, scheme) for size in SIZES for scheme in ("light", "dark")), 3),
)
def test_fits_the_screen(page_of, data, width, height, scheme):
    page = page_of(data, width=width, height=height, color_scheme=scheme)
    for name in each_line(page):
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    page.click("#tour-open")
    box = page.locator("#tour").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert box["y"] >= height / 2 and box["y"] + box["height"] <= height


@pytest.mark.parametrize("width", [390, 820])
def test_buttons_and_cells_are_large_enough_for_a_finger(page_of, data, width):
    page = page_of(data, **PHONE | dict(width=width))
    sizes = """all => all.map((one) => [one.getBoundingClientRect(), one.id])
        .filter(([{ width, height }]) => Math.min(width, height) < 40).map(([, id]) => id)"""
    buttons = "button:not(.word):visible, select:visible, input:visible"
    cells = """Math.min(...views.map(({ canvas, view: { cols } }) =>
        canvas.getBoundingClientRect().width / cols))"""
    page.click("#tour-open")
    for name in each_line(page):
        assert page.locator(buttons).evaluate_all(sizes) == [], name
        assert page.evaluate(cells) >= 16, name


@pytest.mark.parametrize("width, height", [(390, 844), (768, 1024)])
def test_a_tap_on_a_matrix_shows_the_sum_beside_it(page_of, data, width, height):
    page = page_of(data, **PHONE | dict(width=width, height=height))
    for name in ("blocks.0.attn.softmax.y", "head.y", "blocks.1.mlp.fc1.dw"):
        choose_line(page, name)
        page.locator("#matrix-0").tap(position=dict(x=24, y=8))
        assert page.text_content("#sum b").endswith(("[0,1]", "[1]")), name
        box = page.locator("#sum").bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= height, name
        assert page.locator("#sum .total").is_visible()


def test_a_part_that_is_tapped_on_the_map_comes_into_view(page_of, data):
    page = page_of(data, **PHONE)
    page.locator(named("part-patches")).tap()
    assert page.text_content("#part-title") == "patches"
    assert 0 <= page.locator("#part-title").bounding_box()["y"] < 20


def test_a_matrix_larger_than_its_frame_is_scrolled_to_the_number(page_of, data):
    page = page_of(data, **PHONE)
    choose_line(page, "blocks.0.attn.qkv.dw")
    for i, j in ((40, 130), (0, 0), (47, 143)):
        page.evaluate(f"update({{ cell: {{ array: state.line.result, i: {i}, j: {j} }} }})")
        seen = page.evaluate(
            """([i, j]) => {
                const { scroller, canvas } = views[0], frame = scroller.getBoundingClientRect();
                const { x, y, width, height } = canvas.getBoundingClientRect();
                const [across, down] = [x + (j + 0.5) * width / 144, y + (i + 0.5) * height / 48];
                return [frame.left < across && across < frame.right,
                    frame.top < down && down < frame.bottom];
            }""",
            [i, j],
        )
        assert seen == [True, True], (i, j)


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_what_a_picture_says_of_a_cell_can_be_read(page_of, pool):
    page = page_of(data_of(classifier_of(pool=pool)))
    choose_line(page, "blocks.0.attn.q")
    pictures = {"map-query": "head", "map-att": "head", "map-datt": "head", "map-dk": "head",
                "image": "pixel", "pixels": "pixel", "change-after": "change"}  # fmt: skip
    if pool == "cls":
        pictures |= {"map-dv-cls": "head"}
    for name, line in pictures.items():
        assert "to read its numbers here" in page.text_content(f"#{line}-value"), name
        page.focus(f"#{name}")
        page.keyboard.press("ArrowRight")
        said = page.text_content(f"#{line}-value")
        assert said == page.get_attribute(f"#{name}", "aria-label") and said[-1].isdigit(), name
        page.locator(f"#{name}").blur()
        assert "to read its numbers here" in page.text_content(f"#{line}-value"), name


def test_the_arrow_keys_go_over_the_map(page_of, data):
    page = page_of(data)
    parts = page.evaluate("partsInOrder()")
    assert page.locator("#map [tabindex='0']").count() == 1
    page.focus(named("part-patches"))
    for part in parts[1:]:
        page.keyboard.press("ArrowDown")
        assert page.evaluate("[state.line.part, document.activeElement.id]") == [
            part,
            f"part-{part}",
        ]
    page.keyboard.press("ArrowDown")
    assert page.evaluate("state.line.part") == "loss"
    page.keyboard.press("ArrowUp")
    assert page.evaluate("state.line.part") == "head"


@pytest.mark.parametrize("width, scheme", sample(product([390, 768, 1440], ["light", "dark"]), 3))
def test_axe_finds_no_serious_fault(page_of, data, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = page_of(data, width=width, color_scheme=scheme, bypass_csp=True)
    choose_line(page, "blocks.0.attn.softmax.dx")
    page.click("#learn-1")
    page.click("#copy")

    def check(where):
        found = axe.run(page).response["violations"]
        serious = [(one["id"], [node["html"][:120] for node in one["nodes"]])
                   for one in found if one["impact"] in ("serious", "critical")]  # fmt: skip
        assert serious == [], where

    check("with the tour closed")
    page.click("#part-words .word")
    check("with a word explained")
    page.keyboard.press("Escape")
    page.click("#tour-open")
    page.click("#answer-0")
    check("with the tour open")
