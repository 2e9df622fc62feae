"""Numbers are moved on the page; the loss follows their gradients."""

import pytest

from tests.study.explorer.cases import SMALL, VARIANTS, classifier_of, data_of, small_data
from tests.study.explorer.reading import choose_line, number, numbers, until

pytestmark = pytest.mark.slow
STEPS = [-1, -0.5, -0.1, 0.1, 0.5, 1]
MOVED = """() => {
    const [found, seen] = [[], []];
    const slope = (moving, at) =>
        (lossWith(net, moving, at, 1e-4) - lossWith(net, moving, at, -1e-4)) / 2e-4;
    const check = (moving, gradient) => { // three numbers of it
        const largest = Math.max(...gradient.data.map(Math.abs));
        seen.push(moving.name);
        for (let n = 0; n < 3; n++) {
            const at = moving.shape.map((size, axis) => (7919 * n + 13 * axis + 5) % size);
            const expected = gradient.at(...at);
            if (Math.abs(expected) < 1e-7 * largest) continue;
            found.push([Math.abs(slope(moving, at) / expected - 1), `${moving.name}[${at}]`]);
        }
    };
    for (const [moving, gradient] of net.gradientOf)
        if (moving.line?.phase !== "backward") check(moving, gradient);
    return [found.sort(([a], [b]) => b - a), seen];
}"""


@pytest.fixture(scope="module")
def small_page(shared_page_of):
    return shared_page_of(small_data())


@pytest.mark.parametrize("kind", VARIANTS)
def test_the_loss_follows_the_gradient_in_every_layer(shared_page_of, kind):
    page = shared_page_of(data_of(classifier_of(SMALL, **VARIANTS[kind])))
    before = page.evaluate("[net.loss(), [...net.flat]]")
    found, seen = page.evaluate(MOVED)
    assert found[0][0] <= 1e-3, found[:5]
    assert len(found) >= 2 * len(seen)
    parameters = page.evaluate("[...net.parameters.keys()]")
    parts = page.evaluate("partsInOrder().filter((part) => part !== 'loss')")
    assert {"images", *parameters} <= set(seen)
    held = page.evaluate("names => names.map((name) => net.arrays.get(name)?.line.part)", seen)
    assert set(parts) <= set(held)
    assert page.evaluate("[net.loss(), [...net.flat]]") == before, "not put back"


@pytest.mark.parametrize(
    "line", ["patches.linear.y", "blocks.0.ln1.dx", "blocks.0.attn.scores@0", "blocks.1.attn.dq",
             "blocks.0.mid", "blocks.1.mlp.act.dx", "head.dw", "head.db", "patches.dimages"],
)  # fmt: skip
def test_the_slope_that_is_shown_is_the_gradient_that_is_shown(small_page, line):
    choose_line(small_page, line)
    slope, gradient = numbers(small_page, "slope", "gradient")
    before, after, change, predicted = numbers(small_page, "before", "after", "change", "predicted")
    assert slope == pytest.approx(gradient, rel=2e-3)  # of what is written in four digits
    assert predicted == pytest.approx(0.5 * gradient, rel=1e-3)
    assert after - before == pytest.approx(change, abs=2e-3 * before)
    assert number(small_page.evaluate("format(net.loss())")) == before


def test_every_line_can_be_moved_or_says_why_not(small_page):
    lines = small_page.evaluate(
        "[...net.arrays].map(([name, { of, line }]) => [name, of || line.phase === 'forward'])"
        ".map(([name, movable]) => [name, Boolean(movable)])"
    )
    for name, movable in [line for line in lines if not line[0].startswith("blocks.1")]:
        choose_line(small_page, name)
        words = small_page.text_content("#nudge-words")
        if not movable:
            assert "cannot be moved: the backward computes it after the loss" in words, name
            assert small_page.locator("#nudge-tools").is_hidden()
        else:
            assert words.startswith("Add ε to ") and words.endswith(" and run the network again.")
            assert small_page.locator(".chart circle").count() == len(STEPS) + 1


def test_a_weight_is_moved_by_its_cell(small_page):
    choose_line(small_page, "head.y")
    small_page.locator("#matrix-2").click(position=dict(x=40, y=8))
    until(small_page, "nudged.slope !== null")
    name, i, j = small_page.evaluate("[nudged.moving.name, nudged.place[1], nudged.place[2]]")
    assert name == "head.w" and i == 0 and j > 0
    slope, gradient = numbers(small_page, "slope", "gradient")
    assert slope == pytest.approx(gradient, rel=2e-3)


def test_the_slider_is_dragged_to_where_the_mouse_goes(small_page):
    choose_line(small_page, "blocks.0.attn.scores@0")
    small_page.locator("#eps").scroll_into_view_if_needed()
    box = small_page.locator("#eps").bounding_box()
    at = lambda share: (box["x"] + share * box["width"], box["y"] + box["height"] / 2)  # noqa: E731
    small_page.mouse.move(*at(0.8))
    small_page.mouse.down()
    small_page.mouse.move(*at(0.4), steps=5)
    small_page.mouse.move(*at(0.02), steps=5)
    small_page.mouse.up()
    assert small_page.evaluate("nudged.eps") == STEPS[0]
    assert small_page.get_attribute("#eps", "aria-valuetext") == "−1.000"
    assert small_page.locator(".chart circle.here").count() == 1


def test_what_is_typed_is_a_step_like_the_others(small_page):
    choose_line(small_page, "blocks.0.mid")
    small_page.fill("#any-eps", "0.37")
    small_page.keyboard.press("Enter")
    assert small_page.locator(".chart circle").count() == len(STEPS) + 2
    assert number(small_page.get_attribute("#eps", "aria-valuetext")) == 0.37
    before = small_page.text_content("#facts")
    for nonsense in ("", "1e9", "-1001"):
        small_page.fill("#any-eps", nonsense)
        small_page.keyboard.press("Enter")
        assert small_page.text_content("#facts") == before


def test_a_step_to_no_number_leaves_the_others_on_the_chart(small_page):
    choose_line(small_page, "blocks.0.ln1.var")
    count = small_page.locator(".chart circle").count()
    small_page.fill("#any-eps", "-900")
    small_page.keyboard.press("Enter")
    assert "With ε = −900.0 the loss is not a number." in small_page.text_content("#nudge-words")
    assert small_page.locator(".chart circle").count() == count > 1
    assert "NaN" not in small_page.text_content("#nudge-tools")


def test_where_no_line_of_the_backward_holds_the_gradient_it_is_said(small_page):
    for line in ("blocks.0.ln1.rstd", "blocks.0.mlp.act.gate", "loss.shifted"):
        choose_line(small_page, line)
        assert small_page.text_content("#nudge-gradient") == "no line holds it"
    for line in ("blocks.0.attn.proj.y", "blocks.0.mlp.fc2.y"):
        choose_line(small_page, line)
        assert number(small_page.text_content("#nudge-gradient"))
