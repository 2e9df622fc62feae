import html
import json
import re

import numpy as np
import pytest

from minivit.study.explorer import chosen, show
from tests.saved_runs import oblong, untrained
from tests.study.explorer.cases import unpacked

pytest.importorskip("IPython")
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)


def page_in(shown):
    """The page inside the frame that a notebook shows."""
    (page,) = re.findall(r'srcdoc="([^"]*)"', shown._repr_html_())
    return html.unescape(page)


def data_in(shown):
    return json.loads(re.findall(r'"application/json">(.*?)</script>', page_in(shown))[0])


def test_the_page_stands_in_a_frame_of_its_own_and_no_file_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = show(untrained(), IMAGES)
    frame = shown._repr_html_()
    assert 'sandbox="allow-scripts' in frame and "allow-same-origin" not in frame
    assert 'height="900"' in frame and page_in(shown).startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == []


def test_with_labels_the_worst_mistakes_come_first():
    classifier = untrained()
    labels = np.arange(40) % 10
    data = data_in(show(classifier, IMAGES, labels))
    expected = chosen(classifier, IMAGES, labels)
    assert [digit["name"] for digit in data["digits"]] == [digit.name for digit in expected]
    assert data["drawing"] is True


def test_without_labels_the_first_are_shown_and_none_is_said():
    data = data_in(show(untrained(), IMAGES))
    assert len(data["digits"]) == 30 and {digit["label"] for digit in data["digits"]} == {None}
    pixels = unpacked(data["digits"][29]["pixels"], np.uint8)
    assert pixels.tobytes() == IMAGES[29].tobytes() and data["digits"][29]["name"] == "image 29"


def test_a_run_is_given_by_its_folder_too(tmp_path):
    classifier = oblong(channels=3)
    classifier.save(tmp_path)
    colours = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), np.uint8)
    data = data_in(show(tmp_path, colours, np.array([1, 2])))
    numbers = unpacked(data["weights"]["float32"], "<f4")
    assert numbers.tobytes() == classifier.params.flat.tobytes()
    assert data["classes"] == [*"abc"] and data["drawing"] is False


def test_a_model_that_is_too_large_is_refused_before_all_images_are_read(monkeypatch):
    large = untrained(dim=300, depth=6, heads=3)
    monkeypatch.setattr(type(large), "logits", lambda *_: pytest.fail("it reads images"))
    with pytest.raises(ValueError, match="at most 2,100,000 parameters"):
        show(large, IMAGES, np.zeros(40, int))
