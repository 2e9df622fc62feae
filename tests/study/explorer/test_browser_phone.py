"""The page on screens of all sizes, and under a finger."""

import pytest

pytestmark = pytest.mark.slow
PHONE = dict(width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)


def each_line(page):
    """Yield after each line of each group is chosen."""
    for group in range(page.locator("#groups button").count()):
        page.locator("#groups button").nth(group).click()
        for line in range(page.locator("#lines button").count()):
            page.locator("#lines button").nth(line).click()
            yield


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(1280, 800), (390, 844), (320, 568)])
def test_fits_the_screen(file, width, height, scheme):
    page = file(width=width, height=height, color_scheme=scheme)
    assert page.evaluate("byId('journey').scrollWidth <= byId('journey').clientWidth")
    for _ in each_line(page):
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_buttons_and_cells_are_large_enough_for_a_finger(file):
    page = file(**PHONE)
    sizes = "all => all.map(b => b.getBoundingClientRect()).map(b => Math.min(b.width, b.height))"
    for _ in each_line(page):
        assert min(page.locator("button:visible, input:visible").evaluate_all(sizes)) >= 40
        widths = "shown.map((s) => s.canvas.getBoundingClientRect().width / s.matrix.cols)"
        assert min(page.evaluate(widths)) >= 16


def test_a_tap_shows_the_sum(file):
    page = file(**PHONE)
    for name in ("pixels", "map-att", "map-dv"):
        page.locator(f"#{name}").tap(position=dict(x=30, y=30))
        box = page.locator("#sum").bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 844, name
        assert page.locator("#sum .total").is_visible()
        assert page.locator("#equation-box").bounding_box()["y"] == pytest.approx(0, abs=2)


def test_a_matrix_larger_than_its_frame_is_scrolled_to_the_number_and_stays_there(file):
    page = file(**PHONE)
    page.locator("[id='line-proj.dw']").click()
    page.evaluate("update({ chosen: { symbol: 'dw', i: 50, j: 60 } })")
    frame = page.evaluate("""() => {
        const box = shown[0].scroller.getBoundingClientRect();
        const canvas = shown[0].canvas.getBoundingClientRect();
        const [x, y] = [canvas.x + 60.5 * 16, canvas.y + 50.5 * 16];
        return [box.x < x && x < box.right, box.y < y && y < box.bottom];
    }""")
    assert frame == [True, True]
    place = "[shown[0].scroller.scrollLeft, shown[0].scroller.scrollTop]"
    before = page.evaluate(place)
    page.evaluate("update({ chosen: { symbol: 'dw', i: 49, j: 59 } })")
    assert page.evaluate(place) == before != [0, 0]
