import pytest

from tests import killed_runs
from tests.ranks import needs_mpi
from tests.samples import sample


@pytest.mark.slow
@pytest.mark.parametrize("demo", sample(killed_runs.DEMOS, 2))
def test_a_run_that_is_killed_6_times_ends_like_one_that_was_left_alone(demo):
    reached = killed_runs.main(["--demo", demo, "--kills", "6"])
    assert len(reached) == 6
    assert reached == sorted(reached)
    assert len(set(reached)) > 2  # all over the run


@pytest.mark.slow
def test_nothing_is_lost_when_random_ranks_are_killed_6_times():
    needs_mpi()
    reached = killed_runs.main(["--ranks", "2", "--kills", "6"])
    assert len(reached) == 6
    assert len(set(reached)) > 2
