import json
import re

import numpy as np
import pytest

from minivit.study.explorer.arrays import find, names_of
from minivit.study.explorer.page import HERE, SCRIPTS, page_html
from tests.study.explorer.cases import data_of, small_data, traced, unpacked


@pytest.mark.parametrize(
    "changes", [{}, {"pool": "cls"}, {"norm": "post", "positions": "sincos2d"}], ids=str
)
def test_every_number_is_a_fresh_traces(changes):
    data, fresh = small_data(**changes), traced(**changes)
    assert data["loss"] == fresh.loss
    assert set(data["arrays"]) == set(names_of(2))
    for name, array in data["arrays"].items():
        np.testing.assert_array_equal(unpacked(array), find(fresh, name).value, err_msg=name)


def test_the_html_holds_the_data_and_needs_nothing_else():
    page = page_html(small_data())
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert json.loads(text) == json.loads(json.dumps(small_data() | {"live": False}))
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,"]
    assert not re.findall(r"@import|url\(|import\(|\{\{ (?:style|script|data) ", page)
    assert '"live": true' in page_html(small_data(), live=True)


def test_class_names_cannot_end_the_script():
    data = small_data() | {"classes": ["</script><script>alert(1)</script>", *"1234"]}
    assert page_html(data).count("</script>") == page_html(small_data()).count("</script>")


def test_all_scripts_are_on_the_page():
    assert sorted(f"{name}.js" for name in SCRIPTS) == sorted(f.name for f in HERE.glob("*.js"))


def test_refuses_what_it_cannot_show():
    with pytest.raises(ValueError, match=r"one grey image, \(1, H, W, 1\); .* \(1, 8, 12, 3\)"):
        data_of(traced(channels=3))
