import re

import numpy as np
import pytest

import minivit
from demos import train_mnist
from demos.benchmark import recipe
from minivit.checks.numeric import random_params
from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.training import Progress, fit
from tests.data.idx import few_digits
from tests.demos.test_benchmark import TINY, assert_same_parameters

SETTINGS = dict(epochs=2, batch_size=16, seed=3, augment=Augmentation(shift=1), plain_epochs=1)
RIVAL = SETTINGS | dict(peak=0.03, rest_peak=0.004, momentum=0.7)


def prepare(images):
    return images / 255.0 - 0.5  # float64


def digits(count):
    rng = np.random.default_rng(count)
    return Split(rng.integers(0, 256, (count, 6, 4, 3), np.uint8), rng.integers(0, 7, count))


def random_pair():
    """Our model and PyTorch's with the same random parameters, in float64."""
    pytest.importorskip("torch").set_num_threads(1)  # no others to wait for, in so small a model
    from demos.benchmark import torch_recipe, torch_vit

    model = minivit.ViT(**TINY)
    params = random_params(model, np.random.default_rng(0))
    return model, params, torch_recipe, torch_vit.twin(TINY, params)


def test_the_pytorch_recipe_takes_the_same_steps(monkeypatch):
    train, validation = digits(72), digits(11)
    model, params, torch_recipe, twin = random_pair()
    classifier = minivit.Classifier(model, params, prepare, [*"abcdefg"])
    ours = Progress(classifier, minivit.Muon(params, 0.03, rest_lr=0.004, momentum=0.7))
    fit(ours, train, validation, shards=1, **SETTINGS)
    losses, accuracies = [], []
    for steps, accuracy in torch_recipe.train(twin, train, validation, prepare, **RIVAL):
        losses += steps
        accuracies.append(accuracy)
        if len(accuracies) == 2:
            assert_same_parameters(ours.params, twin, 1e-7)
    assert len(losses) == 2 * 5  # the last batch of an epoch is a smaller one
    np.testing.assert_allclose(losses, [row["loss"] for row in ours.rows], rtol=1e-9)
    assert accuracies == [row["validation_accuracy"] for row in ours.rows if row["validation_loss"]]


def test_the_pytorch_recipe_ends_with_its_best_weights(monkeypatch):
    _, _, torch_recipe, twin = random_pair()
    losses = iter([2.0, 3.0])
    monkeypatch.setattr(torch_recipe, "evaluate", lambda *arguments: (next(losses), 0.5))
    copies = [
        {name: leaf.clone() for name, leaf in twin.state_dict().items()}
        for _ in torch_recipe.train(twin, digits(72), digits(11), prepare, **RIVAL)
    ]
    for name, leaf in twin.state_dict().items():
        assert (leaf == copies[0][name]).all()
    assert any((leaf != copies[1][name]).any() for name, leaf in twin.state_dict().items())


def test_both_sides_train_on_the_same_data_and_take_a_turn_for_each_epoch(tmp_path):
    pytest.importorskip("torch")
    folder = few_digits(tmp_path / "digits")
    small = "--epochs 2 --dim 8 --depth 1 --batch-size 40 --shards 1"
    options = train_mnist.arguments(["--data", str(folder), *small.split()])
    sides = []
    for side in (recipe.train_minivit, recipe.train_torch):
        answers = []
        test = side(lambda answer=None, answers=answers: answers.append(answer), options)
        assert answers[0] is None  # it waits before it trains
        sides.append([*answers[1:], test])
    assert [len(answers) for answers in sides] == [3, 3]
    np.testing.assert_allclose(*sides, atol=0.06)  # in float32: one image of 20, 3 of 50


def test_pytorch_is_given_what_the_recipe_says_of_its_training(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from demos.benchmark import torch_recipe

    given = []
    monkeypatch.setattr(torch_recipe, "train", lambda *sides, **how: given.append(how) or [])
    data = ["--data", str(few_digits(tmp_path / "digits")), "--shards", "1"]
    for more in ([], ["--recipe", "quick"]):
        recipe.train_torch(lambda answer=None: None, train_mnist.arguments([*data, *more]))
    names = "peak", "rest_peak", "momentum", "plain_epochs"
    told = [tuple(how[name] for name in names) for how in given]
    assert told == [(0.04, 0.005, 0.85, 1), (0.03, 0.003, 0.8, 0)]


def test_prints_epochs_tests_and_ratios(monkeypatch, capsys):
    times = {
        ("train_minivit", "quick"): [1.0, 1.2, 0.5],
        ("train_minivit", "default"): [1.0, 5.0, 1.2, 0.5],
        ("train_torch", "default"): [3.0, 3.0, 4.0, 1.0],
    }

    class Scripted:
        def __init__(self, side, options):
            options.epochs = 2 if options.recipe == "quick" else 3
            spent = times[side.__name__, options.recipe]
            self.answers = iter([(0.9, seconds) for seconds in spent])

        def ask(self):
            return next(self.answers)

        def end(self):
            ended.append(next(self.answers, None))

    ended = []
    monkeypatch.setattr(recipe, "Worker", Scripted)
    recipe.compare_recipes()
    printed = capsys.readouterr().out
    assert ended == [None] * 3  # all was asked
    assert re.search(r"^epoch 3 +1\.20 +90\.00% +4\.00 ", printed, re.M)
    assert re.search(r"^test +0\.50 +90\.00% +0\.50 ", printed, re.M)
    assert re.search(r"^median epoch +1\.10 +1\.20 +3\.00", printed, re.M)
    assert re.search(r"^in all +2\.20 +7\.20 +10\.00", printed, re.M)
    assert re.search(r"^minivit is 1\.39 × as fast", printed, re.M)
    assert re.search(r"^quick takes 22\.0% of PyTorch's time", printed, re.M)
