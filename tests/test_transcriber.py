import json
import math

import cv2
import numpy as np
import pytest

import minivit
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.models import Reader
from minivit.models.vocabulary import SPECIAL
from minivit.transcriber import Transcriber

SIZES = dict(
    image_size=(8, 12), patch_size=(8, 2), channels=1, dim=8, depth=1, heads=2, mlp_dim=8,
    longest=4, decoder_depth=2,
)  # fmt: skip
IMAGES = np.random.default_rng(2).integers(0, 256, (7, 8, 12), np.uint8)


def untrained(characters="abc", seed=1, **changes):
    """A transcriber whose texts differ from image to image."""
    model = Reader(**SIZES | dict(words=SPECIAL + len(characters)) | changes)
    params = minivit.Params(model.init(np.random.default_rng(seed)))
    decoder = params["decoder"]
    params["patches"]["w"][...] *= 3
    for block in decoder["blocks"]:
        block["cross"]["proj"]["w"][...] *= 4
        block["cross"]["kv"]["w"][...] *= 2
    decoder["embed"]["w"][...] *= 0.4
    decoder["embed"]["w"][:2] = -1  # padding and begin are not likely, …
    decoder["ln"]["b"][...] = 0.5  # … as each number is counted with this
    return Transcriber(model, params, Normalize(0.1, 0.3), list(characters))


def chance(transcriber, image, text):
    """The probability of a text by the full pass, without the two tokens that no text has."""
    labels = transcriber.vocabulary.encode([text], transcriber.model.config["longest"])
    x = transcriber.normalize(image[None]).reshape(1, 8, 12, 1)
    logits, _ = transcriber.model.forward(transcriber.params, x, **transcriber.model.told(labels))
    numer = np.exp(logits[0].astype(np.float64))
    each = numer / numer.sum(axis=-1, keepdims=True)
    return math.prod(each[place, labels[0, place + 1]] for place in range(len(text) + 1))


@pytest.mark.parametrize("beam", [1, 3])
def test_a_reading_has_the_probability_that_the_full_pass_gives_it(beam):
    transcriber = untrained()
    readings = transcriber.transcribe(IMAGES, beam)
    for image, (text, probability) in zip(IMAGES, readings, strict=True):
        assert probability == pytest.approx(chance(transcriber, image, text), rel=1e-4)
    assert beam > 1 or len({reading.text for reading in readings}) > 1


def test_greedy_takes_the_best_character_of_the_full_pass_each_time():
    transcriber = untrained()
    for image, (text, _) in zip(IMAGES, transcriber.transcribe(IMAGES), strict=True):
        for place in range(len(text)):
            labels = transcriber.vocabulary.encode([text[:place]], 4)
            x = transcriber.normalize(image[None]).reshape(1, 8, 12, 1)
            told = transcriber.model.told(labels)
            logits, _ = transcriber.model.forward(transcriber.params, x, **told)
            assert transcriber.vocabulary.decode([2 + logits[0, place, 2:].argmax()]) == text[place]


def test_a_wide_beam_finds_the_most_probable_text_of_all():
    transcriber = untrained("ab", longest=3)
    texts = [""]
    for _ in range(3):
        texts += [text + each for text in texts if len(text) == len(texts[-1]) for each in "ab"]
    assert len(texts) == 15
    for image, reading in zip(IMAGES, transcriber.transcribe(IMAGES, beam=16), strict=True):
        best = max(texts, key=lambda text, image=image: chance(transcriber, image, text))
        assert reading.text == best


def test_a_reading_does_not_depend_on_the_images_beside_it(monkeypatch):
    transcriber = untrained()
    together = transcriber.transcribe(IMAGES, 3)
    monkeypatch.setattr("minivit.classifier.images_at_once", lambda *_: 2)
    for one, other in zip(together, transcriber.transcribe(list(IMAGES), 3), strict=True):
        assert one.text == other.text and one.probability == pytest.approx(other.probability)
    assert transcriber.transcribe([]) == []


def test_a_saved_transcriber_reads_the_same(tmp_path):
    transcriber = untrained()
    transcriber.save(tmp_path)
    again = Transcriber.load(tmp_path)
    assert repr(again.model) == repr(transcriber.model) and again.classes == ["a", "b", "c"]
    assert again.transcribe(IMAGES) == transcriber.transcribe(IMAGES)


def test_evaluate_is_the_loss_and_the_share_that_is_read(monkeypatch):
    transcriber = untrained()
    monkeypatch.setattr("minivit.classifier.images_at_once", lambda *_: 3)
    texts = [reading.text for reading in transcriber.transcribe(IMAGES)]
    texts[2], texts[5] = "abca", "cc"
    labels = transcriber.vocabulary.encode(texts, 4)
    images = IMAGES[..., None]
    loss, accuracy, _ = transcriber.evaluate(Split(images, labels))
    x = transcriber.normalize(images)
    logits, _ = transcriber.model.forward(transcriber.params, x, **transcriber.model.told(labels))
    right = (logits.argmax(axis=-1) == labels[:, 1:]) | (labels[:, 1:] == 0)
    assert accuracy == right.all(axis=1).mean() and 0 < accuracy < 1
    chances = [chance(transcriber, *pair) for pair in zip(IMAGES, texts, strict=True)]
    assert loss == pytest.approx(-np.log(chances).mean(), rel=1e-4)


def change(folder, **sizes):
    config = json.loads((folder / "config.json").read_text())
    config["model"] |= sizes
    (folder / "checksums.json").unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "sizes, message",
    [
        (dict(words=10**9), "its decoder has more parameters than"),
        (dict(decoder_depth=10**9), "its decoder has more parameters than"),
        (dict(longest=10**9), "texts of 1,000,000,000 characters are too long"),
        (dict(words=7), "expected 4 different class names"),
        (dict(longest=0), "longest must be at least 1"),
        (dict(patch_size=[8, 2, 1]), "patch_size must be one number or"),
        (dict(patch_size=[8, 0]), "must be at least 1, got 0"),
    ],
)
def test_a_damaged_config_is_refused(sizes, message, tmp_path):
    untrained().save(tmp_path)
    change(tmp_path, **sizes)
    with pytest.raises(ValueError, match=message):
        Transcriber.load(tmp_path)


def test_what_is_no_reader_is_refused_and_a_classifier_refuses_one(tmp_path):
    untrained().save(tmp_path)
    with pytest.raises(ValueError, match="it is of the kind Reader; expected ViT"):
        minivit.Classifier.load(tmp_path)


def test_numbers_that_are_not_finite_are_refused():
    transcriber = untrained()
    transcriber.params["decoder"]["ln"]["b"][0] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        transcriber.transcribe(IMAGES)
    labels = transcriber.vocabulary.encode(["a"] * 7, 4)
    with pytest.raises(FloatingPointError, match="the loss is"):
        transcriber.evaluate(Split(IMAGES[..., None], labels))
    with pytest.raises(ValueError, match="beam must be at least 1, got 0"):
        transcriber.transcribe(IMAGES, beam=0)


def test_a_photo_of_a_line_becomes_a_strip(tmp_path):
    paper = np.tile(np.linspace(200, 240, 700), (300, 1))
    for column in (200, 300, 400):
        cv2.ellipse(paper, (column, 150), (25, 40), 0, 0, 360, 40, 9)
    cv2.imwrite(str(tmp_path / "photo.png"), paper)
    pixels, warnings = untrained(image_size=(32, 160), patch_size=(32, 4)).read(
        tmp_path / "photo.png"
    )
    assert pixels.shape == (32, 160, 1) and pixels.dtype == np.uint8 and not warnings
    ink = pixels[:, :, 0] > 100
    assert cv2.connectedComponents(ink.astype(np.uint8))[0] - 1 == 3
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert 16 <= np.ptp(rows) <= 24
    assert abs(rows.mean() - 15.5) <= 1 and abs((columns[0] + columns[-1]) / 2 - 79.5) <= 1.5


def test_a_long_line_is_made_to_fit_and_a_blank_page_has_a_warning(tmp_path):
    paper = np.full((200, 1600), 230.0)
    for column in range(60, 1560, 75):
        cv2.ellipse(paper, (column, 100), (25, 40), 0, 0, 360, 40, 9)
    reader = untrained(image_size=(32, 160), patch_size=(32, 4))
    cv2.imwrite(str(tmp_path / "long.png"), paper)
    pixels, _ = reader.read(tmp_path / "long.png")
    columns = np.flatnonzero((pixels > 60).any(axis=(0, 2)))
    assert columns[0] >= 2 and columns[-1] <= 157 and np.ptp(columns) > 145
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((200, 400), 230.0))
    pixels, warnings = reader.read(tmp_path / "blank.png")
    assert not pixels.any() and warnings == ["nothing stands out from the background"]
