import subprocess
import sys
import threading

import numpy as np
import pytest

import minivit
from minivit.training import fit, mpi
from minivit.training.mpi import Ranks
from tests.demos.every import ROOT
from tests.ranks import case, mpiexec, needs_mpi, on_threads, table, trained
from tests.samples import sample
from tests.stand_in import installed


@pytest.fixture
def one_process(monkeypatch):
    """No worker processes, which take seconds to start."""
    monkeypatch.setattr(sys.modules["minivit.training.fit"], "processes_for", lambda *_: 1)


@pytest.mark.parametrize("count, shards", sample([(5, 12), (2, 5), (3, 5), (5, 5)], 2))
def test_any_number_of_ranks_gives_what_one_process_gives_with_as_many_shards(
    count, shards, one_process
):
    # Of the 7 images of an epoch's last batch, the last two of 5 ranks with 12 shards have none.
    expected = trained(Ranks(), shards, dtype="float64")
    for progress in on_threads(count, lambda ranks: trained(ranks, shards, dtype="float64")):
        np.testing.assert_allclose(table(progress), table(expected), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(progress.params.flat, expected.params.flat, atol=1e-12)
        np.testing.assert_allclose(progress.best.flat, expected.best.flat, atol=1e-12)


def test_on_a_gpu_the_sum_goes_through_the_hosts_memory(one_process):
    expected = trained(Ranks(), 3, dtype="float64")
    with installed():
        several = on_threads(3, lambda ranks: trained(ranks, 3, dtype="float64", device="cuda"))
        assert all(progress.params.flat.__class__ is not np.ndarray for progress in several)
        tables = [table(progress) for progress in several]
    for one in tables:
        np.testing.assert_allclose(one, table(expected), rtol=1e-9, atol=1e-12)


def test_ctrl_c_on_one_rank_stops_all_after_the_same_step():
    def stopped(ranks):
        progress, *_ = case()
        pressed = threading.Event()

        def run(*_):
            if ranks.number == 1 and progress.steps == 3:
                pressed.set()
            return [(0.0, 0)]

        adding = ranks.adding(run, pressed)
        for progress.steps in range(10):
            adding(None, None, progress.params.zeros_like(), ["a shard"])
            if ranks.stop(pressed):
                return progress.steps, pressed.is_set()
        raise AssertionError("nobody stopped")

    assert on_threads(3, stopped) == [(3, True)] * 3


def test_ctrl_c_after_the_sum_waits_for_the_next_one():
    def stopped(ranks):
        pressed = threading.Event()
        adding = ranks.adding(lambda *_: [(0.0, 0)], pressed)
        steps = []
        for _ in range(2):
            adding(None, None, minivit.Params({"w": np.zeros(2)}), ["a shard"])
            pressed.set()
            steps.append(ranks.stop(pressed))
        return steps

    assert on_threads(2, stopped) == [[False, True]] * 2


@pytest.mark.parametrize("jobs", [0, 1, 4, 7])
def test_mapping_keeps_the_order_and_shares_the_jobs(jobs):
    def mapped(ranks):
        own = []

        def function(job):
            own.append(job)
            return job * job

        return ranks.mapping(map)(function, iter(range(jobs))), own

    results = on_threads(3, mapped)
    assert [result for result, _ in results] == [[job * job for job in range(jobs)]] * 3
    assert sorted(job for _, own in results for job in own) == list(range(jobs))


def test_settings_must_be_the_same_on_all_ranks():
    def compared(ranks):
        ranks.expect_same({"options": {"lr": 0.02}})
        with pytest.raises(
            ValueError, match=r"options.lr is 0 on the first, 2 on rank 2; expected the same"
        ):
            ranks.expect_same({"options": {"lr": ranks.number if ranks.number == 2 else 0}})
        return True

    assert on_threads(3, compared) == [True] * 3


def test_all_ranks_take_the_firsts_state_and_parameters():
    def brought(ranks):
        progress, *_ = case()
        progress.params.flat += ranks.number
        progress.steps = 7 - ranks.number
        ranks.tell_progress(progress)
        told = progress.steps, progress.params.flat.copy()
        progress.params.flat += ranks.number
        ranks.level(progress.params)
        return *told, progress.params.flat

    first, *others = on_threads(3, brought)
    for steps, weights, level in others:
        assert steps == first[0] == 7
        np.testing.assert_array_equal(weights, first[1])
        np.testing.assert_array_equal(level, first[1])


def test_what_is_not_finite_is_found_on_whatever_rank_it_is(one_process):
    def told(ranks):
        progress, train, validation = case()
        images = train.images.astype(np.float32)  # what uint8 cannot hold
        images[train.labels == train.labels[5]] = np.nan
        progress.classifier.normalize = lambda pixels: pixels[..., None] / 255
        with pytest.raises(FloatingPointError) as error:
            fit(
                progress, train._replace(images=images), validation, epochs=1, batch_size=97,
                shards=97, ranks=ranks,
            )  # fmt: skip
        return str(error.value)

    first, *others = on_threads(2, told)
    assert "not finite: the batch's images. Try" in first
    assert others == [first]


def test_too_few_shards_and_a_process_alone():
    assert Ranks().share(3) == slice(0, 3)
    with pytest.raises(ValueError, match="3 ranks and 2 shards of a step; expected at least one"):
        on_threads(3, lambda ranks: ranks.share(2))


@pytest.mark.parametrize(
    "error", [ImportError("No module named 'mpi4py'"), RuntimeError("cannot load MPI library")]
)
def test_without_mpi_it_says_what_to_install(monkeypatch, error):
    def fails(name, *_, **__):
        raise error

    monkeypatch.delitem(sys.modules, "mpi4py", raising=False)
    monkeypatch.setattr("builtins.__import__", fails)
    with pytest.raises(ImportError) as told:
        mpi.world()
    monkeypatch.undo()
    assert "needs mpi4py, which cannot be imported" in str(told.value)
    assert "pip install 'minivit[mpi]'" in str(told.value)


def test_the_mpiexec_of_another_mpi_is_refused(monkeypatch):
    needs_mpi()
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="mpiexec started 3 processes, but mpi4py's MPI knows of"):
        mpi.world()


@pytest.mark.slow
@pytest.mark.parametrize("count", sample([3, 1, 2, 4], 2))
def test_50_steps_on_so_many_ranks_have_the_losses_of_one_process(tmp_path, one_process, count):
    needs_mpi()
    path = tmp_path / "rows.npz"
    command = [mpiexec(), "-n", str(count), sys.executable, "-m", "tests.ranks", "5", str(path)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=120)
    for dtype, limit in {"float64": 1e-12, "float32": 1e-5}.items():
        expected = table(trained(Ranks(), 5, epochs=5, dtype=dtype))
        rows = np.load(path)[dtype]
        print(dtype, count, abs(rows - expected).max(axis=0))
        assert len(rows) == 50
        np.testing.assert_allclose(rows[:, 0], expected[:, 0], rtol=0, atol=limit)
        np.testing.assert_array_equal(rows[:, 1], expected[:, 1])
