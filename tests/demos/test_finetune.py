import json
from pathlib import Path

import numpy as np
import pytest

import minivit
from demos import evaluate, finetune, predict
from minivit import pretrained
from minivit.checks.numeric import random_params
from minivit.data.augment import Augmentation
from minivit.data.folders import split_files
from minivit.data.framing import Framing
from minivit.data.images import load_pixels
from minivit.data.normalize import Normalize
from minivit.optim.layer_rates import layer_rates
from tests.data.idx import few_digits
from tests.data.shapes import CLASSES, write_shapes
from tests.demos.digit_runs import assert_same, proposed
from tests.demos.test_train_images import press_ctrl_c_at
from tests.saved_runs import DIGITS

RUN = Path("runs/finetuned")
FEW = ["--per-class", "3", "--epochs", "2", "--batch-size", "7", "--shards", "1"]


@pytest.fixture(autouse=True)
def body(tmp_path, monkeypatch):
    """A published network for images (12, 18, 3); returns its Params."""
    monkeypatch.chdir(tmp_path)
    few_digits("digits")
    return publish()


def publish(**changes):
    sizes = dict(
        image_size=(12, 18), patch_size=6, channels=3, dim=12, depth=2, heads=3, mlp_dim=10,
        classes=5, pool="cls", activation="gelu_exact",
    )  # fmt: skip
    model = minivit.ViT(**(sizes | changes))
    params = random_params(model, np.random.default_rng(0)).astype(np.float32)
    pretrained.save(model, params, "published", "huggingface")
    Path("published/preprocessor_config.json").write_text(
        json.dumps(
            dict(image_mean=[0.3, 0.4, 0.5], image_std=[0.2, 0.25, 0.3], resample=3,
                 do_center_crop=True, crop_size=dict(height=12, width=18),
                 size=dict(shortest_edge=16))
        )
    )  # fmt: skip
    return params


def tuned(*options, data="digits"):
    assert finetune.main(["published", data, *FEW, *options]) == 0
    return minivit.Classifier.load(RUN)


def named(params, but="head"):
    return {name: leaf for name, leaf in params.named() if not name.startswith(but)}


def test_by_default_only_a_new_head_is_trained(body, untested, capsys):
    classifier = tuned()
    for name, leaf in named(body).items():
        np.testing.assert_array_equal(dict(classifier.params.named())[name], leaf)
    head = classifier.params["head"]
    assert (head["w"].shape, classifier.classes) == ((12, 10), DIGITS)
    assert head["w"].any() and head["b"].any()
    printed = capsys.readouterr().out
    assert "a head of 130 parameters on the features of 30 images; " in printed
    assert proposed(printed.splitlines()[-1], "predict") == ["runs/finetuned", "PICTURE"]


def test_the_head_gives_the_answers_it_gave_on_the_features(body, untested, monkeypatch):
    seen = []
    fit_head = finetune.fit_head

    def watched(progress, train, validation, **options):
        fit_head(progress, train, validation, **options)
        logits, _ = progress.classifier.model.forward(progress.best, validation.images)
        seen.append((logits, validation.labels))

    monkeypatch.setattr(finetune, "fit_head", watched)
    classifier = tuned("--seed", "4")
    options = finetune.arguments(["published", "digits", *FEW, "--seed", "4"])
    data, _ = finetune.load(options)
    ((logits, labels),) = seen
    np.testing.assert_array_equal(labels, data.validation.labels)
    np.testing.assert_allclose(classifier.logits(data.validation.images), logits, atol=1e-4)


def test_leaves_a_run_that_the_other_demos_take(capsys):
    classifier = tuned("--test-per-class", "2")
    files = {path.name for path in RUN.iterdir()}
    assert {"config.json", "curves.png", "result.json", "training.json"} <= files
    result = json.loads((RUN / "result.json").read_text())
    matrix = result["test"]["confusion_matrix"]
    counts = np.bincount(minivit.load_digits("digits").test.labels, minlength=10).clip(max=2)
    assert np.sum(matrix, axis=1).tolist() == counts.tolist()
    assert result["parameters"] == classifier.params.flat.size
    capsys.readouterr()
    assert evaluate.main([str(RUN), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["data"], np.sum(report["confusion_matrix"])) == (
        str(Path("digits").resolve()),
        50,
    )
    assert predict.main([str(RUN), str(next(write_shapes("shapes", 1).rglob("*.png")))]) == 0


def test_images_are_prepared_as_the_checkpoint_says(untested):
    shapes = write_shapes("shapes", 12)
    classifier = tuned(data="shapes")
    assert classifier.normalize == Normalize([0.3, 0.4, 0.5], [0.2, 0.25, 0.3])
    assert classifier.framing == Framing(0.75, False, "bicubic")
    assert classifier.classes == CLASSES
    options = finetune.arguments(["published", "shapes", "--seed", "2"])
    data, _ = finetune.load(options)
    files = split_files(shapes.resolve(), np.random.default_rng(2))
    expected = [
        load_pixels(path, 12, 18, 3, classifier.framing)
        for paths in files["train"].values() for path in paths
    ]  # fmt: skip
    np.testing.assert_array_equal(data.train.images[:], expected)
    assert evaluate.main([str(RUN)]) == 0
    images = json.loads((RUN / "training.json").read_text())["images"]
    assert {name: len(paths) for name, paths in images["held_out"].items()} == dict.fromkeys(
        CLASSES, 1
    )


def test_few_labels_are_of_each_class_and_no_image_is_in_two_parts():
    parts = []
    for seed in ("1", "1", "2"):
        few = [*FEW, "--test-per-class", "4", "--seed", seed]
        data, _ = finetune.load(finetune.arguments(["published", "digits", *few]))
        counts = [np.bincount(split.labels, minlength=10).tolist() for split in data[:3]]
        assert counts[0] == [3] * 10
        assert max(counts[1]) <= 3
        assert max(counts[2]) == 4
        parts.append([{image.tobytes() for image in split.images} for split in data[:3]])
        assert sum(map(len, parts[-1])) == len(set.union(*parts[-1])) == np.sum(counts)
    assert parts[0] == parts[1]
    for one, other in zip(parts[0], parts[2], strict=True):
        assert one != other


def test_positions_are_resized_and_grey_becomes_three_channels(untested):
    classifier = tuned("--image-size", "24", "30")
    assert classifier.model.config["image_size"] == [24, 30]
    assert classifier.params["pos"].shape == (1 + 4 * 5, 12)
    options = finetune.arguments(["published", "digits", "--image-size", "24"])
    data, _ = finetune.load(options)
    images = data.train.images[:5]
    assert images.shape == (5, 24, 24, 3)
    assert (images == images[..., :1]).all()


def test_random_weights_are_another_network_of_the_same_sizes(body, untested):
    classifier = tuned("--random")
    published = named(body)
    for name, leaf in named(classifier.params).items():
        assert leaf.shape == published[name].shape
        assert name.endswith((".b", "cls")) or ".ln" in name or (leaf != published[name]).any(), (
            name
        )
    assert classifier.framing == Framing(0.75, False, "bicubic")


def test_of_random_weights_layer_scale_starts_at_one(untested):
    """With the usual 1e-5 a class token would look the same whatever the image."""
    publish(layer_scale=0.1, image_size=12, mlp_dim=24, classes=0)
    for block in tuned("--random").params["blocks"]:
        assert (block["ls1"]["w"] == 1).all() and (block["ls2"]["w"] == 1).all()


def test_the_body_is_trained_with_a_rate_for_each_layer(body, fits):
    asked = ["--body", "--layer-decay", "0.6", "--lr", "0.01", "--augment", "flip", "--patience=4"]
    assert finetune.main(["published", "digits", *FEW, *asked]) == 0
    ((progress, train, validation, options),) = fits
    for name, leaf in named(progress.params).items():
        np.testing.assert_array_equal(leaf, named(body)[name])
    assert not progress.params["head"]["w"].any()
    optimizer = progress.optimizer
    assert (type(optimizer), optimizer.lr) == (minivit.AdamW, 0.01)
    np.testing.assert_array_equal(optimizer.rates, layer_rates(progress.params, 0.6))
    assert (len(train.labels), options["patience"], options["epochs"]) == (30, 4, 2)
    assert options["augment"] == Augmentation(flip=True)
    assert len(validation.labels) <= 30


def test_the_whole_network_learns_and_a_stopped_run_resumes(body, untested, monkeypatch, capsys):
    asked = ["published", "digits", *FEW, "--body"]
    assert finetune.main([*asked, "--run", "whole"]) == 0
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 6)
        assert finetune.main([*asked, "--run", "parts"]) == 130
    assert finetune.main(["--resume", "runs/parts"]) == 0
    assert_same("runs/parts", "runs/whole")
    classifier = minivit.Classifier.load("runs/parts")
    moved = {
        name for name, leaf in named(classifier.params).items() if (leaf != named(body)[name]).any()
    }
    assert {"patches.w", "cls", "pos", "blocks.0.attn.qkv.w", "ln.b"} <= moved


@pytest.mark.usefixtures("untested")
def test_a_run_of_a_head_alone_is_not_resumed(capsys):
    tuned()
    assert finetune.main(["--resume", str(RUN)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == "finetune: a run that trains a head alone is not resumed; start a new one"


@pytest.mark.parametrize(
    "options, message",
    [
        (["nowhere", "digits"], "nowhere"),
        (["published", "nowhere"], "no data set at 'nowhere'"),
        (["published", "digits", "--image-size", "25"], "25 x 25"),
        (["published", "digits", "--pool", "mean", "--heads", "5"], "5"),
        (["published", "digits", "--body", "--layer-decay", "2"], "decay must be more than 0"),
        (["published", "digits", "--run", "a/b"], "a run's name is a plain folder name"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(capsys, options, message):
    assert finetune.main(options) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("finetune: ")
    assert message in error
    assert not list(Path(".").glob("runs/*"))


@pytest.mark.parametrize(
    "options, message",
    [
        (["published"], "give CHECKPOINT and DATA, or --resume RUN"),
        (["a", "b", "--augment", "flip"], "--augment needs --body"),
        (["a", "b", "--patience", "3"], "--patience needs --body"),
        (["a", "b", "--per-class", "0"], "--per-class must be at least 1"),
        (["a", "b", "--image-size", "3", "4", "5"], "--image-size is one number or two"),
        (["a", "b", "--lr", "-1"], "--lr must be greater than 0"),
    ],
)
def test_refuses_options_that_do_not_fit(capsys, options, message):
    with pytest.raises(SystemExit) as stop:
        finetune.arguments(options)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_what_is_trained_decides_on_the_defaults():
    head, body = (finetune.arguments(["a", "b", *more]) for more in ([], ["--body"]))
    assert (head.epochs, head.lr, head.batch_size) == (100, 3e-3, 250)
    assert (body.epochs, body.lr, body.batch_size) == (10, 2e-4, 32)
    assert finetune.arguments(["--body", "a", "b", "--epochs", "3"]).epochs == 3
    compared = finetune.arguments(["a", "b", "--compare", "5", "--per-class", "10"])
    assert (compared.body, compared.lr) == (True, 2e-4)
