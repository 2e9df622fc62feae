"""The page in a real browser: every control, every sum, and nothing on the console."""

import numpy as np
import pytest

from minivit.study.explorer.arrays import find
from tests.study.explorer.reading import point, same

pytestmark = pytest.mark.slow


def test_every_hovered_sum_is_the_number_of_the_trace(record, file):
    page, rng = file(), np.random.default_rng(0)
    groups = page.locator("#groups button").count()
    seen = 0
    for group in range(groups):
        page.locator("#groups button").nth(group).click()
        for line in range(page.locator("#lines button").count()):
            page.locator("#lines button").nth(line).click()
            rows, cols, name = page.evaluate(
                "(() => { const { matrix } = shown[0];"
                " return [matrix.rows, matrix.cols, matrix.name]; })()"
            )
            value = find(record, name).value
            for _ in range(3):
                i, j = int(rng.integers(rows)), int(rng.integers(cols))
                point(page, "#matrix-0", i, j, rows, cols)
                index = tuple(page.evaluate(f"shown[0].matrix.index({i}, {j})"))
                texts = page.locator("#sum strong").all_text_contents()
                assert len(texts) == 2, (name, i, j)
                assert all(same(text, value[index]) for text in texts), (name, index, texts)
            seen += 1
    assert seen >= 30


def test_every_cell_of_every_line_is_the_sum_that_is_said_of_it(file):
    worst = file().evaluate("""() => {
        let worst = 0;
        for (let place = 0; place < MODEL.depth * MODEL.heads; place++)
            for (const line of linesOf(Math.floor(place / MODEL.heads), place % MODEL.heads)) {
                const { result } = line;
                for (let n = 0; n < 200; n++) {
                    const i = Math.floor((n * 7919) % result.rows), j = (n * 104729) % result.cols;
                    const value = result.at(i, j), term = line.term(i, j);
                    const size = Math.abs(value) + 1e-9;
                    worst = Math.max(worst, Math.abs(term.value - value) / size);
                }
            }
        return worst;
    }""")
    assert worst < 1e-5


def test_marks_the_cells_that_a_number_reads(file):
    page = file()
    page.click("#line-dq")
    cells = "state.lines.find(({ id }) => id === 'dq').term(1, 2).cells"
    found = page.evaluate(f"{cells}.map(({{ matrix, i, j }}) => [matrix.symbol, i, j])")
    tokens = page.evaluate("MODEL.tokens")
    expected = [cell for c in range(tokens) for cell in (["dscores₀", 1, c], ["k", c, 2])]
    assert found == expected
    before = page.locator("#matrix-2").evaluate("canvas => canvas.toDataURL()")
    point(page, "#matrix-0", 1, 2, tokens, page.evaluate("shown[0].matrix.cols"))
    assert page.locator("#matrix-2").evaluate("canvas => canvas.toDataURL()") != before


def test_marks_the_patch_that_a_score_is_about_in_the_pictures(file):
    page = file()
    i, j = page.evaluate("[state.chosenCell.i, state.chosenCell.j]")
    tokens = page.evaluate("MODEL.tokens")
    before = page.locator("#map-att").evaluate("canvas => canvas.toDataURL()")
    other = tokens - 1 if j != tokens - 1 else tokens - 2
    point(page, "#matrix-0", i, other, tokens, tokens)
    assert page.locator("#map-att").evaluate("canvas => canvas.toDataURL()") != before
    page.mouse.move(0, 0)
    assert page.locator("#map-att").evaluate("canvas => canvas.toDataURL()") == before


def test_the_walk_goes_forward_and_backward_through_all_stops(file):
    page = file()
    depth = page.evaluate("MODEL.depth")
    page.focus("#walk")
    page.keyboard.press("Home")
    seen = []
    for _ in range(2 * depth + 4):
        seen.append((page.text_content("#walk-text"), *page.evaluate("[state.line, state.block]")))
        assert page.locator("#journey .here").count() == 1
        page.keyboard.press("ArrowRight")
    there = [(f"forward: block {place}", "att", place) for place in range(depth)]
    back = [(f"backward: block {place}", "dscores", place) for place in range(depth)][::-1]
    assert seen[1 : depth + 1] == there and seen[depth + 3 : -1] == back
    assert [stop[:2] for stop in (seen[0], *seen[depth + 1 : depth + 3], seen[-1])] == [
        ("forward: the image", "tokens"),
        ("forward: the output", "p"),
        ("backward: the output", "dlogits"),
        ("backward: the pixels", "dpatches"),
    ]
    assert page.evaluate("document.activeElement.id") == "walk"
    page.click("#stop-1")
    assert page.text_content("#walk-text") == "forward: block 0"
    assert page.get_attribute("#line-att", "aria-pressed") == "true"


def test_block_head_and_query_are_chosen_by_clicking(file):
    page = file()
    for kind, name in (("blocks", "block"), ("heads", "head")):
        for place in range(page.locator(f"#{kind} button").count()):
            page.click(f"#{kind}-{place}")
            assert page.evaluate(f"state.{name}") == place
            assert page.get_attribute(f"#{kind}-{place}", "aria-pressed") == "true"
    page.locator("#digit").click(position=dict(x=5, y=5))
    first = page.evaluate("FIRST")
    assert page.evaluate("state.query") == first
    assert "patch 0,0" in page.text_content("#head-words")
    assert page.evaluate("state.chosenCell.i") == first
    if first:
        page.locator("#digit-cls").click()
        assert page.text_content("#head-words").endswith("class token")
    for name in ("att", "datt", "dscores", "dq", "dk", "dv"):
        page.locator(f"#map-{name}").click(position=dict(x=5, y=5))
        assert page.get_attribute(f"#line-{name}", "aria-pressed") == "true"
    page.locator("#pixels").click(position=dict(x=2, y=2))
    assert page.get_attribute("#line-dpatches", "aria-pressed") == "true"


def test_everything_can_be_done_by_keyboard(record, file):
    page = file()
    page.focus("#line-att")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "line-att"
    page.keyboard.press("Tab")
    for _ in range(20):
        if page.evaluate("document.activeElement.id") == "matrix-0":
            break
        page.keyboard.press("Tab")
    i, j = page.evaluate("[state.chosenCell.i, state.chosenCell.j]")
    tokens = page.evaluate("MODEL.tokens")
    key, step = ("ArrowDown", 1) if i + 1 < tokens else ("ArrowUp", -1)
    page.keyboard.press(key)
    label = page.get_attribute("#matrix-0", "aria-label")
    assert f"att[{i + step},{j}] = " in label
    assert page.text_content("#sum b") == f"att[{i + step},{j}]"
    page.keyboard.press("Enter")
    assert page.evaluate("[state.chosenCell.i, state.chosenCell.j]") == [i + step, j]
    assert page.evaluate("document.activeElement.id") == "matrix-0"
    value = record[page.evaluate("shown[0].matrix.name")].value
    index = tuple(page.evaluate(f"shown[0].matrix.index({i + step}, {j})"))
    assert same(label.split("= ")[1], value[index])
