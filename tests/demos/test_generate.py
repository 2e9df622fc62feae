import json
from pathlib import Path

import numpy as np
import pytest

import minivit
from demos import generate
from minivit.models import Decoder
from tests.demos.digit_runs import last_error, proposed

TEXT = "The quick brown fox jumps over the lazy dog. " * 60


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(generate, "SIZES", dict(dim=16, depth=1, heads=2, mlp_dim=16))
    monkeypatch.setattr(generate, "SIDE_BY_SIDE", 3)
    Path("text.txt").write_text(TEXT)


def test_it_prints_what_it_writes_as_it_learns(capsys):
    assert generate.main(["text.txt", "--steps", "20", "--json", "out.json"]) == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines() if line.startswith("  step")]
    assert [int(line[1]) for line in lines] == [1, 2, 4, 8, 16, 20]
    assert float(lines[-1][2]) < float(lines[0][2])
    measured = json.loads(Path("out.json").read_text())
    names = ["bits", "cache_factor", "theory", "same_letters", "seconds", "parameters"]
    assert list(measured) == names
    assert measured["same_letters"] is True and measured["theory"] == 4.5
    assert f"the same letters, and {measured['cache_factor']:.1f} times as fast" in printed
    assert proposed(printed.splitlines()[-1], "read") == []


def test_without_a_text_it_reads_the_derivations(monkeypatch, capsys):
    text = generate.read(None)
    assert "softmax" in text and len(text) > 50_000
    monkeypatch.setattr(generate, "DERIVATIONS", Path("nowhere"))
    assert generate.main([]) == 2
    assert "the derivations are not installed" in last_error(capsys)


@pytest.mark.parametrize(
    "content, message",
    [(b"short", "a text of 5 letters is too short; expected 1,920"), (b"\xff\xfe\xff", "UTF-8")],
)
def test_a_text_that_cannot_be_learned_from_is_refused(content, message, capsys):
    Path("other.txt").write_bytes(content)
    assert generate.main(["other.txt"]) == 2
    assert message in last_error(capsys)
    assert generate.main(["missing.txt"]) == 2
    assert "missing.txt" in last_error(capsys)


def case(**changes):
    decoder = Decoder(words=9, length=12, memory=False, dim=16, depth=2, heads=2, mlp_dim=8)
    rng = np.random.default_rng(0)
    params = minivit.Params(decoder.init(rng)).astype(np.float64)
    return decoder, params, rng.integers(0, 9, (4, 3))


@pytest.mark.parametrize("draws", [False, True])
def test_with_the_cache_it_writes_the_same_letters(draws):
    decoder, params, begin = case()
    rngs = [np.random.default_rng(1) if draws else None for _ in range(2)]
    one = generate.written(decoder, params, begin, 9, rngs[0])
    other = generate.written(decoder, params, begin, 9, rngs[1], cached=False)
    np.testing.assert_array_equal(one, other)
    assert one.shape == (4, 9) and len(np.unique(one)) > 1


def test_the_most_probable_letter_is_taken_or_one_is_drawn_by_its_probability():
    decoder, params, begin = case()
    logits, _ = decoder.forward(params, begin)
    taken = generate.written(decoder, params, begin, 1)
    np.testing.assert_array_equal(taken[:, 0], logits[:, -1].argmax(axis=-1))
    logits = np.log([[0.5, 0.3, 0.2]]) * generate.BOLDNESS
    drawn = generate.chosen(np.repeat(logits, 4000, axis=0), np.random.default_rng(0))
    shares = np.bincount(drawn, minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.03)


def test_theory_counts_the_letters_that_go_through_the_blocks():
    decoder, params, begin = case()
    counts = {True: 0, False: 0}
    forward = decoder.blocks[0].mlp.forward
    for cached in counts:

        def counting(params, x, cached=cached):
            counts[cached] += x.shape[1]
            return forward(params, x)

        decoder.blocks[0].mlp.forward = counting
        generate.written(decoder, params, begin[:, :1], 8, cached=cached)
    assert counts == {True: 8, False: 36} and generate.theory(8) == 36 / 8
