"""What the page says of a number in words, in a real browser."""

import numpy as np
import pytest

from minivit.study.explorer import page_html
from tests.study.explorer.cases import DEFAULT, data_of, traced
from tests.study.explorer.reading import same

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def square():
    """A page whose heads are as wide as there are tokens: q is 16 × 16, as the scores are."""
    return page_html(data_of(traced(DEFAULT, heads=4, depth=1)))


def test_scores_are_known_by_what_they_are_and_not_by_their_size(square, tmp_path, new_page):
    (tmp_path / "page.html").write_text(square, encoding="utf-8")
    page = new_page((tmp_path / "page.html").as_uri())
    says = {
        "q": "of patch 2,3", "mix": "of patch 2,3", "dv": "of patch 2,3",
        "att": "patch 2,3 looks at patch 1,2", "dscores0": "patch 2,3 looks at patch 1,2",
        "dw": "", "proj.dw": "",
    }  # fmt: skip
    for line, words in says.items():
        query = page.evaluate("state.query")
        page.locator(f"[id='line-{line}']").click()
        page.evaluate("update({ chosen: { symbol: shown[0].matrix.symbol, i: 6, j: 1 } })")
        said = page.text_content("#sum .number")
        symbol, number = page.locator("#sum .number > *").all_text_contents()
        assert said.replace(symbol, "", 1).replace(number, "", 1).strip() == words, line
        assert page.evaluate("state.query") == (6 if "looks at" in words else query), line


def test_a_weight_with_as_many_rows_as_tokens_belongs_to_no_patch(tmp_path, new_page):
    data = data_of(traced(DEFAULT, dim=16, heads=2, depth=1))
    (tmp_path / "page.html").write_text(page_html(data), encoding="utf-8")
    page = new_page((tmp_path / "page.html").as_uri())
    for line, words in {"dw": "", "proj.dw": "", "q": "of patch"}.items():
        page.locator(f"[id='line-{line}']").click()
        assert words in page.text_content("#sum .number"), line
        assert words or "patch" not in page.text_content("#sum .number"), line


def test_rows_of_patches_are_named_where_a_class_token_stands_before_them(tmp_path, new_page):
    data = data_of(traced(DEFAULT, pool="cls", depth=1))
    (tmp_path / "page.html").write_text(page_html(data), encoding="utf-8")
    page = new_page((tmp_path / "page.html").as_uri())
    page.click("#group-pixels")
    page.evaluate("update({ chosen: { symbol: shown[0].matrix.symbol, i: 6, j: 1 } })")
    assert "of patch 2,3" in page.text_content("#sum .number")


@pytest.mark.parametrize("name", ["looks-0", "back-0", "pixels", "map-att", "map-datt", "map-dk"])
def test_what_a_map_says_of_a_cell_can_be_read(record, file, name):
    page = file()
    line = page.locator("#head-value" if name.startswith("map") else "#pass-value")
    assert "to read its numbers here" in line.text_content()
    page.locator(f"#{name}").focus()
    page.keyboard.press("ArrowRight")
    said = line.text_content()
    assert said == page.get_attribute(f"#{name}", "aria-label")
    number_said = said.split(";")[0].replace("=", ":").rsplit(":")[-1]
    if name.startswith("back"):
        row = page.evaluate("placeOf.get('back-0')")
        token = page.evaluate(f"FIRST + {row[0]} * GRID.cols + {row[1]}")
        assert same(number_said, np.linalg.norm(record["blocks.0.y"].gradient[0, token]))
    if name == "map-dk":
        row = page.evaluate("placeOf.get('map-dk')")
        token = page.evaluate(f"FIRST + {row[0]} * GRID.cols + {row[1]}")
        block, head = page.evaluate("[state.block, state.head]")
        gradient = record[f"blocks.{block}.attn.k"].gradient[0, head, token]
        assert same(number_said, np.linalg.norm(gradient))
        assert same(said.rsplit("= ")[-1], gradient[np.abs(gradient).argmax()])
    page.locator(f"#{name}").blur()
    assert "to read its numbers here" in line.text_content()
