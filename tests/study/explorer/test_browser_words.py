"""What the page says of a number in words, in a real browser."""

import numpy as np
import pytest

from tests.study.explorer.cases import DEFAULT, data_of, traced
from tests.study.explorer.reading import same

pytestmark = pytest.mark.slow


def test_scores_are_known_by_what_they_are_and_not_by_their_size(page_of):
    """Everything is 16: q has the shape of the scores, and so has the weight wo."""
    page = page_of(data_of(traced(DEFAULT, dim=16, heads=1, depth=1)))
    says = {
        "q": "of patch 1,2", "mix": "of patch 1,2", "dv": "of patch 1,2",
        "att": "patch 1,2 attends to patch 0,1", "dscores0": "patch 1,2 attends to patch 0,1",
        "dw": "", "proj.dw": "",
    }  # fmt: skip
    for line, words in says.items():
        query = page.evaluate("state.query")
        page.locator(f"[id='line-{line}']").click()
        page.evaluate("update({ chosen: { symbol: shown[0].matrix.symbol, i: 6, j: 1 } })")
        said = page.text_content("#sum .number")
        symbol, number = page.locator("#sum .number > *").all_text_contents()
        assert said.replace(symbol, "", 1).replace(number, "", 1).strip() == words, line
        assert page.evaluate("state.query") == (6 if "attends to" in words else query), line


def test_rows_of_patches_are_named_where_a_class_token_stands_before_them(page_of):
    page = page_of(data_of(traced(DEFAULT, pool="cls", depth=1)))
    page.click("#group-pixels")
    page.evaluate("update({ chosen: { symbol: shown[0].matrix.symbol, i: 6, j: 1 } })")
    assert "of patch 1,2" in page.text_content("#sum .number")


def test_a_picture_without_a_label_is_never_said_to_be_something(page_of):
    record = traced(DEFAULT, depth=1)
    best = int(record["logits"].value.argmax())
    more = {"label": best, "labelled": False, "warnings": ["it touches the edge"]}
    page = page_of(data_of(record) | more)
    words = page.text_content("#verdict")
    assert words.startswith(f"The model reads “{best}” (") and "This is" not in words
    assert f"No label was given, so the loss is that of “{best}”" in words
    assert page.text_content("#warnings") == "Warning: it touches the edge."
    assert page.locator(".bars .label").count() == 0


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
    if name in ("back-0", "map-dk"):
        row = page.evaluate(f"placeOf.get('{name}')")
        token = page.evaluate(f"FIRST + {row[0]} * GRID.cols + {row[1]}")
    if name == "back-0":
        assert same(number_said, np.linalg.norm(record["blocks.0.y"].gradient[0, token]))
    if name == "map-dk":
        block, head = page.evaluate("[state.block, state.head]")
        gradient = record[f"blocks.{block}.attn.k"].gradient[0, head, token]
        assert same(number_said, np.linalg.norm(gradient))
        assert same(said.rsplit("= ")[-1], gradient[np.abs(gradient).argmax()])
    page.locator(f"#{name}").blur()
    assert "to read its numbers here" in line.text_content()
