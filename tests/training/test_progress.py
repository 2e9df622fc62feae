import numpy as np
import pytest

from tests.training.cases import progress_of


@pytest.mark.parametrize(
    "losses, epochs",
    [([], 0), ([3.0], 0), ([3.0, 2.0], 0), ([3.0, 2.0, 2.5, 2.0], 2), ([1.0, 2.0, 3.0, 4.0], 3)],
)
def test_counts_the_epochs_since_the_best_without_a_look_at_the_rows(losses, epochs):
    progress = progress_of()
    progress.validation_losses, progress.rows = losses, None
    assert progress.epochs_since_best() == epochs  # a loss as low is not lower


def test_an_epoch_ends_with_the_row_of_a_validation():
    progress = progress_of()
    assert not progress.at_epoch_end
    for loss in (None, 3.0, None):
        progress.rows.append(dict(validation_loss=loss))
        assert progress.at_epoch_end == (loss is not None)


@pytest.mark.parametrize("ema", [False, True])
def test_the_best_are_a_copy_of_what_is_validated(ema):
    progress = progress_of(ema=ema)
    assert progress.validated is (progress.ema.params if ema else progress.params)
    start = progress.params.flat.copy()
    progress.validated.flat += 1
    np.testing.assert_array_equal(progress.best.flat, start)
    best = progress.best_classifier()
    assert (best.params, best.model) == (progress.best, progress.classifier.model)


def test_its_state_is_everything_but_the_rows():
    progress = progress_of(ema=True)
    assert progress.state().keys() == {
        "weights", "best_weights", "steps", "seconds", "rows_sum", "validation_losses",
        "optimizer.t", "optimizer.m", "optimizer.v", "ema.t", "ema.average",
    }  # fmt: skip
    with pytest.raises(ValueError, match="Progress: the saved state has 'ema' as NoneType"):
        progress.load_state(progress_of().state())
