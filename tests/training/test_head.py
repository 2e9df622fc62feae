import numpy as np
import pytest

import minivit
from minivit.data.digits import Split
from minivit.training.head import fit_head, head_progress
from tests.saved_runs import untrained

OPTIONS = dict(epochs=40, batch_size=16, seed=0)


def features(count, seed):
    """Three classes of features (n, 12), on scales from 0.01 to 100 and far from zero."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    middles = np.random.default_rng(9).standard_normal((3, 12))
    x = middles[labels] + 0.7 * rng.standard_normal((count, 12))
    return Split((10.0 ** np.linspace(-2, 2, 12) * (x + 5)).astype(np.float32), labels)


def fitted(train, validation, **changes):
    progress = head_progress(untrained(["a", "b", "c"]), 0.02)
    fit_head(progress, train, validation, **(OPTIONS | changes))
    return progress


def loss_of(progress, split):
    logits, _ = minivit.layers.Linear(12, 3).forward(progress.best, split.images)
    return minivit.cross_entropy(logits, split.labels)[0]


def test_the_best_head_reads_the_features_as_they_are():
    train, validation, test = features(200, 0), features(60, 1), features(300, 2)
    progress = fitted(train, validation)
    logits, _ = minivit.layers.Linear(12, 3).forward(progress.best, test.images)
    assert (logits.argmax(axis=1) == test.labels).mean() > 0.95
    assert loss_of(progress, validation) == pytest.approx(min(progress.validation_losses), rel=1e-4)


def test_the_best_epoch_is_kept_where_later_ones_overfit():
    train, validation = features(6, 0), features(60, 1)
    validation.labels[:20] = 0  # so that being sure is punished
    progress = fitted(train, validation, epochs=200)
    losses = progress.validation_losses
    assert losses.index(min(losses)) < len(losses) - 1
    assert loss_of(progress, validation) == pytest.approx(min(losses), rel=1e-4)


def test_rows_are_those_of_each_step_and_each_epoch():
    train, validation = features(40, 0), features(10, 1)
    progress = fitted(train, validation)  # 3 steps an epoch
    assert [row["step"] for row in progress.rows] == list(range(120))
    assert [row["epoch"] for row in progress.rows[1:5]] == [1, 1, 2, 2]
    ends = [row["validation_loss"] for row in progress.rows if row["validation_loss"] is not None]
    assert ends == progress.validation_losses == [r["validation_loss"] for r in progress.rows[2::3]]
    assert progress.rows[-1]["loss"] < 0.2 < progress.rows[0]["loss"]
    assert (progress.steps, progress.optimizer.lr) == (120, 0.02)
    assert progress.rows[0]["learning_rate"] > progress.rows[-1]["learning_rate"] > 0


def test_a_feature_that_never_changes_is_left_out():
    train, validation = features(40, 0), features(10, 1)
    for split in (train, validation):
        split.images[:, 4] = 3
    progress = fitted(train, validation)
    assert np.isfinite(progress.best.flat).all()
    assert not progress.best["w"][4].any()


def test_one_seed_gives_one_head():
    train, validation = features(40, 0), features(10, 1)
    heads = [fitted(train, validation, seed=seed).best.flat for seed in (3, 3, 4)]
    np.testing.assert_array_equal(heads[0], heads[1])
    assert (heads[0] != heads[2]).any()
