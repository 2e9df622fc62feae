"""The network learns on the page, step by step, and everything can be taken back."""

import base64
import json
import math

import numpy as np
import pytest

from minivit.params import Params
from tests.study.explorer.cases import classifier_of, data_of, small_data, unpacked
from tests.study.explorer.reading import named, number, until

pytestmark = pytest.mark.slow

VALUES = "Object.fromEntries([...net.parameters].map(([name, { data }]) => [name, [...data]]))"


@pytest.fixture
def page(page_of):
    return page_of(small_data())


def learn(page, count):
    page.click(f"#learn-{count}")
    until(page, "!learning.running")


def weights(page):
    """All of them, to the bit."""
    return np.array(page.evaluate("[...net.flat]"))


def loss(page):
    return page.evaluate("net.loss()")


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("batch", ["one", "all"])
def test_ten_steps_lower_the_loss_and_undo_brings_back_every_weight(page, optimizer, batch):
    page.select_option("#optimizer", optimizer)
    page.select_option("#batch", batch)
    before, start = weights(page), loss(page)
    learn(page, 10)
    after, first, last = weights(page), *page.evaluate(
        "[learning.losses[0][1], learning.losses.at(-1)[1]]"
    )  # fmt: skip
    assert last < first and (batch == "all" or (first, last) == (start, loss(page)))
    words = page.text_content("#learned")
    assert words.startswith("10 steps: the loss went from ")
    assert number(words.rstrip(".").split()[-1]) == pytest.approx(last, rel=1e-3)
    assert page.locator("#curve polyline.curve").get_attribute("points").count(",") == 11
    assert (before != after).mean() > 0.9
    learn(page, 1)
    assert page.text_content("#learned").startswith("11 steps: ")
    page.click("#undo")
    np.testing.assert_array_equal(weights(page), after)
    assert page.text_content("#learned") == words
    learn(page, 1)
    again = weights(page)
    page.click("#undo")
    learn(page, 1)
    np.testing.assert_array_equal(weights(page), again, "what the optimizer remembers came back")
    page.click("#undo")
    page.click("#undo")
    np.testing.assert_array_equal(weights(page), before)
    assert (loss(page), page.text_content("#learned")) == (start, "No step taken.")
    assert page.locator("#undo").is_disabled()


def test_one_step_of_all_images_is_against_their_mean_gradient(page):
    page.select_option("#batch", "all")
    before = weights(page)
    mean = page.evaluate("""() => {
        const total = new Float64Array(net.flat.length);
        for (const { pixels, label } of digits) {
            run(learner, normalised(pixels), label);
            learner.gradient.forEach((value, n) => (total[n] += value / digits.length));
        }
        return [...total];
    }""")
    learn(page, 1)
    rate = page.evaluate("rateChosen()")
    np.testing.assert_allclose(before - weights(page), rate * np.array(mean), rtol=1e-9, atol=1e-16)


def test_fresh_weights_have_a_head_of_zeros_and_nothing_flows_back_past_it(page):
    page.click("#fresh")
    assert loss(page) == pytest.approx(math.log(5), rel=1e-14)
    for name, gradient in page.evaluate(
        "[...net.parameters].map(([n, w]) => [n, [...w.gradient]])"
    ):
        assert (max(map(abs, gradient)) > 0) == name.startswith("head."), name
    first = page.evaluate(VALUES)
    for name, values in first.items():
        if name.startswith("head.") or name.endswith(".b"):
            assert set(values) == {0}, name
        elif name.endswith(("ln1.w", "ln2.w", "ln.w")):
            assert set(values) == {1}, name
        else:
            assert len(set(values)) == len(values), name
    learn(page, 10)
    assert loss(page) < math.log(5)
    assert min(abs(np.array(page.evaluate("[...net.parameters.get('patches.w').gradient]")))) > 0
    page.click("#original")
    original = unpacked(small_data()["weights"]["float32"], "<f4").astype(float)
    np.testing.assert_array_equal(weights(page), original)
    assert page.text_content("#learned") == "No step taken."


def test_fresh_weights_are_as_large_as_those_of_the_engine(page_of):
    classifier = classifier_of(dim=48, mlp_dim=64)
    page, rng = page_of(data_of(classifier)), np.random.default_rng(0)
    page.click("#fresh")
    found = page.evaluate(VALUES)
    for name, leaf in Params(classifier.model.init(rng)).named():
        values, count = np.array(found[name]), leaf.size
        assert values.std() == pytest.approx(leaf.std(), rel=5 / count**0.5, abs=1e-12), name
        assert abs(values).max() <= abs(leaf).max() * 1.3 + 1e-12, name


def test_what_the_other_images_are_read_as_follows_the_weights(page):
    until(page, "byId('read-2').textContent")
    assert page.locator("#digits small").all_text_contents() == ["3"] * 3
    page.select_option("#truth", "4")
    page.fill("#rate", "-0.5")
    learn(page, 100)
    until(page, "digits.every((_, n) => byId(`digit-${n}`).title.match(/reads 4, \\d+ %/))")
    assert page.locator("#digits small").all_text_contents() == ["4"] * 3
    classes = [page.get_attribute(f"#digit-{place}", "class") for place in range(3)]
    assert classes == ["wrong", "right", "wrong"]  # they are 3, 4 and 0


def test_a_matrix_is_shown_before_and_after(page):
    page.select_option("#weights", "head.w")
    learn(page, 1)
    values = "[...net.parameters.get('head.w').data]"
    after, before = page.evaluate(values), page.evaluate("[...learning.past.at(-1).flat]")
    start = page.evaluate("net.parameters.get('head.w').data.byteOffset / 8")
    for kind, value in {"before": before[start + 6], "after": after[6],
                        "change": after[6] - before[start + 6]}.items():  # fmt: skip
        page.focus(f"#change-{kind}")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        said = page.text_content("#change-value")
        assert said.startswith(f"head.w, {kind}. head.w[1,1] = ")
        assert number(said.split("= ")[1]) == pytest.approx(value, rel=1e-3)


def test_a_network_that_has_diverged_is_shown_and_can_be_undone(page):
    before, words = weights(page), page.text_content("#verdict")
    page.evaluate("learning.memory = { velocity: net.flat.map(() => 1e200) }")
    learn(page, 10)
    assert page.evaluate("learning.steps") < 10
    page.click("#undo")
    np.testing.assert_array_equal(weights(page), before)
    assert page.text_content("#verdict") == words


def test_stages_of_the_training_are_replayed(page_of, tmp_path):
    classifier = classifier_of()
    rng = np.random.default_rng(0)
    halves = [rng.standard_normal(classifier.params.flat.size).astype("<f2") for _ in range(2)]
    halves[0][:8] = [0, -0.0, 6e-8, -3e-5, 6.1e-5, 65504, -1, 1 / 3]  # denormal numbers too
    stages = [dict(name=f"after {n} epochs", step=n, accuracy=0.5 * n or None,
                   float16=base64.b64encode(half.tobytes()).decode())
              for n, half in enumerate(halves)]  # fmt: skip
    (tmp_path / "stages.js").write_text(f"receiveStages({json.dumps(stages)});")
    page = page_of(data_of(classifier, stages="stages.js"), expected=[tmp_path.as_uri()])
    original = weights(page)
    page.click("#load-stages")
    until(page, "!byId('replay').hidden")
    page.focus("#stage")
    page.keyboard.press("Home")
    np.testing.assert_array_equal(weights(page), halves[0].astype(float))
    assert page.text_content("#stage-text") == "after 0 epochs"
    page.keyboard.press("ArrowRight")
    np.testing.assert_array_equal(weights(page), halves[1].astype(float))
    assert page.text_content("#stage-text") == "after 1 epochs: 50 % of the validation images right"
    page.keyboard.press("End")
    np.testing.assert_array_equal(weights(page), original)
    assert page.text_content("#stage-text") == "the weights of this page"


def test_stages_that_are_not_there_are_named(page_of, tmp_path):
    expected = [tmp_path.as_uri(), "Failed to load resource"]
    page = page_of(data_of(classifier_of(), stages="stages.js"), expected=expected)
    page.click("#load-stages")
    until(page, "byId('stage-text').textContent")
    assert page.text_content("#stage-text") == "stages.js cannot be read."
    assert page.locator("#replay").is_hidden()


def test_without_stages_there_is_nothing_to_load(page):
    assert page.locator(named("load-stages")).is_hidden()
