"""The tour, and the words that are explained where they stand."""

import re

import pytest

from tests.samples import sample
from tests.study.explorer.cases import SMALL, VARIANTS, classifier_of, data_of, small_data
from tests.study.explorer.reading import until

pytestmark = pytest.mark.slow
KINDS = VARIANTS | {"many classes": dict(classes=30, positions="sincos1d")}


def test_the_page_begins_with_the_tour_unless_an_address_says_where(page_of):
    page = page_of(small_data(), "")
    assert page.locator("#tour").is_visible()
    assert page.text_content("#tour-place").startswith("1 of ")
    page.click("#tour-close")
    assert page.evaluate("document.activeElement.id") == "tour-open"
    assert page_of(small_data()).locator("#tour").is_hidden()


@pytest.mark.parametrize("kind", sample(KINDS, 2))
def test_every_stop_takes_the_right_answer_and_no_other(page_of, kind):
    page, seen = page_of(data_of(classifier_of(SMALL, **KINDS[kind])), ""), []
    count = page.evaluate("STOPS.length")
    assert 12 <= count <= 15
    for stop in range(count):
        assert page.text_content("#tour-place") == f"{stop + 1} of {count}"
        assert page.text_content("#tour-then") == ""
        words = page.text_content("#tour-words")
        assert len(re.findall(r"[.?…:](?: |$)", words)) <= 3 and words.endswith("."), words
        assert page.text_content("#tour-question").endswith(("?", "…", "Guess."))
        line = page.evaluate("state.line.result.name")
        wanted = page.evaluate("STOPS[tour.at].line")
        assert line == wanted or (wanted, line) == ("blocks.0.mid", "blocks.0.sum1")
        seen.append((words, line))
        answers = page.locator("#tour-answers button")
        right = page.evaluate("STOPS[tour.at].right()")
        assert 0 <= right < answers.count() >= 2
        texts = answers.all_text_contents()
        assert len(set(texts)) == len(texts)
        for place in [*(place for place in range(len(texts)) if place != right), right]:
            answers.nth(place).click()
            said = page.text_content("#tour-then")
            assert said.startswith("Yes. " if place == right else "Not quite. "), words
            assert not re.search("NaN|undefined|null|Infinity|object", said), said
            assert answers.nth(right).get_attribute("class") == "right"
            wrong = answers.evaluate_all("all => all.map((one) => one.className === 'wrong')")
            assert wrong == [place != right and n == place for n in range(len(texts))]
        page.click("#tour-next")
    assert page.locator("#tour").is_hidden()
    assert len({words for words, _ in seen}) == count
    phases = page.evaluate("names => names.map((name) => net.arrays.get(name).line.phase)",
                           [line for _, line in seen])  # fmt: skip
    assert phases == sorted(phases, reverse=True), "forward comes first"


def test_back_and_forth(page_of):
    page = page_of(small_data(), "")
    assert page.locator("#tour-back").is_disabled()
    page.click("#tour-next")
    page.click("#tour-next")
    words = page.text_content("#tour-words")
    page.click("#tour-next")
    page.click("#tour-back")
    assert page.text_content("#tour-words") == words
    page.click("#tour-close")
    page.click("#tour-open")
    assert page.text_content("#tour-place").startswith("1 of ")


def test_play_answers_and_goes_on_to_the_end(page_of):
    page = page_of(small_data(), "")
    count = page.evaluate("STOPS.length")
    page.evaluate("window.setInterval = (act) => { tick = act; return 1; }; void (tick = null)")
    page.click("#tour-play")
    assert page.text_content("#tour-play") == "Pause"
    for stop in range(count):
        assert page.text_content("#tour-place") == f"{stop + 1} of {count}"
        page.evaluate("tick()")
        said = page.text_content("#tour-then")
        assert said and not said.startswith(("Yes", "Not quite"))
        assert page.locator("#tour-answers .right").count() == 1
        page.evaluate("tick()")
    assert page.text_content("#tour-play") == "Play"


def test_pause_stops_where_it_is(page_of):
    page = page_of(small_data(), "")
    page.evaluate("void (window.real = setInterval, window.setInterval = (act) => real(act, 50))")
    page.click("#tour-play")
    until(page, "tour.at >= 2")
    page.click("#tour-play")
    at = page.evaluate("tour.at")
    page.wait_for_timeout(200)
    assert page.evaluate("tour.at") == at and page.text_content("#tour-play") == "Play"


@pytest.mark.parametrize("kind", sample(VARIANTS, 2))
def test_every_word_is_explained_and_every_line_has_a_sentence(shared_page_of, kind):
    page = shared_page_of(data_of(classifier_of(SMALL, **VARIANTS[kind]), derivations="../d/"))
    missing = page.evaluate("""[...net.forward, ...net.backward].filter(({ kind, formula }) =>
        !formula.copyOf && !SENTENCES[kind]).map(({ result }) => result.name)""")
    assert missing == []
    for part in page.evaluate("partsInOrder()"):
        page.evaluate("part => update({ line: mainLine(part, 'forward') })", part)
        words = page.locator(".word")
        for place in range(words.count()):
            words.nth(place).click()
            text = page.text_content("#word")
            assert text.startswith(words.nth(place).text_content()) and "undefined" not in text
            assert text.endswith(".") and page.locator("#word").is_visible()
            page.keyboard.press("Escape")
            assert page.locator("#word").is_hidden()
        assert not re.search(r"[\[\]]", page.text_content("#part-words"))


def test_every_line_links_to_a_derivation_that_exists(shared_page_of):
    from pathlib import Path

    folder = Path(__file__).parents[3] / "docs" / "derivations"
    for changes in VARIANTS.values():
        page = shared_page_of(data_of(classifier_of(SMALL, **changes), derivations="../d/"))
        links = page.evaluate("""[...net.forward, ...net.backward].map((line) =>
            derivationOf(line)[1].getAttribute("href"))""")
        for link in set(links):
            assert (folder / link.removeprefix("../d/")).is_file(), link


def test_an_image_without_a_label_is_never_said_to_be_something(page_of):
    data = small_data()
    first = data["digits"][0] | {"label": None, "warnings": ["it touches the edge"]}
    page = page_of(data | {"digits": [first, *data["digits"][1:]]})
    words = page.text_content("#verdict")
    assert words.startswith("The model reads “3” (") and "This is" not in words
    assert "No label is given, so the loss is that of “3”." in words
    assert page.text_content("#warnings") == "Warning: it touches the edge."
    assert page.locator(".bars .label").count() == 0
    page.select_option("#truth", "1")
    assert page.text_content("#verdict").startswith("This is “1”. The model reads “3” (")
    assert page.locator(".bars .label").count() == 1


def test_scores_are_known_by_what_they_are_and_not_by_their_size(page_of):
    """Everything is 4: q has the shape of the scores, and so has a weight."""
    sizes = dict(image_size=8, dim=4, heads=1, mlp_dim=4, depth=1)
    page = page_of(data_of(classifier_of(SMALL, **sizes)))
    says = {
        "attn.q": "of patch 1,0", "attn.mix": "of patch 1,0", "attn.dv": "of patch 1,0",
        "attn.softmax.y": "patch 1,0 attends to patch 0,1", "attn.proj.dw": "",
        "attn.dscores": "patch 1,0 attends to patch 0,1", "ln1.mean": "of patch 1,0",
    }  # fmt: skip
    for line, words in says.items():
        page.evaluate("name => update({ line: net.arrays.get(name).line })", f"blocks.0.{line}")
        page.evaluate("update({ cell: { array: state.line.result, i: 2, j: 1 } })")
        symbol, value = page.locator("#sum .number > *").all_text_contents()
        said = page.text_content("#sum .number").replace(symbol, "", 1).replace(value, "", 1)
        assert said.strip() == words, line
