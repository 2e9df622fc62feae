"""A place can be sent as an address, a number as NumPy, a panel as a picture."""

import contextlib
import io
import re
from xml.etree import ElementTree

import pytest

from tests.study.explorer.cases import SMALL, classifier_of, data_of, small_data
from tests.study.explorer.reading import choose_line, until

pytestmark = pytest.mark.slow
PLACE = "[state.digit, state.line.result.name, state.head, state.query, state.cell.i, state.cell.j]"


@pytest.fixture(scope="module")
def page(shared_page_of):
    return shared_page_of(data_of(classifier_of(), drawing=True))


def hash_of(page):
    return page.evaluate("location.hash")


def test_an_address_opens_its_place(page_of):
    place = "#digit=2&block=1&line=attn.dq&head=2&query=4&cell=3,1"
    page = page_of(small_data(), place)
    assert page.evaluate(PLACE) == [2, "blocks.1.attn.dq", 2, 4, 3, 1]
    assert page.get_attribute("#digit-2", "aria-pressed") == "true"
    assert page.get_attribute("#heads-2", "aria-pressed") == "true"
    assert page.text_content("#sum b") == "dq[3,1]"
    assert hash_of(page) == place


@pytest.mark.parametrize(
    "place",
    ["#digit=&block=&line=&head=&query=&cell=", "#digit=-1&head=-1&query=-1&cell=-1,-1",
     "#;&=&&==x",
     "#digit=1e9&block=99&line=attn.dq&head=99&query=1e3&cell=0", "#digit=1.5&head=0x1&query=NaN",
     "#block=0&line=nothing&cell=1,2", "#line=__proto__&block=constructor&cell=99999999999999,0",
     "#line=head.w&digit=drawn&cell=1,2,3&head=٣", "#%E0%A4%A", "#digit=0&digit=99&cell=,"],
)  # fmt: skip
def test_nonsense_in_an_address_is_passed_over(page_of, place):
    page = page_of(small_data(), place)
    digit, line, head, query, i, j = page.evaluate(PLACE)
    assert (digit, line, head, query) == (0, "patches.patches", 0, 0)
    assert i < 6 and j < 16
    assert page.text_content("#verdict").startswith("This is “3”.")


def test_every_choice_writes_the_address(page):
    page.evaluate(
        "byId('line-head.dw') ?? byId('part-head').dispatchEvent(new MouseEvent('click'))"
    )
    page.click("[id='line-head.dw']")
    assert re.fullmatch(r"#digit=0&line=head.dw&head=0&query=0&cell=0,\d", hash_of(page))
    page.locator("#matrix-0").click(position=dict(x=40, y=24))
    assert re.fullmatch(r"#digit=0&line=head.dw&head=0&query=0&cell=1,[12]", hash_of(page))
    page.click("#digit-1")
    assert hash_of(page).startswith("#digit=1&line=head.dw&")
    choose_line(page, "blocks.1.attn.scores@0")
    page.click("#heads-2")
    page.locator("#map-query").click(position=dict(x=30, y=5))
    address = hash_of(page)
    assert re.search(r"&block=1&line=attn.scores@0&head=2&query=1&cell=1,\d$", address)
    place = page.evaluate(PLACE)
    choose_line(page, "head.y")
    page.evaluate("hash => (location.hash = hash)", address)
    until(page, "state.line.result.name === 'blocks.1.attn.scores@0'")
    assert page.evaluate(PLACE) == place
    page.evaluate("show({ pixels: digits[2].pixels })")
    assert hash_of(page).startswith("#digit=drawn&")


ARRAYS = [
    ("patches.linear.y", 0), ("blocks.0.attn.scores@0", 0), ("blocks.1.attn.softmax.numer@0", 0),
    ("blocks.1.attn.scores", 0), ("blocks.0.mlp.act.gate", 0), ("loss.losses", 0),
    ("loss.dlogits@0", 0), ("loss.dlogits", 0), ("blocks.0.attn.dscores", 0),
    ("blocks.0.attn.dq", 0), ("blocks.1.ln1.dx", 0),
    ("patches.linear.dw", 0), ("head.db", 0), ("patches.dimages", 0), ("blocks.0.mid", 0),
    ("patches.patches", 1), ("head.y", 2), ("head.y", 3), ("blocks.0.ln1.y", 3), ("pos.y", 2),
]  # fmt: skip


def run(text, folder):
    """What Python prints for the copied lines, with a run in another folder."""
    assert '"runs/mnist"' in text
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(text.replace("runs/mnist", str(folder)), {})
    return float(printed.getvalue())


@pytest.mark.parametrize(
    "changes", [{}, dict(channels=3, pool="cls", norm="post", positions="sincos2d")], ids=str
)
def test_the_copied_lines_print_the_same_number(page_of, tmp_path, changes):
    classifier = classifier_of(SMALL, **changes)
    classifier.save(tmp_path)
    page = page_of(data_of(classifier), "#digit=1")
    for name, place in ARRAYS:
        name = {"blocks.0.mid": "blocks.0.sum1"}.get(name, name) if changes else name
        page.evaluate(
            """([name, place]) => {
                update({ line: net.arrays.get(name).line, head: 1 });
                const { array, rows, cols } = views[place].view;
                update({ cell: { array, i: rows - 1, j: cols - 1 } });
            }""",
            [name, place],
        )
        page.click("#copy")
        text = page.input_value("#numpy")
        value = page.evaluate("viewOf(state.cell.array).at(state.cell.i, state.cell.j)")
        assert run(text, tmp_path) == pytest.approx(value, rel=2e-4, abs=1e-9), (name, place)
        assert f"# {value!r}" in text or float(text.rsplit("# ", 1)[1]) == value
    assert page.text_content("#shared") in ("Copied.", "Press Ctrl+C to copy the lines.")


def test_after_learning_the_copied_lines_say_so(page):
    page.click("#copy")
    assert "learned since" not in page.input_value("#numpy")
    page.click("#learn-1")
    until(page, "!learning.running")
    page.click("#copy")
    assert "# The page has learned since" in page.input_value("#numpy")
    page.click("#undo")


@pytest.mark.parametrize("line", ["blocks.0.attn.softmax.dx", "patches.linear.y", "loss.losses"])
def test_a_panel_is_saved_as_a_picture(page_of, line):
    page = page_of(small_data(), expected=["blob:"])
    choose_line(page, line)
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == f"{line}.svg"
    text = download.value.path().read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    texts = [one.text for one in root.iter(f"{space}text")]
    assert page.text_content("#line-formula") in texts
    for words in page.locator("#sum p").all_text_contents():
        assert words in texts
    images = list(root.iter(f"{space}image"))
    assert len(images) == page.evaluate("views.length")
    assert all(one.attrib["href"].startswith("data:image/png;base64,") for one in images)
    *_, width, height = (float(number) for number in root.attrib["viewBox"].split())
    for one in root.iter():
        x, y = (float(one.attrib.get(name, 0)) for name in "xy")
        assert x + float(one.attrib.get("width", 0)) <= width
        assert y + float(one.attrib.get("height", 0)) <= height


def test_in_a_notebooks_frame_everything_works_without_an_address(new_page, tmp_path):
    pytest.importorskip("IPython")
    from minivit.study.explorer import show
    from tests.study.explorer.cases import digits_of

    classifier = classifier_of()
    shown = show(classifier, [digit.pixels for digit in digits_of(classifier)])
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html>{shown._repr_html_()}", encoding="utf-8")
    frame = new_page(path.as_uri(), expected=["about:srcdoc"]).frames[1]
    frame.click("#tour-close")
    frame.evaluate("byId('part-head').dispatchEvent(new MouseEvent('click'))")
    assert frame.text_content("#part-title") == "head"
    frame.click("#learn-1")
    until(frame, "learning.steps === 1 && !learning.running")
    frame.click("#copy")
    assert frame.input_value("#numpy").startswith("import numpy")
