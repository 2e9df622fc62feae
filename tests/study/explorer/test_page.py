import json
import re

import numpy as np
import pytest

import minivit
from minivit.models import Reader
from minivit.models.cnn import CNN
from minivit.study.explorer import Digit, page_data, page_html
from minivit.study.explorer.page import HERE, MOST_PARAMETERS, SCRIPTS
from tests.saved_runs import oblong, untrained
from tests.study.explorer.cases import (
    MEANS,
    READERS,
    STDS,
    TEXTS,
    classifier_of,
    data_of,
    digits_of,
    small_data,
    transcriber_of,
    unpacked,
)

VARIANTS = [
    {},
    dict(channels=3, pool="cls", norm="post", positions="sincos2d"),
    dict(pool="patch_mean", norm_pooled=True, pre_logits=7, layer_scale=0.1),
    dict(positions=None, activation="gelu_exact", dropout=0.1, drop_path=0.2),
]
TOKENS = [[1, 6, 3, 4, 2, 0], [1, 2, 0, 0, 0, 0], [1, 4, 3, 5, 6, 2]]  # of the TEXTS


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_the_model_can_be_made_of_the_data(changes):
    classifier = classifier_of(**changes)
    params = classifier.params
    params.flat[:2] = -0.0, 1e-42  # a denormal number
    data = data_of(classifier)
    sizes = dict(data["model"])
    assert sizes.pop("tokens") == classifier.model.tokens
    assert sizes.pop("parameters") == params.flat.size
    assert minivit.ViT(**sizes).config == classifier.model.config
    names = data["weights"]["names"]
    assert names == [[name, [*leaf.shape]] for name, leaf in params.named()]
    numbers = unpacked(data["weights"]["float32"], "<f4")
    assert numbers.tobytes() == params.flat.tobytes()
    channels = classifier.model.config["channels"]
    assert (data["mean"], data["std"]) == (MEANS[:channels], STDS[:channels])
    json.dumps(data, allow_nan=False)


@pytest.mark.parametrize("changes", READERS.values(), ids=READERS)
def test_a_reader_can_be_made_of_its_data_too(changes):
    transcriber = transcriber_of(**changes)
    data = data_of(transcriber)
    sizes = dict(data["model"])
    assert sizes.pop("tokens") == transcriber.model.tokens == 8
    assert sizes.pop("parameters") == transcriber.params.flat.size
    assert Reader(**sizes).config == transcriber.model.config
    assert data["kind"] == "Reader" and small_data()["kind"] == "ViT"
    assert data["classes"] == ["padding", "the begin", "the end", *"abcd"]
    json.dumps(data, allow_nan=False)


def test_a_strip_is_told_its_text_or_what_is_read_there():
    transcriber = transcriber_of()
    strips = digits_of(transcriber)
    read = [text for text, _ in transcriber.transcribe([strip.pixels for strip in strips])]
    shown = data_of(transcriber)["digits"]
    assert [(one["label"], one["reads"]) for one in shown] == [*zip(TEXTS, read, strict=True)]
    assert [one["tokens"] for one in shown] == TOKENS
    (strip,) = page_data(transcriber, [strips[0]._replace(label=None)])["digits"]
    assert strip["label"] is None
    assert strip["tokens"] == transcriber.vocabulary.encode(read[:1], 4)[0].tolist()


def test_one_mean_counts_for_every_channel():
    classifier = classifier_of(channels=3)
    classifier.normalize = minivit.data.normalize.Normalize(0.25, 0.5)
    data = data_of(classifier)
    assert (data["mean"], data["std"]) == ([0.25] * 3, [0.5] * 3)


def test_the_digits_are_those_given():
    classifier = classifier_of(channels=3)
    digits = digits_of(classifier)
    digits[1] = Digit(digits[1].pixels, warnings=["it is faint"])
    data = page_data(classifier, digits, start=2, drawing=True, derivations="d/", stages="s.js")
    for digit, shown in zip(digits, data["digits"], strict=True):
        pixels = unpacked(shown["pixels"], np.uint8).reshape(8, 12, 3)
        np.testing.assert_array_equal(pixels, digit.pixels)
    others = [(shown["label"], shown["name"], shown["warnings"]) for shown in data["digits"]]
    assert others == [
        (3, "test image 0", []), (None, "", ["it is faint"]), (0, "test image 2", []),
    ]  # fmt: skip
    assert (data["start"], data["drawing"]) == (2, True)
    assert (data["derivations"], data["stages"], data["classes"]) == ("d/", "s.js", [*"01234"])


def test_a_grey_image_needs_no_axis_for_its_channel():
    classifier = classifier_of()
    digits = [digit._replace(pixels=digit.pixels[:, :, 0]) for digit in digits_of(classifier)]
    assert page_data(classifier, digits) == small_data()


def test_pixels_that_are_no_neighbours_in_memory():
    classifier = classifier_of()
    digits = [digit._replace(pixels=np.asfortranarray(digit.pixels))
              for digit in digits_of(classifier)]  # fmt: skip
    assert page_data(classifier, digits) == small_data()


def test_parameters_in_float64_are_rounded():
    classifier = classifier_of()
    exact = classifier.with_params(classifier.params.astype(np.float64))
    exact.params.flat *= 1 + 1e-9
    assert data_of(exact)["weights"] == small_data()["weights"]


def test_the_html_holds_the_data_and_needs_nothing_else():
    page = page_html(small_data())
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert json.loads(text) == small_data()
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,"]
    assert not re.findall(r"@import|url\(|import\(|\{\{ (?:style|script|data) ", page)


def test_class_names_cannot_end_the_script():
    data = small_data() | {"classes": ["</script><script>alert(1)</script>", *"1234"]}
    assert page_html(data).count("</script>") == page_html(small_data()).count("</script>")


def test_all_scripts_are_on_the_page():
    assert sorted(f"{name}.js" for name in SCRIPTS) == sorted(f.name for f in HERE.glob("*.js"))


def test_the_default_model_makes_a_small_page():
    sizes = dict(dim=64, depth=4, heads=2, mlp_dim=128, patch_size=7)
    classifier = untrained(**sizes)
    digits = [Digit(np.zeros((28, 28), np.uint8), 0, f"test image {n}") for n in range(30)]
    assert len(page_html(page_data(classifier, digits)).encode()) <= 1.5e6


def of_nothing(shape):
    return [Digit(np.zeros(shape, np.uint8))]


def test_refuses_what_the_page_cannot_compute():
    other = untrained()
    other.model = CNN(image_size=28, channels=1, classes=10, dims=[4, 6])
    with pytest.raises(ValueError, match="computes a ViT with a head; this model is a CNN"):
        page_data(other, of_nothing((28, 28)))
    features = oblong()
    features.model = minivit.ViT(**features.model.config | {"classes": 0})
    with pytest.raises(ValueError, match="a ViT with a head"):
        page_data(features, of_nothing((4, 6)))
    large = untrained(dim=300, depth=6, heads=3, mlp_dim=10)
    assert large.params.flat.size > MOST_PARAMETERS
    with pytest.raises(ValueError, match=r"at most 2,100,000 parameters; this model has 2,\d"):
        page_data(large, of_nothing((28, 28)))
    with pytest.raises(ValueError, match="the page does not compute rotary positions"):
        page_data(untrained(positions="rotary"), of_nothing((28, 28)))
    with pytest.raises(ValueError, match="the page does not compute a stem; choose a model"):
        page_data(untrained(stem=[(1, 1, 2)]), of_nothing((28, 28)))
    for changes in (dict(positions="rotary"), dict(decoder_positions="rotary")):
        with pytest.raises(ValueError, match="the page does not compute rotary positions"):
            data_of(transcriber_of(**changes))


@pytest.mark.parametrize(
    "text, message",
    [("dax", "strip 7: 'x' is not in the voc"), ("abcda", "strip 7: a text of 5 characters")],
)
def test_refuses_a_text_that_a_reader_cannot_write(text, message):
    with pytest.raises(ValueError, match=message):
        page_data(
            transcriber_of(), [Digit(np.zeros((4, 24), np.uint8)[..., None], text, "strip 7")]
        )


def test_refuses_another_preparation():
    classifier = untrained()
    classifier.normalize = lambda images: images[..., None].astype(np.float32)
    with pytest.raises(ValueError, match="by mean and std only, got <function"):
        page_data(classifier, of_nothing((28, 28)))


@pytest.mark.parametrize(
    "digits, start, message",
    [
        ([], 0, "one of 0 images, counted from 0, got 0"),
        (of_nothing((4, 6)), 1, "one of 1 images, counted from 0, got 1"),
        (of_nothing((4, 6)), -1, "got -1"),
        (of_nothing((6, 4)), 0, r"an image of shape \(6, 4\)"),
        ([Digit(np.zeros((4, 6), np.uint8), 3, "test image 9")], 0, "test image 9: .* no class 3"),
        ([Digit(np.zeros((4, 6), np.uint8), -1)], 0, "no class -1"),
    ],
)
def test_refuses_images_that_do_not_fit(digits, start, message):
    with pytest.raises(ValueError, match=message):
        page_data(oblong(), digits, start=start)


@pytest.mark.parametrize("dtype, number", [("f4", np.nan), ("f4", -np.inf), ("f8", 1e300)])
def test_refuses_weights_that_are_not_finite(dtype, number):
    classifier = oblong(dtype)
    classifier.params["blocks"][0]["mlp"]["fc1"]["w"][1, 2] = number
    with pytest.raises(FloatingPointError, match="not finite: its weights are as large as"):
        page_data(classifier, of_nothing((4, 6)))


def test_pixels_have_to_be_bytes():
    with pytest.raises(TypeError, match="float64; expected raw uint8"):
        page_data(oblong(), [Digit(np.zeros((4, 6)))])
