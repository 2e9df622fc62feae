"""Every number on the page is the sum that is said of it, and that of the engine in NumPy."""

import numpy as np
import pytest

from tests.study.explorer.cases import (
    PLACE,
    READERS,
    SMALL,
    VARIANTS,
    classifier_of,
    data_of,
    digits_of,
    recorded,
    traced,
    transcriber_of,
)
from tests.study.explorer.reading import choose_line, named, point, same

pytestmark = pytest.mark.slow
OFTEN = ("class token", "reader")  # the others run with -m thorough
LINES = """[...net.forward, ...net.backward].filter(({ formula }) => !formula.copyOf)
    .map(({ result }) => result.name)"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[] if name in OFTEN else [pytest.mark.thorough])
        for name in [*VARIANTS, *READERS]
    ],
)
def classifier(request):
    if request.param in READERS:
        return transcriber_of(**READERS[request.param])
    return classifier_of(SMALL, **VARIANTS[request.param])


@pytest.fixture(scope="module")
def page(classifier, shared_page_of):
    return shared_page_of(data_of(classifier), f"#digit=0&letter={PLACE}")


def parts_of(config):
    """The parts that the map of a network has, in order."""
    if "words" in config:
        return parts_of_reader(config)
    late, post = config["norm_pooled"], config["norm"] == "post"
    block = []
    for number, branch in enumerate(["attn", "mlp"], 1):
        norm, scale = [f"ln{number}"], [f"ls{number}"] if config["layer_scale"] else []
        branch = [branch, *scale, f"sum{number}"]
        block += branch + norm if post else norm + branch
    return [
        "patches",
        *(["cls"] if config["pool"] != "mean" else []),
        *(["pos"] if config["positions"] else []),
        *(f"blocks.{place}.{part}" for place in range(config["depth"]) for part in block),
        *(["ln"] if not (post or late) else []),
        "pool",
        *(["pooled_ln"] if late else []),
        *(["pre_logits"] if config["pre_logits"] else []),
        "head",
        "loss",
    ]


def parts_of_reader(config):
    post = config["norm"] == "post"

    def blocks(path, depth, branches):
        for place in range(depth):
            for number, branch in enumerate(branches, 1):
                norm, branch = [f"ln{number}"], [branch, f"sum{number}"]
                yield from (f"{path}.{place}.{part}" for part in
                            (branch + norm if post else norm + branch))  # fmt: skip

    return [
        "patches", "pos", *blocks("blocks", config["depth"], ["attn", "mlp"]),
        *([] if post else ["ln"]), "decoder.memory", "decoder.embed", "decoder.pos",
        *blocks("decoder.blocks", config["decoder_depth"], ["attn", "cross", "mlp"]),
        *([] if post else ["decoder.ln"]), "decoder.head", "letter", "loss",
    ]  # fmt: skip


def test_every_part_is_on_the_map_and_opens_to_lines(classifier, page):
    parts = page.locator("#map .part").evaluate_all("all => all.map(({ id }) => id)")
    assert sorted(parts) == sorted(f"part-{part}" for part in parts_of(classifier.model.config))
    assert page.evaluate("partsInOrder()") == parts_of(classifier.model.config)
    boxes = page.locator("#map .part rect").evaluate_all(
        "all => all.map((one) => one.getBBox()).map(({ x, y, width, height }) =>"
        " [x, y, x + width, y + height])"
    )
    for place, (left, top, right, bottom) in enumerate(boxes):
        for x0, y0, x1, y1 in boxes[:place]:
            assert right <= x0 or x1 <= left or bottom <= y0 or y1 <= top, "two parts overlap"
    for part in parts:
        page.click(named(part))
        assert page.locator("#lines button").count() >= 1, part
        assert page.locator(f"{named(part)}.chosen").count() == 1, part


def test_every_sum_of_every_line_is_the_number_in_the_array(page):
    worst, count = page.evaluate("""() => {
        let [worst, count] = [["", 0], 0];
        for (const { result, formula } of [...net.forward, ...net.backward])
            for (const s of range(result.shape[0]))
                for (const n of range(12)) {
                    const [i, j] = [Math.floor(n * 7919 + s), n * 104729 + s].map((at, axis) =>
                        at % result.shape[axis + 1]);
                    const value = result.at(s, i, j);
                    const said = formula.term(s, i, j).value;
                    const off = said === value ? 0 : Math.abs(said - value); // both −∞: 0
                    const error = off <= 1e-12 ? 0 : off / Math.abs(value);
                    if (!(error <= worst[1])) worst = [`${result.name}[${[s, i, j]}]`, error];
                    count++;
                }
        return [worst, count];
    }""")
    assert worst[1] <= 1e-9, worst
    assert count >= 180 * 12


def test_every_hovered_sum_is_the_number_of_the_trace(classifier, page):
    """One of each line; the test before computes many more."""
    record, rng = traced(classifier, digits_of(classifier)[0]), np.random.default_rng(0)
    parts = [part for part in parts_of(classifier.model.config) if "blocks.1" not in part]
    seen = set()
    for part in parts:
        page.click(named(f"part-{part}"))
        if part.endswith(("attn", "cross")) and classifier.model.config["heads"] > 1:
            page.click(f"#heads-{rng.integers(classifier.model.config['heads'])}")
        for line in page.locator("#lines button").evaluate_all("all => all.map(({ id }) => id)"):
            page.evaluate("id => byId(id).click()", line)
            shown = "(({ array, rows, cols }) => [array.name, rows, cols])(views[0].view)"
            name, rows, cols = page.evaluate(shown)
            values = recorded(record, name).ravel()
            i, j = int(rng.integers(rows)), int(rng.integers(cols))
            point(page, "#matrix-0", i, j, rows, cols)
            said, place = page.evaluate(
                "([i, j]) => [[...document.querySelectorAll('#sum strong')].map((strong) =>"
                " strong.textContent), views[0].view.array.placeOf(state.head, i, j)]",
                [i, j],
            )
            assert len(said) == 2, (name, i, j)
            assert all(same(text, values[place]) for text in said), (name, i, j, said)
            seen.add(name)
    assert seen == {name for name in page.evaluate(LINES) if "blocks.1" not in name}


def test_the_code_beside_a_number_is_that_of_its_line(page):
    code = page.evaluate(f"""{LINES}.map((name) => {{
        explain({{ array: net.arrays.get(name), i: 0, j: 0 }});
        return [name, byId("code").textContent];
    }})""")
    for name, text in code:
        assert text.startswith("# ") and ".py:" in text and "=" in text, name
    choose_line(page, "blocks.1.attn.dscores")
    assert page.text_content("#code").splitlines()[1].startswith("dscores = self.softmax.backward(")
    point(page, "#matrix-1", 0, 0, *page.evaluate("[views[1].view.rows, views[1].view.cols]"))
    assert page.text_content("#code").splitlines()[-1] == "dx *= y"
    page.mouse.move(0, 0)


def test_marks_the_cells_that_a_number_reads(page):
    choose_line(page, "blocks.0.attn.dq")
    page.evaluate("update({ cell: { array: state.line.result, i: 0, j: 0 } })")
    cells = "net.arrays.get('blocks.0.attn.dq').line.formula.term(0, 1, 2).cells"
    found = page.evaluate(f"{cells}.map(({{ array, i, j }}) => [array.symbol, i, j])")
    tokens = page.evaluate("MODEL.tokens")
    expected = [cell for c in range(tokens) for cell in (["dscores₀", 1, c], ["k", c, 2])]
    assert found == expected
    before = page.locator("#matrix-2").evaluate("canvas => canvas.toDataURL()")
    point(page, "#matrix-0", 1, 2, tokens, page.evaluate("views[0].view.cols"))
    assert page.locator("#matrix-2").evaluate("canvas => canvas.toDataURL()") != before


def test_marks_the_patch_that_a_score_is_about_in_the_pictures(page):
    choose_line(page, "blocks.0.attn.softmax.y")
    tokens = page.evaluate("MODEL.tokens")
    page.evaluate("update({ cell: { array: state.line.result, i: 2, j: 3 } })")
    before = page.locator("#map-att").evaluate("canvas => canvas.toDataURL()")
    point(page, "#matrix-0", 2, tokens - 1, tokens, tokens)
    assert page.locator("#map-att").evaluate("canvas => canvas.toDataURL()") != before
    page.mouse.move(0, 0)
    assert page.locator("#map-att").evaluate("canvas => canvas.toDataURL()") == before
