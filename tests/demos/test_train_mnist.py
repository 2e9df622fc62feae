import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minivit
from demos import predict, train_images, train_mnist, training_options
from minivit.data import download
from minivit.data.augment import Augmentation
from minivit.files import read_arrays
from minivit.threads import cores
from tests.data.idx import few_digits
from tests.demos.digit_runs import COMPLETE, RESUME, RUN, TINY, assert_complete, proposed, train_few
from tests.saved_runs import DIGITS

ROOT = Path(__file__).parent.parent.parent


def test_leaves_a_complete_run(folder, capsys):
    assert train_few("digits", "--run", "few", "--seed", "3") == 0
    printed, run = capsys.readouterr().out, Path("runs/few")
    lines = printed.splitlines()
    assert lines[0].startswith("Training a Vision Transformer of 138,890 parameters: 220 images, 1")
    assert lines[0].endswith("on 1 process; 20 more validate it.")
    assert lines[1] == "The run is kept in runs/few/; Ctrl-C stops and saves it."
    assert proposed(lines[-1], "explore") == ["runs/few"]
    assert f"Saved in runs/few/: {', '.join(COMPLETE)}" in lines
    assert_complete(run)
    result = json.loads((run / "result.json").read_text())
    assert (result["parameters"], result["seed"]) == (138_890, 3)
    assert result["options"]["data"] == str(folder)  # to be resumed from any folder
    assert f"Test accuracy {result['test_accuracy']:.2%}" in printed
    assert result["test"]["accuracy"] == result["test_accuracy"]
    classifier = minivit.Classifier.load(run)
    assert (classifier.classes, classifier.model.config["patch_size"]) == (DIGITS, 7)
    matrix = [line.split() for line in lines if re.match(r"^ +\d( +\d+){10}$", line)]
    assert [row[0] for row in matrix] == DIGITS
    counts = [[int(count) for count in row[1:]] for row in matrix]
    assert counts == result["test"]["confusion_matrix"]
    assert np.trace(counts) / 50 == pytest.approx(result["test_accuracy"])


def test_a_record_has_a_stem_and_is_read_again(folder, capsys):
    options = ["--recipe", "record", "--epochs", "1", "--shards", "1", "--run", "record"]
    assert train_mnist.main(["--data", str(folder), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Training a Vision Transformer of 124,858 parameters: 220 images, 1")
    run, photo = "runs/record", "demos/samples/five-photo.jpg"
    assert proposed(lines[-1], "predict") == [run, photo]
    classifier = minivit.Classifier.load(run)
    assert classifier.model.config["stem"] == [[4, 2, 16], [3, 2, 32]]
    assert_complete(Path(run))
    assert predict.main([run, str(ROOT / photo)]) == 0
    assert train_mnist.main(["--resume", run]) == 0


def test_trains_on_one_part_and_validates_on_the_other(folder, fits):
    assert train_few(folder, "--seed", "5", "--lr", "0.004") == 0
    ((progress, train, validation, options),) = fits
    parts = [[image.tobytes() for image in split.images] for split in (train, validation)]
    assert (len(parts[0]), len(parts[1])) == (220, 20)
    data = minivit.load_digits(folder)
    assert sorted(parts[0] + parts[1]) == sorted(image.tobytes() for image in data.train.images)
    assert progress.classifier.normalize.mean == pytest.approx(train.images.mean() / 255)
    assert (type(progress.optimizer), progress.optimizer.lr) == (minivit.Muon, 0.004)
    assert options["augment"] == Augmentation(shift=2, rotation=10, scale=0.1)
    assert (options["seed"], options["epochs"], options["batch_size"]) == (5, 1, 20)


def test_trains_as_asked(folder, fits):
    asked = ["--augment", "scale=0.2", "flip", "--dropout", "0.1", "--drop-path", "0.2"]
    for optimizer in training_options.OPTIMIZERS:
        few = ["--keep-tokens", "0.5", "--plain-epochs", "2", "--shards", "3"]
        assert train_few(folder, *TINY, *asked, *few, "--optimizer", optimizer) == 0
        progress, _, _, options = fits.pop()
        assert type(progress.optimizer).__name__.lower() == optimizer
        config = progress.classifier.model.config
        assert (config["dropout"], config["drop_path"], options["shards"]) == (0.1, 0.2, 3)
        assert (config["dim"], config["depth"], config["heads"]) == (12, 1, 3)
        assert options["augment"] == Augmentation(scale=0.2, flip=True)
        assert (options["keep_tokens"], options["plain_epochs"]) == (0.5, 2)
    assert train_few(folder, *TINY, "--augment") == 0
    assert fits[0][3]["augment"] == Augmentation()
    assert train_mnist.arguments([]).shards == cores()


def test_fashion_mnist_has_its_own_recipes(folder, fits, monkeypatch):
    monkeypatch.setattr(download, "fashion_mnist_folder", lambda: folder)
    monkeypatch.setattr(download, "FASHION_SUMS", {})
    assert train_few("fashion-mnist") == 0
    ((progress, _, _, options),) = fits
    assert progress.classifier.classes == download.FASHION_CLASSES
    assert progress.classifier.model.config["drop_path"] == 0.1
    assert options["augment"] == Augmentation(shift=1, flip=True)
    assert Path("runs/fashion").is_dir()
    assert train_few("fashion-mnist", "--recipe", "record", "--run", "record") == 0
    progress, _, _, options = fits[1]
    assert progress.params.flat.size == 543_690
    assert progress.classifier.model.config["drop_path"] == 0.25
    assert options["augment"] == Augmentation(shift=1, flip=True, erase=0.5)


def test_a_data_set_with_two_test_images(folder):
    assert train_few(few_digits(folder, train=5, test=2), *TINY) == 0


def test_early_stopping_tests_and_keeps_the_best_weights(folder, capsys, monkeypatch):
    losses, tested, logits = iter([3.0, 1.0, 2.0, 2.0]), [], minivit.Classifier.logits

    def logits_of(classifier, *arguments):
        tested.append(classifier.params.flat)
        return logits(classifier, *arguments)

    monkeypatch.setattr(minivit.Classifier, "evaluate", lambda *_: (next(losses), 0.5, None))
    monkeypatch.setattr(minivit.Classifier, "logits", logits_of)
    assert train_few(folder, *TINY, "--epochs", "9", "--patience", "2") == 0
    assert "no lower validation loss in 2 epochs: stopped early" in capsys.readouterr().out
    newest = read_arrays(max((RUN / "checkpoints").iterdir()))[1]
    np.testing.assert_array_equal(tested[0], newest["best_weights"])
    np.testing.assert_array_equal(tested[0], minivit.Classifier.load(RUN).params.flat)
    assert (newest["weights"] != newest["best_weights"]).any()


def test_what_is_not_finite_is_named_and_what_was_saved_stays(folder, capsys):
    assert train_few(folder, "--optimizer", "sgd", "--lr", "1e30") == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert re.match(r"train_mnist: at step \d the loss is ", message)
    assert message.endswith("Try a lower learning rate. What runs/mnist holds is still good")
    assert [path.stem for path in (RUN / "checkpoints").iterdir()] == ["step-00000000"]


def test_where_no_run_can_be_kept(folder, capsys):
    Path("runs").write_text("not a folder")
    assert train_few(folder, *TINY) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("train_mnist: [Errno 17] File exists: 'runs'")


RECIPES = [
    (demo, data, recipe)
    for demo, data, recipes in [
        (train_mnist, ["--data", "mnist"], train_mnist.RECIPES["mnist"]),
        (train_mnist, ["--data", "fashion-mnist"], train_mnist.RECIPES["fashion-mnist"]),
        (train_images, ["shapes"], train_images.RECIPES),
    ]
    for recipe in recipes
]


@pytest.mark.parametrize("demo, data, recipe", RECIPES)
def test_a_recipe_sets_options_which_others_override(demo, data, recipe):
    recipes = demo.RECIPES if demo is train_images else demo.RECIPES[data[1]]
    options = demo.arguments([*data, "--recipe", recipe])
    usual = demo.arguments(data)
    assert vars(options).items() >= (recipes[recipe] | dict(recipe=recipe)).items()
    differ = {name for name, value in vars(usual).items() if getattr(options, name) != value}
    assert differ <= {"recipe", *recipes[recipe]}
    assert demo.arguments([*data, "--recipe", recipe, "--epochs", "99"]).epochs == 99
    side = 28 if options.stem else 56  # which can be divided
    training_options.model_of(options, [side, side], 1, 10)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--heads", "5"], "dim 64 is not divisible by heads 5"),
        (["--drop-path=-0.1"], "drop_path must be at least 0 and less than 1, got -0.1"),
        (["--data", "nowhere"], "no data set at 'nowhere'"),
        (RESUME, "runs/mnist cannot be resumed: it has no training.json"),
        (["--run", "a/b"], "name is a plain folder name that begins with no dot, got 'a/b'"),
        (["--run", ".mine.aside"], "that begins with no dot, got '.mine.aside'"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(folder, capsys, options, message):
    options = options if options == RESUME else ["--data", str(folder), *options]
    assert train_mnist.main(options) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("train_mnist: ")
    assert message in error
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "option",
    [
        "--epochs=0",
        "--batch-size=-1",
        "--lr=nan",
        "--seed=-1",
        "--checkpoint-every=0",
        "--augment=zoom=2",
        "--keep-tokens=0",
        "--keep-tokens=1.5",
        "--plain-epochs=-1",
        "--resume=",
    ],
)
def test_refuses_options_out_of_range(capsys, option):
    with pytest.raises(SystemExit) as stop:
        train_mnist.arguments([option])
    assert stop.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err


def test_a_quick_recipe_has_fewer_epochs():
    for demo, options, epochs in [
        (train_mnist, [], (10, 9)),
        (train_mnist, ["--data", "fashion-mnist"], (20, 5)),
        (train_images, ["shapes"], (30, 8)),
    ]:
        recipes = ([], ["--recipe", "quick"])
        usual, quick = (demo.arguments([*options, *more]) for more in recipes)
        assert (usual.epochs, quick.epochs) == epochs


def test_a_recipe_sets_the_rate_and_momentum_of_muon_alone():
    params = minivit.Params({"w": np.zeros((2, 2), np.float32)})

    def made(*argv):
        return training_options.optimizer_of(train_mnist.arguments(argv), params)

    assert (made().lr, made().momentum, made().rest.lr) == (0.04, 0.85, 0.005)
    quick = ["--recipe", "quick"]
    assert (made(*quick).lr, made(*quick).momentum, made(*quick).rest.lr) == (0.03, 0.8, 0.003)
    assert (made(*quick, "--lr", "0.5").lr, made(*quick, "--lr", "0.5").momentum) == (0.5, 0.8)
    record = made("--recipe", "record")
    assert (record.lr, record.momentum) == (0.03, 0.85)
    for name, rate in dict(adamw=6e-3, adam=6e-3, sgd=0.2).items():
        assert made(*quick, "--optimizer", name).lr == rate
        assert made(*quick, "--optimizer", name, "--lr", "0.5").lr == 0.5


@pytest.mark.slow
@pytest.mark.thorough
def test_the_quick_run_reaches_the_accuracy_that_the_readme_promises(tmp_path):
    """Full MNIST, as a newcomer runs it who has little time."""
    command = [sys.executable, "-m", "demos.train_mnist", "--recipe", "quick"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    result = json.loads((tmp_path / "runs" / "mnist" / "result.json").read_text())
    assert result["test_accuracy"] >= 0.987
