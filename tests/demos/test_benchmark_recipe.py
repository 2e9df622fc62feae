import re
import types

import numpy as np
import pytest

import minivit
from demos import train_mnist
from demos.benchmark import recipe
from minivit.checks.numeric import random_params
from minivit.data.digits import Split
from minivit.training import Progress, fit
from tests.data.idx import few_digits
from tests.demos.test_benchmark import TINY, of_torch, ordered
from tests.numeric import relative_error

SETTINGS = dict(epochs=2, batch_size=16, seed=3)


def prepare(images):
    return images / 255.0 - 0.5  # float64


def digits(count):
    rng = np.random.default_rng(count)
    return Split(rng.integers(0, 256, (count, 6, 4, 3), np.uint8), rng.integers(0, 7, count))


def both(train, validation):
    """Our training and PyTorch's, of the same random parameters, in float64."""
    pytest.importorskip("torch").set_num_threads(1)  # no others to wait for, in so small a model
    from demos.benchmark.torch_recipe import Recipe
    from demos.benchmark.torch_vit import twin

    model = minivit.ViT(**TINY)
    params = random_params(model, np.random.default_rng(0))
    theirs = Recipe(twin(TINY, params), train, validation, prepare, **SETTINGS)
    ours = Progress(params, minivit.Muon(params))
    fit(model, ours, train, validation, prepare, shards=1, **SETTINGS)
    return ours, theirs


def test_the_pytorch_recipe_takes_the_same_steps():
    ours, theirs = both(digits(72), digits(11))
    accuracies = [theirs.epoch() for _ in range(2)]
    validated = [row for row in ours.rows if row["validation_loss"] is not None]
    assert accuracies == [row["validation_accuracy"] for row in validated]
    np.testing.assert_allclose(theirs.losses, [row["loss"] for row in ours.rows], rtol=1e-9)
    assert len(theirs.losses) == 2 * 5  # the last batch of an epoch is a smaller one
    assert theirs.lowest == pytest.approx(min(row["validation_loss"] for row in validated))
    for (name, leaf), other in zip(
        ours.params.named(), ordered(theirs.model, ours.params), strict=True
    ):
        if name.endswith("attn.qkv.b"):  # the key's has no gradient but rounding, which Adam scales
            leaf, other = leaf[[*range(6), *range(12, 18)]], other[[*range(6), *range(12, 18)]]
        assert relative_error(leaf, of_torch(name, other)) <= 1e-7, name


def test_the_pytorch_recipe_keeps_its_best_weights(monkeypatch):
    _, theirs = both(digits(72), digits(11))
    losses = iter([2.0, 3.0])
    monkeypatch.setattr(theirs, "evaluate", lambda split: (next(losses), 0.5))
    theirs.epoch()
    best = {name: leaf.clone() for name, leaf in theirs.model.state_dict().items()}
    theirs.epoch()
    assert all((theirs.best[name] == leaf).all() for name, leaf in best.items())
    assert any((theirs.model.state_dict()[name] != leaf).any() for name, leaf in best.items())


def test_both_sides_train_on_the_same_data_and_stop_after_each_epoch(tmp_path):
    pytest.importorskip("torch")
    folder = few_digits(tmp_path / "digits")
    small = "--epochs 2 --dim 8 --depth 1 --batch-size 40 --shards 1"
    options = train_mnist.arguments(["--data", str(folder), *small.split()])
    answers = {}
    for name, side in recipe.SIDES.items():
        answers[name] = []
        answers[name].append(side(answers[name].append, options))
    for ready, *epochs, test in answers.values():
        assert ready is None
        assert len(epochs) == 2
        assert all(seconds > 0 and 0 <= accuracy <= 1 for seconds, accuracy in [*epochs, test])
    ours, theirs = ([accuracy for _, accuracy in found[1:]] for found in answers.values())
    np.testing.assert_allclose(ours, theirs, atol=0.06)  # in float32: one image of 20, 3 of 50


@pytest.mark.parametrize("has_torch", [True, False])
def test_prints_epochs_test_and_ratio(monkeypatch, capsys, has_torch):
    class Scripted:
        def __init__(self, side, options):
            times = [1.0, 5.0, 1.2, 0.5] if side is recipe.train_minivit else [3.0, 3.0, 3.6, 1.0]
            self.answers = iter([(seconds, 0.9) for seconds in times])

        def ask(self, question):
            return next(self.answers)

    monkeypatch.setattr(recipe, "Worker", Scripted)
    found = recipe.compare_recipes(types.SimpleNamespace(epochs=3), has_torch)
    printed = capsys.readouterr().out
    assert "minivit: 1.20 s an epoch, 7.7 s in all" in printed
    assert ("minivit is 2.50 × as fast in the median epoch, 1.38 × in all" in printed) == has_torch
    assert re.search(r"^test +0\.50 +90\.00%", printed, re.MULTILINE)
    assert len(found["epochs"]) == 3
    assert found["seconds"]["minivit"] == dict(epoch=1.2, all=7.7)
