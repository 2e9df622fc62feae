"""Every number, quotation, link and figure of docs/derivations is checked.

pages.py says how a page is read, equations.py what an equation on it means.
"""

import functools
import importlib
import inspect
import json
import re
import textwrap

import pytest
from PIL import Image

import minivit
from docs.derivations import figures
from minivit.losses import giou
from tests.docs.board import Board
from tests.docs.equations import equations
from tests.docs.pages import FOLDER, INLINE, PAGES, ROOT, sections
from tests.docs.seen import run_example
from tests.numeric import complex_step, forward, relative_error

INDEX = FOLDER / "README.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)]+)\)")
run = functools.cache(run_example)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
every_file = pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda path: path.stem)


def read(page):
    return page.read_text(encoding="utf-8")


def check_equations(text, filename):
    """Check all numbers and formulas of arrays on a page with the values of its example.

    What comes before the first example is checked with that, what comes after with the latest.
    """
    board, waiting = None, []
    for section in sections(text):
        written = [equation for block in section.equations for equation in equations(block)]
        if section.code:
            board = Board(run(section.code, filename)[2])
        elif board is None:
            waiting, written = waiting + written, []
        for equation in written:
            board.check(equation)
        if board:
            while waiting:
                board.check(waiting.pop(0))
    assert not waiting, "formulas without an example"


@every_page
def test_every_equation_holds(page):
    check_equations(read(page), page.name)


@every_page
def test_a_page_has_the_sections_that_it_should(page):
    first, *titles = [section.title for section in sections(read(page))]
    assert [re.sub(r"By hand.*", "By hand", title) for title in dict.fromkeys(titles)] == [
        "The idea",
        "The derivation",
        "In the source",
        *["By hand"] * sum(title.startswith("By hand") for title in titles),
        "What people get wrong here",
    ]
    assert read(page).startswith(f"# {first}\n")


@every_page
def test_examples_print_what_is_shown_under_them(page):
    for section in sections(read(page)):
        if section.code:
            assert section.blocks[-2].kind == "text", "a run ends its section, with what it prints"
            assert run(section.code, page.name)[1] == section.blocks[-2].text


@every_page
def test_gradients_of_the_examples_equal_the_complex_step(page):
    examples = [section.code for section in sections(read(page)) if section.code]
    assert examples
    for code in examples:
        for name, written, slopes in gradients(run(code, page.name)[0]):
            assert relative_error(written, slopes) <= 1e-12, name


def gradients(names):
    """(name, the gradient written by hand, its slopes by complex step) for each array of a run."""
    params, grads = (
        nest if isinstance(nest, minivit.Params) else minivit.Params(nest)
        for nest in (names.get("params", {}), names.get("grads", {}))
    )
    params = params.astype(complex)
    have = [
        name for name in ("images", "x", "logits", "boxes") if {name, f"d{name}"} <= names.keys()
    ]
    have = have[:1] + ["memory"] * ("dmemory" in names)
    inputs = {name: names[name] + 0j for name in have}
    x = next(iter(inputs.values()), names.get("tokens"))

    def loss():
        if "layer" in names:
            given = {name: names[name] for name in ("places", "lengths") if name in names}
            given |= {"memory": inputs["memory"]} if "memory" in inputs else {}
            y, _ = forward(names["layer"], params, x, **given)
            if "read" in names:
                y, _ = names["layer"].logits(params, y)
            return (y * names["dy"]).sum()
        if "boxes" in inputs:
            return giou(x, names["truth"])[0].sum()
        logits = names["model"].forward(params, x)[0] if "model" in names else x
        smoothing = names.get("smoothing", 0.0)
        return minivit.cross_entropy(logits, names["labels"], smoothing=smoothing)[0]

    written = {name: names[f"d{name}"] for name in inputs} | dict(grads.named())
    for name, array in (inputs | dict(params.named())).items():
        yield name, written[name], complex_step(loss, array)


@every_page
def test_quotes_stand_in_the_source(page):
    quotes = [
        block for section in sections(read(page)) for block in section.of("python") if block.origin
    ]
    assert quotes
    for quote in quotes:
        name, path, link = quote.origin
        assert (page.parent / link).resolve() == ROOT / path
        source, end = source_of(name, path), 0
        for piece in re.split(r"^ *\.\.\.\n", quote.text, flags=re.MULTILINE):
            match = re.compile(indented(piece), re.MULTILINE).search(source, end)
            assert match, f"{name} in {path} does not say, in this order:\n{piece}"
            end = match.end()


def source_of(name, path):
    """The source of "function" or "Class.method"."""
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    return inspect.getsource(functools.reduce(getattr, name.split("."), module))


def indented(piece):
    """A pattern for the lines of a piece, all further to the right by the same number of spaces."""
    first, *others = textwrap.dedent(piece).splitlines()
    others = [rf"\n\1{re.escape(line)}" if line else r"\n" for line in others]
    return f"^( *){re.escape(first)}{''.join(others)}$"


@every_page
def test_no_number_goes_unchecked(page):
    for section in sections(read(page)):
        for block in section.blocks:
            where = f"{page.name}, {section.title}: {block.text}"
            if block.kind == "prose":
                bare = LINK.sub("", INLINE.sub("", block.text))
                assert not re.search(r"\d", bare), f"a number in prose, not in an equation: {where}"
                for inline in INLINE.findall(block.text):
                    assert not re.fullmatch(r"[−-]?[\d./]+", inline), f"no equation: {inline}"
            elif block.kind == "text" and not section.code:
                assert not re.search(r"\d\.\d|\d\d", block.text), f"not evaluated: {where}"
            else:
                assert block.kind in ("equations", "python", "text"), block.kind


@every_file
def test_links_lead_somewhere(page):
    for target in LINK.findall(read(page)):
        assert (page.parent / target).is_file(), target


def test_the_index_lists_every_page():
    listed = [target for target in LINK.findall(read(INDEX)) if re.fullmatch(r"\w+\.md", target)]
    assert sorted(listed) == [page.name for page in PAGES]


@every_file
def test_a_quotation_shows_no_mark_of_its_own(page):
    """A `>` that slips from the start of a line into its text is printed."""
    for line in read(page).splitlines():
        if line.startswith(">"):
            assert ">" not in line[1:], line


@every_page
def test_a_page_shows_the_figure_that_is_drawn_now(page):
    """The picture has the data of the function of its name; dpi and fonts are not looked at."""
    assert f"](figures/{page.stem}.png)\n" in read(page)
    path = FOLDER / "figures" / f"{page.stem}.png"
    assert path.stat().st_size < 40_000
    (draw,) = (function for function in figures.FIGURES if function.__name__ == page.stem)
    with Image.open(path) as picture:
        shown = json.loads(picture.text["Description"])
    expected = [
        pytest.approx(item, rel=1e-3, abs=1e-9) if isinstance(item, float) else item
        for item in figures.data(draw())
    ]
    assert shown == expected, "out of date: run python -m docs.derivations.figures"


@every_page
def test_a_changed_number_is_noticed(page):
    """Change every number of every equation, one at a time: the page must fail each time."""
    text = read(page)
    check_equations(text, page.name)
    unnoticed = []
    for start, end in numbers_in(text):
        changed = str((int(text[end - 1]) + 1) % 10)
        try:
            check_equations(text[: end - 1] + changed + text[end:], page.name)
            unnoticed.append(f"{text[start:end]} in {text[start - 30 : end + 30]!r}")
        except (AssertionError, ArithmeticError, ValueError):
            pass
    assert not unnoticed


def numbers_in(text):
    """Yield (start, end) of every number in an equation, except indices and sides of ≠."""
    for equation in {equation for section in sections(text) for equation in section.equations}:
        if "≠" not in equation:
            start = text.index(equation)
            for token in re.finditer(r"\w\[[^\]]*\]|(?<!\w)(\d+(?:\.\d+)?)", equation):
                if token[1]:
                    yield start + token.start(1), start + token.end(1)
