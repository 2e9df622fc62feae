"""The page of a Reader: what is asked, what is told, where the letters look, and what is hidden."""

import itertools
import re

import numpy as np
import pytest

from minivit.layers import Softmax
from minivit.study.explorer import page_data
from tests.samples import sample
from tests.study.explorer.cases import (
    PLACE,
    READERS,
    TEXTS,
    data_of,
    digits_of,
    recorded,
    traced,
    transcriber_of,
)
from tests.study.explorer.reading import PHONE, choose_line, named, number, point, until
from tests.study.explorer.test_controls import use
from tests.study.explorer.test_share import run

pytestmark = pytest.mark.slow
HERE = f"#digit=0&letter={PLACE}"
BLOCK = "decoder.blocks.1"
TOKENS = [1, 6, 3, 4, 2]  # the begin, d, a, b, the end


@pytest.fixture(scope="module")
def transcriber():
    return transcriber_of()


@pytest.fixture(scope="module")
def page(transcriber, shared_page_of):
    return shared_page_of(data_of(transcriber, derivations="derivations/"), HERE)


@pytest.fixture(scope="module")
def record(transcriber):
    return traced(transcriber, digits_of(transcriber)[0])


def told(page):
    return page.evaluate("[net.told.tokens, net.told.place, net.label]")


def chances(transcriber, strip, text):
    """The probabilities of all words at each place of a text that is told, (T, V)."""
    model, params = transcriber.model, transcriber.params.astype(np.float64)
    tokens = transcriber.vocabulary.encode([text], model.config["longest"])
    images = (strip.pixels[None] / 255 - transcriber.normalize.mean) / transcriber.normalize.std
    logits, _ = model.forward(params, images, tokens=tokens[:, :-1])
    return Softmax().forward(logits)[0][0], tokens[0]


def test_the_model_is_told_the_text_and_asked_for_a_letter(page):
    assert told(page) == [TOKENS, PLACE, 4]
    letters = page.locator("#letters button")
    assert letters.all_text_contents() == ["d", "a", "b", "end"]
    assert letters.evaluate_all("all => all.map((one) => one.ariaPressed)").index("true") == PLACE


def test_the_letter_to_begin_with_is_the_least_sure_one_after_the_first(page_of, transcriber):
    """Here the first one, which sees no other, is less sure."""
    (strip, *_), place = digits_of(transcriber), 0
    texts = map("".join, itertools.product("abcd", repeat=3))
    while place != 0 or strip.label == "dab":
        strip = strip._replace(label=next(texts))
        p, tokens = chances(transcriber, strip, strip.label)
        sure = [p[place, tokens[place + 1]] for place in range(4)]
        place = int(np.argmin(sure))
    page = page_of(page_data(transcriber, [strip]))
    assert told(page)[1] == 1 + int(np.argmin(sure[1:]))
    for place, chance in enumerate(sure):
        title = page.get_attribute(f"#letter-{place}", "title")
        assert title.endswith(page.evaluate("percent", chance) + " sure")


def test_of_an_empty_text_the_end_is_asked_for(page_of, transcriber):
    page = page_of(data_of(transcriber), "#digit=1&letter=3")
    assert told(page) == [[1, 2, 0, 0, 0], 0, 2]
    assert page.locator("#letters button").all_text_contents() == ["end"]


def test_another_letter_is_asked_for(page_of, transcriber, record):
    page = page_of(data_of(transcriber), HERE)
    choose_line(page, f"{BLOCK}.cross.softmax.y")
    for name in ("3", "0"):
        page.click(f"#letter-{name}")
        assert told(page) == [TOKENS, int(name), TOKENS[1 + int(name)] if name == "0" else 2]
        assert page.evaluate("state.row") == int(name)
        rows = page.evaluate("[...net.arrays.get('dlogits').data]")
        assert set(np.flatnonzero(rows) // 7) == {int(name)}
    assert page.text_content("#head-words").endswith("query the begin: what comes next?")
    page.click("#digit-2")
    page.click("#digit-0")
    assert told(page)[1] == 0, "it is remembered"


def test_the_verdict_says_what_stands_there_and_what_is_written(page, transcriber):
    digit = digits_of(transcriber)[0]
    p, _ = chances(transcriber, digit, digit.label)
    (reading,) = transcriber.transcribe(digit.pixels[None])
    best = ["padding", "the begin", "the end", *(f"“{each}”" for each in "abcd")][p[PLACE].argmax()]
    said = page.text_content("#verdict")
    assert said.startswith(
        f"“dab” stands there; read is “{reading.text}”. Told “da”, it goes on with"
    )
    assert f"goes on with {best} (" in said
    loss = number(re.search(r"this letter alone: (\S+)\.$", said)[1])
    assert loss == pytest.approx(-np.log(p[PLACE, 4]), rel=1e-3)


def test_without_a_label_it_is_told_what_it_writes_by_itself(page_of, transcriber):
    digits = [digit._replace(label=None) for digit in digits_of(transcriber)]
    page = page_of(page_data(transcriber, digits), HERE)
    (reading,) = transcriber.transcribe(digits[0].pixels[None])
    (tokens,) = transcriber.vocabulary.encode([reading.text], 4)
    assert told(page)[0] == tokens[:-1].tolist()
    said = page.text_content("#verdict")
    assert said.startswith(f"What the model writes by itself is “{reading.text}”.")
    assert "Right is" not in said, "it is what it writes"
    assert "truth" not in page.text_content("#classes")


@pytest.mark.parametrize("block", [0, 1])
def test_what_is_hidden_is_exactly_zero(page, block):
    """Its share, and the gradient of its score, which moves nothing."""
    above = (
        "(name) => { const { shape: [h, T], at } = net.arrays.get(name), all = [];"
        + """
        for (const s of range(h)) for (const i of range(T))
            for (let j = i + 1; j < T; j++) all.push(at(s, i, j));
        return all.map((value) => (value === -Infinity ? "hidden" : value)); }"""
    )
    path = f"decoder.blocks.{block}.attn"
    assert set(page.evaluate(above, f"{path}.scores")) == {"hidden"}
    for name in ("softmax.y", "softmax.dx", "dscores"):
        assert set(page.evaluate(above, f"{path}.{name}")) == {0}, name
    assert any(page.evaluate(above, f"{path}.datt"))
    for name in ("scores", "scores@1"):
        choose_line(page, f"{path}.{name}")
        page.evaluate("update({ cell: { array: state.line.result, i: 1, j: 3 } })")
        until(page, "nudged.slope !== null")
        assert page.evaluate("[nudged.slope, nudged.gradient]") == [0, 0]


def test_the_page_says_what_is_hidden(page):
    choose_line(page, f"{BLOCK}.attn.scores")
    assert page.text_content("#line-formula") == "scores = scores₁ where s ≤ t, else −∞"
    page.evaluate("update({ cell: { array: state.line.result, i: 1, j: 3 } })")
    words = page.text_content("#sum")
    assert "“d”, place 1 must not look ahead to “b”, place 3" in words
    assert "scores[1,3] = hidden, as 3 comes after 1" in words and "= −∞" in words
    for place in range(5):
        said = said_of(page, "att", place)
        assert (", hidden: 0" in said) == (place > 1), said
    choose_line(page, f"{BLOCK}.attn.softmax.y")
    assert "exactly 0" in page.text_content("#line-words")


def test_the_pictures_of_a_cross_attending_head_are_those_of_the_asked_letter(page, record):
    """att, datt and dscores over the patches; dk and dv by patch, dq by letter."""
    choose_line(page, f"{BLOCK}.cross.softmax.y")
    page.evaluate(f"update({{ row: {PLACE}, head: 1, cell: null }})")
    assert page.evaluate("state.cell.i") == PLACE
    for name, array in {"att": "softmax.y", "datt": "datt", "dscores": "softmax.dx"}.items():
        values = recorded(record, f"{BLOCK}.cross.{array}")[0, 1, PLACE]
        for patch, value in enumerate(values):
            said = said_of(page, name, patch)
            assert f"patch 0,{patch}: " in said
            assert said.endswith(page.evaluate("format", value + 0.0)), (name, patch)
    for name, token in {"dq": "“a”, place 2", "dk": "patch 0,2", "dv": "patch 0,2"}.items():
        lengths = np.linalg.norm(recorded(record, f"{BLOCK}.cross.{name}")[0, 1], axis=-1)
        assert said_of(page, name, 2).endswith(f"{token}: {page.evaluate('format', lengths[2])}")


def said_of(page, name, place):
    """What a picture of a head says of a place, to which the keyboard goes."""
    page.focus(f"#map-{name}")
    for key in ["ArrowLeft"] * 8 + ["ArrowRight"] * place:
        page.keyboard.press(key)
    return page.get_attribute(f"#map-{name}", "aria-label")


def test_what_is_of_patches_begins_with_the_patch_that_counts_most(page, record):
    for name in ("blocks.0.cross.dk", "blocks.0.cross.kv.dx", "embed.logits_backward.dw"):
        choose_line(page, f"decoder.{name}")
        values = np.abs(recorded(record, f"decoder.{name}"))
        values = values if values.ndim == 2 else values[0]
        values = values[page.evaluate("state.head")] if values.ndim == 3 else values
        expected = np.unravel_index(values.argmax(), values.shape)
        assert page.evaluate("[state.cell.i, state.cell.j]") == list(expected)


def test_another_letter_can_be_the_query_without_being_asked_for(page):
    choose_line(page, f"{BLOCK}.cross.softmax.y")
    page.locator("#map-query").click(position=dict(x=30, y=10))
    assert page.evaluate("[state.row, net.told.place, state.cell.i]") == [1, PLACE, 1]
    assert page.text_content("#head-words").endswith("query “d”, place 1")
    tokens = page.evaluate("MODEL.tokens")
    point(page, "#matrix-0", 3, 4, 5, tokens)
    assert "“b”, place 3 attends to patch 0,4" in page.text_content("#sum")
    page.mouse.move(0, 0)


@pytest.mark.parametrize("changes", READERS.values(), ids=READERS)
def test_what_comes_back_to_the_memory_adds_up(shared_page_of, changes):
    transcriber = transcriber_of(**changes)
    page, record = (
        shared_page_of(data_of(transcriber), HERE),
        traced(transcriber, digits_of(transcriber)[0]),
    )
    seen = [record[f"reader.decoder.blocks.{n}.dmemory"].value for n in range(2)]
    total = page.evaluate("[...net.gradientOf.get(net.arrays.get('memory')).data]")
    np.testing.assert_allclose(total, sum(seen).ravel(), rtol=1e-10, atol=1e-15)
    lengths = [np.linalg.norm(each) for each in seen]
    for block, length in enumerate(lengths):
        share = page.evaluate(f"shareOfMemory('decoder.blocks.{block}.cross')")
        assert share == pytest.approx(length / sum(lengths), rel=1e-9)
        note = f"{page.evaluate('percent', length / sum(lengths))} of dmemory"
        assert note in page.locator("#map text").all_text_contents()


@pytest.mark.parametrize("changes", READERS.values(), ids=READERS)
def test_the_map_says_what_branches_add_and_what_would_be_read(shared_page_of, changes):
    transcriber = transcriber_of(**changes)
    page = shared_page_of(data_of(transcriber), HERE)
    record = traced(transcriber, digits_of(transcriber)[0])
    post = transcriber.model.config["norm"] == "post"
    sums = {
        "sum1": ("x", "attn_kept", "dsum1" if post else "dseen", "dx_branch"),
        "sum2": ("seen", "cross_kept", "dsum2" if post else "dmid", "dseen_branch"),
        "sum3": ("mid", "mlp_kept", "dsum3" if post else "dy", "dmid_branch"),
    }
    for block, (part, names) in itertools.product(range(2), sums.items()):
        path = f"decoder.blocks.{block}"
        stream, branch, past, through = (
            np.linalg.norm(record[f"reader.{path}.{name}"].value) for name in names
        )
        said = page.evaluate(f"sharesOf('{path}.{part}')")
        assert said["adds"] == pytest.approx(branch / stream, rel=1e-9)
        assert said["back"] == pytest.approx(through / (past + through), rel=1e-9)
    model, params = transcriber.model.decoder, transcriber.params.astype(np.float64)["decoder"]
    tokens, memory = np.array([TOKENS]), record["reader.memory"].value
    for count, said in enumerate(page.evaluate("lensOf()"), 1):
        blocks = model.blocks
        model.blocks = blocks[:count]
        try:
            logits, _ = model.forward(params | {"blocks": params["blocks"][:count]}, tokens, memory)
        finally:
            model.blocks = blocks
        np.testing.assert_allclose(said, Softmax().forward(logits)[0][0, PLACE], rtol=1e-9)


@pytest.mark.thorough
def test_every_line_says_what_it_means_and_has_its_derivation(page):
    lines = page.evaluate("""[...net.forward, ...net.backward].filter(({ formula }) =>
        !formula.copyOf).map((line) => {
            update({ line });
            return [line.result.name, byId("line-words").textContent,
                document.querySelector("#line-words a").getAttribute("href")];
        })""")
    for name, words, address in lines:
        assert not words.startswith("What comes in."), name
        assert address != "derivations/undefined.md", name


ARRAYS = [
    ("patches.linear.y", 0), ("memory", 0), ("decoder.embed.y", 0), ("decoder.placed", 2),
    ("decoder.blocks.0.attn.scores", 0), ("decoder.blocks.0.attn.scores", 1),
    ("decoder.blocks.1.cross.softmax.y", 0), ("decoder.blocks.0.cross.dk", 0),
    ("decoder.blocks.0.cross.kv.dx", 0), ("decoder.dmemory@0", 0), ("decoder.dmemory@1", 0),
    ("decoder.logits", 0), ("decoder.logits", 2), ("letter", 0), ("dlogits", 0),
    ("loss.dlogits", 0), ("decoder.embed.dw", 0), ("patches.dimages", 0),
]  # fmt: skip


def test_the_copied_lines_print_the_same_number(page_of, transcriber, tmp_path):
    transcriber.save(tmp_path)
    page = page_of(data_of(transcriber), HERE)
    for name, place in ARRAYS:
        page.evaluate(
            """([name, place]) => {
                update({ line: net.arrays.get(name).line, head: 1 });
                const { array, rows } = views[place].view;
                update({ cell: { array, i: rows - 1, j: 0 } });
            }""",
            [name, place],
        )
        page.click("#copy")
        text = page.input_value("#numpy").replace("runs/read", "runs/mnist")
        value = page.evaluate("viewOf(state.cell.array).at(state.cell.i, state.cell.j)")
        assert run(text, tmp_path) == pytest.approx(value, rel=2e-4, abs=1e-9), (name, place)


def test_an_address_opens_its_letter(page_of, transcriber):
    place = "#digit=2&line=decoder.blocks.0.cross.dk&head=2&query=4&letter=1&row=3&cell=3,1"
    page = page_of(data_of(transcriber), place)
    seen = (
        "[state.digit, state.line.result.name, state.head, state.query, net.told.place, state.row]"
    )
    assert page.evaluate(seen) == [2, "decoder.blocks.0.cross.dk", 2, 4, 1, 3]
    assert page.evaluate("location.hash.split(/[#&]/).sort()") == sorted(
        [*place[1:].split("&"), ""]
    )
    page.evaluate("location.hash = '#digit=0&letter=99&row=-1'")
    until(page, "state.digit === 0")
    assert told(page)[1] in range(4) and page.evaluate("state.row") == told(page)[1]


CONTROLS = [  # as in test_controls.py: a pattern, what comes before, one of them, what it changes
    (r"letter-\d", "", "letter-3", "net.told.place"),
    (r"part-.*", "", "part-decoder.memory", "state.line.part"),
    (r"line-.*", "", "line-decoder.dmemory@1", "state.line.result.name"),
    (r"heads-\d", "decoder.blocks.0.cross.q", "heads-1", "state.head"),
    (r"map-query", "decoder.blocks.0.cross.q", "map-query", "state.row"),
    (r"map-d?(att|scores|q|k|v)", "decoder.blocks.0.cross.q", "map-datt", "state.line.kind"),
    (r"matrix-\d", "decoder.logits", "matrix-1", "state.cell.array.name + state.cell.i"),
    (r"image|pixels", "", "pixels", "state.cell.array.name"),
    (r"digit-\d", "", "digit-2", "state.digit"),
    (r"eps", "decoder.logits", "eps", "nudged.eps"),
    (r"any-eps", "decoder.logits", "any-eps", "nudged.eps"),
    (r"copy", "", "copy", "byId('numpy').hidden"),
    (r"save", "", "save", "byId('shared').textContent"),
    (r"word", "", "word", "byId('word').textContent"),
    (r"numpy|sum|code|derivation", "", None, None),
]


@pytest.mark.parametrize(
    "width, way", sample(itertools.product([390, 1440], ["touch", "keyboard", "mouse"]), 5)
)
def test_every_control_does_what_it_is_for(page_of, transcriber, width, way):
    touch = way == "touch"
    page = page_of(data_of(transcriber), HERE, expected=["blob:"], width=width, height=900,
                   has_touch=touch, is_mobile=touch)  # fmt: skip
    for _, line, name, seen in CONTROLS[:-1]:
        if line:
            choose_line(page, line)
        was = page.evaluate(seen)
        use(page, way, page.locator("#part-words .word" if name == "word" else named(name)).first)
        assert page.evaluate(seen) != was, name
        page.keyboard.press("Escape")


@pytest.mark.thorough
def test_no_control_is_missing_and_none_is_there_for_nothing(page):
    found = page.evaluate("""() => {
        const found = new Set(), kind = "button, input, select, textarea, a, [tabindex]";
        for (const { line } of net.arrays.values()) {
            update({ line });
            for (const { id, tagName, className } of document.querySelectorAll(kind))
                found.add(id || (tagName === "A" ? "derivation" : className));
        }
        return [...found];
    }""")
    for name in found:
        assert sum(bool(re.fullmatch(pattern, name)) for pattern, *_ in CONTROLS) == 1, name
    for pattern, *_ in CONTROLS:
        assert any(re.fullmatch(pattern, name) for name in found), f"there is no {pattern}"


WIDE = dict(image_size=(28, 160), patch_size=(28, 4), dim=48, mlp_dim=64, longest=8)


@pytest.mark.parametrize(
    "width, scheme",
    sample(itertools.product([320, 390, 768, 1440], ["light", "dark"]), 3),
)
def test_fits_the_screen_and_axe_finds_no_serious_fault(page_of, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    settings = PHONE | dict(width=width) if width < 800 else dict(width=width)
    page = page_of(data_of(transcriber_of(**WIDE)), HERE, color_scheme=scheme, bypass_csp=True,
                   **settings)  # fmt: skip
    parts = page.evaluate("partsInOrder()")
    for phase, part in itertools.product(("forward", "backward"), parts):
        page.evaluate(f"update({{ line: mainLine('{part}', '{phase}') }})")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (part, phase)
    for part in (f"{BLOCK}.attn", f"{BLOCK}.cross"):
        page.evaluate(f"update({{ line: mainLine('{part}', 'backward') }})")
        if width < 800:
            small = page.locator("button:not(.word):visible").evaluate_all(
                "all => all.filter((one) => Math.min(one.offsetWidth, one.offsetHeight) < 40)"
                ".map(({ id }) => id)"
            )
            assert small == []
        found = axe.run(page).response["violations"]
        serious = [(one["id"], [node["html"][:120] for node in one["nodes"]])
                   for one in found if one["impact"] in ("serious", "critical")]  # fmt: skip
        assert serious == [], part


def test_the_strips_show_what_is_read(page, transcriber):
    for place, digit in enumerate(digits_of(transcriber)):
        (reading,) = transcriber.transcribe(digit.pixels[None])
        assert page.text_content(f"#read-{place}") == reading.text
        right = "right" if reading.text == TEXTS[place] else "wrong"
        assert right in page.get_attribute(f"#digit-{place}", "class")
