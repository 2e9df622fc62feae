"""The page in a real browser: every control, every sum, every nudge, and nothing on the console."""

import shutil
import threading

import numpy as np
import pytest

from minivit.study import nudge
from minivit.study.explorer import page_html, serve
from minivit.study.explorer.arrays import find
from minivit.study.explorer.scores import STEPS
from tests.study.explorer.cases import DEFAULT, data_of, traced

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium")
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="apt install chromium"),
]
KINDS = {"mean": {}, "cls": dict(pool="cls", norm="post", depth=2, patch_size=14)}


@pytest.fixture(scope="module", params=KINDS)
def record(request):
    return traced(DEFAULT, **KINDS[request.param])


@pytest.fixture(scope="module")
def data(record):
    return data_of(record)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser):
    """Opens an address; in the end, whatever the console or the network said is an error."""
    said, contexts = [], []

    def open_page(url, width=1280, height=800, **settings):
        context = browser.new_context(viewport=dict(width=width, height=height), **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("requestfailed", lambda request: said.append(request.url))
        page.on("request", lambda request: request.url.startswith(url) or said.append(request.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def file(data, tmp_path, new_page):
    """The page as a file, opened."""
    path = tmp_path / "page.html"
    path.write_text(page_html(data), encoding="utf-8")
    assert path.stat().st_size < 5e6
    return lambda **settings: new_page(path.as_uri(), **settings)


@pytest.fixture(scope="module")
def url(record, data):
    with serve(record, data) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def number(text):
    return float(text.replace("−", "-"))


def same(text, value, digits=4):
    return abs(number(text) - value) <= 0.51 * 10.0 ** (np.floor(np.log10(abs(value))) - digits + 1)


def point(page, canvas, i, j, rows, cols):
    """Put the mouse into the middle of a cell."""
    page.locator(canvas).scroll_into_view_if_needed()
    box = page.locator(canvas).bounding_box()
    x, y = box["x"] + (j + 0.5) * box["width"] / cols, box["y"] + (i + 0.5) * box["height"] / rows
    page.mouse.move(x, y)


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
                i, j = int(rng.integers(rows)), int(rng.integers(min(cols, 60)))
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
    there = [(f"forward: block {place + 1}", "att", place) for place in range(depth)]
    back = [(f"backward: block {place + 1}", "dscores", place) for place in range(depth)][::-1]
    assert seen[1 : depth + 1] == there and seen[depth + 3 : -1] == back
    assert [stop[:2] for stop in (seen[0], *seen[depth + 1 : depth + 3], seen[-1])] == [
        ("forward: the image", "tokens"),
        ("forward: the answer", "p"),
        ("backward: the answer", "dlogits"),
        ("backward: the pixels", "dpatches"),
    ]
    assert page.evaluate("document.activeElement.id") == "walk"
    page.click("#stop-1")
    assert page.text_content("#walk-text") == "forward: block 1"
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
    assert "patch 1,1" in page.text_content("#head-words")
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(1280, 800), (390, 844)])
def test_fits_the_screen(file, width, height, scheme):
    page = file(width=width, height=height, color_scheme=scheme)
    for group in range(page.locator("#groups button").count()):
        page.locator("#groups button").nth(group).click()
        for line in range(page.locator("#lines button").count()):
            page.locator("#lines button").nth(line).click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
