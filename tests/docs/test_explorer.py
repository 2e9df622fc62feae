"""The committed page docs/explorer/index.html and its stages are those of today's code."""

import json

import numpy as np
import pytest

import minivit
from demos import train_mnist
from docs.explorer import build
from minivit.data.digits import Split
from minivit.study.explorer import chosen
from minivit.training import fit
from tests.data.idx import few_digits
from tests.saved_runs import untrained

REBUILD = "out of date: run python -m docs.explorer.build --page-only"


@pytest.fixture(scope="module")
def page():
    if not build.PAGE.exists():
        pytest.skip("docs/explorer/index.html is not built yet")
    return build.PAGE.read_bytes()


def stages_in(script):
    name, _, rest = script.decode().partition("(")
    assert name == "receiveStages" and rest.endswith(");\n")
    return json.loads(rest.removesuffix(");\n"))


def test_the_page_is_that_of_its_model_and_digits_today(page):
    assert build.rendered(page.decode()) == page, REBUILD
    assert len(page) <= 1.5e6


def test_its_digits_are_those_that_its_model_chooses(page):
    classifier, digits = build.held(page.decode())
    expected = chosen(classifier, *minivit.load_digits().test)
    assert [(digit.name, digit.label) for digit in digits] == [
        (digit.name, digit.label) for digit in expected
    ]
    for digit, other in zip(digits, expected, strict=True):
        np.testing.assert_array_equal(digit.pixels[:, :, 0], other.pixels)


def test_the_last_stage_is_the_model_of_the_page(page):
    classifier, _ = build.held(page.decode())
    script = build.STAGES.read_bytes()
    assert len(script) <= 3e6
    stages = stages_in(script)
    half = [build.numbers(stage["float16"], "<f2") for stage in stages]
    np.testing.assert_array_equal(half[-1], classifier.params.flat.astype("<f2"))
    assert {len(numbers) for numbers in half} == {classifier.params.flat.size}
    head = dict(classifier.params.of(half[0].astype(np.float32)).named())["head.w"]
    assert not head.any()  # a new model's
    assert [stage["step"] for stage in stages] == sorted(stage["step"] for stage in stages)


def test_a_page_that_was_changed_is_noticed():
    """Its style, or a line of code that it quotes."""
    classifier = untrained()
    digits = chosen(classifier, np.zeros((3, 28, 28), np.uint8), np.array([3, 1, 2]))
    page = build.page_of(classifier, digits)
    assert build.rendered(page.decode()) == page
    for there, other in [("<style>", "<style>/* */"), ("scores *= self.scale", "scores *= scale")]:
        assert there.encode() in page
        changed = page.replace(there.encode(), other.encode())
        assert build.rendered(changed.decode()) == page != changed


def test_a_stage_measures_the_rounded_weights():
    """In float32 the last class wins by a hair, which float16 does not have: then it is the first.

    The labels say 9, 9, 0.
    """
    classifier = untrained()
    head = classifier.params["head"]
    head["w"][...], head["b"][...] = 0, 1 + 4e-5 * np.arange(10)
    images = np.zeros((3, 28, 28), np.uint8)
    split = Split(images, np.array([9, 9, 0]))
    assert classifier.evaluate(split)[1] == 2 / 3
    stage = build.stage("after 1 step", 1, classifier, split)
    assert (stage["name"], stage["step"], stage["accuracy"]) == ("after 1 step", 1, 1 / 3)
    half = build.numbers(stage["float16"], "<f2")
    np.testing.assert_array_equal(half, classifier.params.flat.astype(np.float16))
    assert stages_in(build.script_of([stage])) == [stage]


@pytest.fixture
def small_recipe(monkeypatch, tmp_path):
    """240 digits in steps of 50, a small model, and files in an empty folder."""
    small = f"--data {few_digits(tmp_path / 'digits')} --patch-size 14 --dim 8 --depth 1 --heads 1"
    options = train_mnist.arguments([*small.split(), "--epochs=2", "--batch-size=50", "--shards=1"])
    monkeypatch.setattr(train_mnist, "arguments", lambda argv: options)
    monkeypatch.setattr(build, "STEPS", [2, 7])
    monkeypatch.setattr(build, "PAGE", tmp_path / "index.html")
    monkeypatch.setattr(build, "STAGES", tmp_path / "stages.js")


def test_builds_both_files_and_the_page_anew(small_recipe):
    build.main([])
    stages = stages_in(build.STAGES.read_bytes())
    assert [(stage["name"], stage["step"]) for stage in stages] == [
        ("before training", 0),
        ("after 2 steps", 2),
        ("after 1 epoch", 5),
        ("after 7 steps", 7),
        ("trained, 2 epochs", 10),
    ]
    page = build.PAGE.read_bytes()
    classifier, _ = build.held(page.decode())
    last = build.numbers(stages[-1]["float16"], "<f2")
    np.testing.assert_array_equal(last, classifier.params.flat.astype(np.float16))
    build.PAGE.write_bytes(page.replace(b"<style>", b"<style>/* of yesterday */"))
    build.main(["--page-only"])
    assert build.PAGE.read_bytes() == page


def test_the_model_is_that_of_the_best_epoch(small_recipe, monkeypatch):
    def fit_and_spoil(progress, *splits, **options):
        """As if the last epoch had lost everything."""
        fit(progress, *splits, **options)
        progress.params.zero()
        progress.validation_losses[-1] = np.inf

    monkeypatch.setattr(build, "fit", fit_and_spoil)
    classifier, _, stages = build.trained()
    assert classifier.params.flat.any()
    assert (stages[-1]["name"], stages[-1]["step"]) == ("trained, 1 epoch", 5)
    half = build.numbers(stages[-1]["float16"], "<f2")
    np.testing.assert_array_equal(half, classifier.params.flat.astype(np.float16))
