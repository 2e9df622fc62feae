"""The derivations say what is so: every number, quote and link of docs/derivations is checked.

How a page is read is told in pages.py, what an equation on it means in equations.py.
"""

import ast
import functools
import re
import textwrap

import pytest

import minivit
from tests.docs.board import Board
from tests.docs.equations import equations
from tests.docs.pages import FOLDER, INLINE, PAGES, ROOT, sections
from tests.docs.seen import run_example
from tests.numeric import complex_step, relative_error

INDEX = FOLDER / "README.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)]+)\)")
run = functools.cache(run_example)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def read(page):
    return page.read_text(encoding="utf-8")


def check_equations(text, filename):
    """Check all that a page says in numbers, or in formulas of arrays, on its example.

    What stands before the first example is checked on that; what stands after one, on the last.
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
    assert len(read(page).splitlines()) <= 160


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
    if "logits" in names:
        logits = names["logits"] + 0j
        written, arrays = {"logits": names["dlogits"]}, {"logits": logits}

        def loss():
            return minivit.cross_entropy(logits, names["labels"], smoothing=names["smoothing"])[0]
    else:
        params, grads = (
            nest if isinstance(nest, minivit.Params) else minivit.Params(nest)
            for nest in (names["params"], names["grads"])
        )
        given = "images" if "images" in names else "x"
        params, x = params.astype(complex), names[given] + 0j
        written = {given: names[f"d{given}"], **dict(grads.named())}
        arrays = {given: x, **dict(params.named())}

        def loss():
            return (names["layer"].forward(params, x)[0] * names["dy"]).sum()

    for name, array in arrays.items():
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
        source = lines_of(name, ROOT / path)
        for piece in re.split(r"^ *\.\.\.\n", quote.text, flags=re.MULTILINE):
            lines = textwrap.dedent(piece).splitlines()
            for start in range(len(source) - len(lines) + 1):
                end = start + len(lines)
                if textwrap.dedent("\n".join(source[start:end])).splitlines() == lines:
                    source = source[end:]
                    break
            else:
                raise AssertionError(f"{name} in {path} does not say, in this order:\n{piece}")


def lines_of(name, path):
    """The source lines of "Class.method", of a function, or of a constant of the module."""
    text = path.read_text(encoding="utf-8")
    node = ast.parse(text)
    for part in name.split("."):
        (node,) = (child for child in node.body if part in names_of(child))
    return text.splitlines()[node.lineno - 1 : node.end_lineno]


def names_of(node):
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [getattr(node, "name", None)]


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


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda path: path.stem)
def test_links_lead_somewhere(page):
    for target in LINK.findall(read(page)):
        assert (page.parent / target).is_file(), target


def test_the_index_lists_every_page():
    listed = [target for target in LINK.findall(read(INDEX)) if "/" not in target]
    assert sorted(listed) == [page.name for page in PAGES]


@every_page
def test_a_changed_number_is_noticed(page):
    """Every number of every equation, one at a time, is made another: the page must fail."""
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
    """Where they stand, (start, end), in equations; indices, and what only must be wrong, left."""
    for equation in {equation for section in sections(text) for equation in section.equations}:
        if "≠" not in equation:
            start = text.index(equation)
            for token in re.finditer(r"\w\[[^\]]*\]|(\d+(?:\.\d+)?)", equation):
                if token[1]:
                    yield start + token.start(1), start + token.end(1)
