import numpy as np
import pytest

import minivit
from minivit.training import Progress


def progress_of(losses, ema=False):
    params = minivit.Params({"w": np.arange(3.0)})
    progress = Progress(params, minivit.SGD(params, 0.1), minivit.EMA(params, 0.9) if ema else None)
    progress.rows = [dict(validation_loss=loss) for loss in losses]
    return progress


@pytest.mark.parametrize(
    "losses, epochs, at_end",
    [
        ([], 0, False),
        ([None, None], 0, False),
        ([None, 3.0], 0, True),
        ([3.0, None, 2.0, None], 0, False),
        ([3.0, 2.0, 2.5, 2.0], 2, True),  # as low is not lower
        ([1.0, None, 2.0, 3.0, 4.0], 3, True),
    ],
)
def test_counts_the_epochs_since_the_best(losses, epochs, at_end):
    progress = progress_of(losses)
    assert progress.epochs_since_best() == epochs
    assert progress.at_epoch_end == at_end


def test_the_best_are_a_copy_of_what_is_validated():
    progress = progress_of([])
    assert progress.validated is progress.params
    progress.params.flat += 1
    np.testing.assert_array_equal(progress.best["w"], np.arange(3.0))
    averaged = progress_of([], ema=True)
    assert averaged.validated is averaged.ema.params
    assert averaged.best is not averaged.ema.params


def test_its_state_is_all_that_it_has():
    assert progress_of([], ema=True).state().keys() == {
        "weights", "best_weights", "rows", "seconds", "optimizer.velocity", "ema.t", "ema.average",
    }  # fmt: skip
    with pytest.raises(ValueError, match="'ema' is NoneType in .* expected no such thing"):
        progress_of([], ema=True).load_state(progress_of([]).state())
