import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import minivit
from demos import few_labels, finetune, pretrain
from minivit.pretrainer import Pretrainer
from tests.data.idx import few_digits
from tests.data.shapes import write_shapes
from tests.demos.digit_runs import assert_same, proposed
from tests.demos.test_train_images import press_ctrl_c_at

TINY = [
    "--dim", "8", "--depth", "1", "--heads", "2", "--mlp-dim", "6", "--decoder-dim", "8",
    "--decoder-depth", "1", "--patch-size", "7", "--epochs", "2", "--batch-size", "20",
    "--shards", "1",
]  # fmt: skip
FEW = ["digits", "--per-class", "3", "--epochs", "2", "--shards", "1"]
COMPLETE = [
    "checkpoints", "checksums.json", "config.json", "curves.png", "epochs", "metrics.csv",
    "pictures.png", "result.json", "training.json", "weights.safetensors",
]  # fmt: skip
each_objective = pytest.mark.parametrize("objective", pretrain.RECIPES)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few_digits("digits")


def demo(objective, *options, data="digits"):
    return pretrain.main(["--objective", objective, "--data", data, *TINY, *options])


@each_objective
def test_leaves_a_complete_run_and_says_how_good_it_is(objective, capsys):
    assert demo(objective, "--json", "figures.json") == 0
    run = Path("runs", objective)
    assert sorted(path.name for path in run.iterdir() if path.name != ".lock") == COMPLETE
    assert [path.name for path in sorted((run / "epochs").iterdir())] == ["0001.png", "0002.png"]
    for picture in run.glob("**/*.png"):
        assert cv2.imread(str(picture)).std() > 5
    figures = json.loads(Path("figures.json").read_text())
    share = figures["places_right" if objective == "permutation" else "explained"]
    pretrainer = Pretrainer.load(run)
    test = minivit.load_digits("digits").test
    assert pretrainer.evaluate(test)[:2] == pytest.approx((figures["test_loss"], share), rel=1e-5)
    assert len(figures["validation_loss_by_epoch"]) == 2
    assert figures.items() <= json.loads((run / "result.json").read_text()).items()
    printed = capsys.readouterr().out
    assert f"Test loss {figures['test_loss']:.4f}; " in printed
    assert proposed(printed.splitlines()[-1], "finetune")[:2] == [str(run), "DATA"]


@each_objective
def test_a_stopped_run_resumes_to_the_same_last_bit(objective, monkeypatch, capsys):
    assert demo(objective, "--run", "whole") == 0
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 13)
        assert demo(objective, "--run", "parts") == 130
    capsys.readouterr()
    assert pretrain.main(["--resume", "runs/parts"]) == 0
    assert "not used" not in capsys.readouterr().err  # nothing is taken for damaged
    assert_same("runs/parts", "runs/whole")
    for name in ("epochs/0001.png", "epochs/0002.png", "pictures.png"):
        assert Path("runs/parts", name).read_bytes() == Path("runs/whole", name).read_bytes()


def test_two_processes_share_the_steps(monkeypatch):
    assert demo("masked", "--shards", "2", "--epochs", "1") == 0


@each_objective
def test_colour_images_of_a_folder_serve_as_well(objective):
    write_shapes("shapes", 12)
    assert demo(objective, "--image-size", "14", "21", data="shapes") == 0
    pretrainer = Pretrainer.load(f"runs/{objective}")
    assert pretrainer.model.config["image_size"] == [14, 21]
    assert pretrainer.model.config["channels"] == 3
    assert cv2.imread(f"runs/{objective}/epochs/0001.png").shape[0] == 14


@each_objective
def test_fine_tuning_starts_from_what_was_learned(objective, capsys):
    assert demo(objective) == 0
    few = [*FEW, "--test-per-class", "2"]
    options = finetune.arguments([f"runs/{objective}", *few])
    assert options.body
    _, classifier = finetune.load(options)
    learned = Pretrainer.load(f"runs/{objective}")
    for name in ("patches", "ln"):
        np.testing.assert_array_equal(classifier.params[name]["w"], learned.params[name]["w"])
    assert not classifier.params["head"]["w"].any()
    assert classifier.normalize == learned.normalize
    options.random = True
    _, random = finetune.load(options)
    assert (random.params["patches"]["w"] != learned.params["patches"]["w"]).any()
    assert finetune.main([f"runs/{objective}", *few]) == 0
    assert minivit.Classifier.load("runs/finetuned").classes[:3] == ["0", "1", "2"]
    capsys.readouterr()


def test_a_few_labels_are_compared_with_random_weights(capsys, monkeypatch):
    real, asked = few_labels.accuracy, []

    def watched(options, *arguments):
        asked.append((options.seed, options.random))
        return real(options, *arguments)

    monkeypatch.setattr(few_labels, "accuracy", watched)
    assert demo("permutation") == 0
    capsys.readouterr()
    comparing = ["--compare", "2", "--json", "few.json"]
    assert finetune.main(["runs/permutation", *FEW, *comparing]) == 0
    assert asked == [(0, False), (0, True), (1, False), (1, True)]
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split() == ["draw", "pretrained", "from_scratch"]
    assert [line.split()[0] for line in printed[2:5]] == ["0", "1", "mean"]
    figures = json.loads(Path("few.json").read_text())
    assert (Path(figures["data"]).name, figures["per_class"]) == ("digits", 3)
    for name in ("pretrained", "from_scratch"):
        assert figures[name] == pytest.approx(np.mean(figures["draws"][name]))
        assert len(figures["draws"][name]) == 2
    assert [path.name for path in Path("runs").iterdir() if path.is_dir()] == ["permutation"]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--data", "nowhere"], "no data set at 'nowhere'"),
        (["--patch-size", "5"], "28 x 28 pixels cannot be cut into patches of 5 x 5"),
        (["--dim", "10"], "dim 10 must be divisible by 4"),
        (["--seen", "1"], "seen must be more than 0 and less than 1"),
        (["--objective", "permutation", "--shown", "1"], "shown must be at least 0 and less"),
        (["--decoder-dim", "6"], "dim 6 must be divisible by 4"),
        (["--run", "a/b"], "a run's name is a plain folder name"),
        (["--lr", "1e30", "--optimizer", "sgd"], "not finite"),
    ],
)
def test_what_cannot_work_ends_in_one_line_and_status_2(options, message, capsys):
    assert pretrain.main(["--data", "digits", *TINY, *options]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("pretrain: ")
    assert message in error


def test_a_run_of_another_demo_is_not_resumed_nor_taken_for_a_published_network(capsys):
    assert demo("masked") == 0
    assert finetune.main(["--resume", "runs/masked"]) == 2
    assert finetune.main(["runs/masked", "digits", "--heads", "3"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "--heads is for published weights" in error


@pytest.mark.parametrize(
    "options, message",
    [
        (["a", "b", "--compare", "3"], "--compare is a number of draws, at least 1, and needs"),
        (["a", "b", "--body", "--compare", "0", "--per-class", "2"], "at least 1"),
        (["a", "b", "--json", "x.json"], "--json needs --compare"),
    ],
)
def test_finetune_refuses_options_that_do_not_fit(capsys, options, message):
    with pytest.raises(SystemExit):
        finetune.arguments(options)
    assert message in capsys.readouterr().err
