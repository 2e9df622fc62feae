import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import minivit
from demos import train_mnist
from demos.training_options import model_of, optimizer_of
from demos.tune import study as studies
from demos.tune.report import PLOTS
from demos.tune.space import RATES, asked, changes, patch_sizes, recipe, space, usual
from tests.data.idx import few_digits
from tests.demos.digit_runs import last_error, press_ctrl_c_at, proposed
from tests.demos.every import ROOT

optuna = pytest.importorskip("optuna")
tune = importlib.import_module("demos.tune.__main__")
STUDY = "runs/tune.journal"
FEW = ["--data", "digits", "--epochs", "2", "--batch-size", "40", "--shards", "1"]
SETTINGS = {"data": "digits", "batch_size": 40, "seed": 0}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few_digits("digits")


@pytest.fixture
def briefly(monkeypatch):
    """No report in the end, whose drawings take longer than all the rest."""
    monkeypatch.setattr(tune, "report", lambda *_: [])


@pytest.fixture
def undrawn(monkeypatch):
    """Tests of a classifier without their drawings."""

    def test(folder, options, classifier, progress, data, *_):
        loss, accuracy, _ = classifier.evaluate(data.test)
        result = {"test_accuracy": accuracy, "test_loss": loss, "train_seconds": progress.seconds}
        Path(folder, "result.json").write_text(json.dumps(result))

    monkeypatch.setattr(tune.training, "test", test)


def trials(place=STUDY):
    return studies.open_study(place).study.trials


def states(place=STUDY):
    return [trial.state.name for trial in trials(place)]


def weights(number, folder="runs/tune"):
    return Path(folder, f"trial-{number}", "weights.safetensors").read_bytes()


def test_the_usual_parameters_are_the_defaults_of_train_mnist():
    params = minivit.Params({"w": np.zeros((2, 2), np.float32)})
    for data in train_mnist.RECIPES:
        ours = train_mnist.arguments(recipe(usual(28, 28), data))
        defaults = train_mnist.arguments(["--data", data])
        assert vars(ours) | {"lr": None} == vars(defaults)
        for name, rate in RATES.items():
            usual_one = train_mnist.arguments(["--data", data, "--optimizer", name])
            assert optimizer_of(usual_one, params).lr == rate
    assert usual(28, 28).keys() == space(28, 28).keys()


def test_every_combination_of_sizes_is_a_model():
    for size in [(28, 28), (32, 32), (24, 30)]:
        kinds = space(*size)
        for dim, heads, patch in itertools.product(
            range(kinds["dim"].low, kinds["dim"].high + 1, kinds["dim"].step),
            kinds["heads"].choices,
            kinds["patch_size"].choices,
        ):
            params = usual(*size) | dict(dim=dim, heads=heads, patch_size=patch)
            options = train_mnist.arguments(recipe(params, "mnist"))
            assert model_of(options, size, 1, 10).config["mlp_dim"] == 2 * dim
    assert patch_sizes(28, 28) == [4, 7, 14]
    with pytest.raises(ValueError, match="no square patch cuts 29 x 31 pixels"):
        space(29, 31)


@pytest.mark.parametrize(
    "data, strength, expected",
    [
        ("mnist", 0.0, []),
        ("mnist", 1.5, ["shift=3", "rotation=15", "scale=0.15"]),
        ("fashion-mnist", 2.0, ["shift=2", "flip"]),
        ("digits", 0.25, ["shift=0", "rotation=2.5", "scale=0.025"]),
    ],
)
def test_augmentation_has_a_strength(data, strength, expected):
    assert changes(strength, data) == expected


@pytest.mark.usefixtures("undrawn")
def test_finds_a_recipe_and_its_command_trains_the_same_again(capsys):
    assert tune.main([*FEW, "--trials", "3", "--seed", "5"]) == 0
    printed = capsys.readouterr().out
    assert states() == ["COMPLETE"] * 3
    lines = printed.splitlines()
    assert lines[0] == f"3 trials of 2 epochs each, in {STUDY}; their runs are in runs/tune/."
    assert [line.split()[0] for line in lines[2:5]] == ["0", "1", "2"]
    best = min(trials(), key=lambda trial: trial.value).number
    tested = [line for line in lines if line.startswith("  trial ")]
    results = [Path(f"runs/tune/trial-{n}/result.json").is_file() for n in range(3)]
    assert results == [number in (0, best) for number in range(3)]
    assert len(tested) == sum(results)
    result = json.loads(Path(f"runs/tune/trial-{best}/result.json").read_text())
    expected = f"  trial {best}, the best"
    (said,) = [line for line in tested if line.startswith(expected)]
    assert f"accuracy {result['test_accuracy']:.2%}" in said
    for name in PLOTS:
        assert cv2.imread(f"runs/tune/{name}").std() > 5
    assert train_mnist.main(proposed(lines[-1], "train_mnist")) == 0
    assert Path("runs/mnist/weights.safetensors").read_bytes() == weights(best)
    # started again, it knows its settings, trains nothing, and tests nothing twice
    before = weights(0)
    Path("runs/tune/trial-0/result.json").write_text(
        json.dumps({"test_accuracy": 0.125, "test_loss": 1, "train_seconds": 1})
    )
    capsys.readouterr()
    assert tune.main([]) == 0
    assert "accuracy 12.50%, loss 1.0000" in capsys.readouterr().out
    assert weights(0) == before and len(trials()) == 3


@pytest.mark.usefixtures("briefly")
def test_seconds_decide_how_many_epochs_a_trial_has(monkeypatch, capsys):
    few = ["--data", "digits", "--batch-size", "40", "--shards", "1"]
    monkeypatch.setattr(tune, "affordable", lambda _, task: int(2 * task.settings["seconds"]))
    assert tune.main([*few, "--seconds", "1.5", "--trials", "1"]) == 0
    assert trials()[0].user_attrs["epochs"] == 3
    monkeypatch.setattr(tune, "affordable", lambda *_: 0)
    assert tune.main(["--trials", "3"]) == 0
    assert [trial.user_attrs.get("ended") for trial in trials()] == [None, "too slow", "too slow"]
    assert states() == ["COMPLETE", "PRUNED", "PRUNED"]
    assert tune.main([*few, "--study", "short.journal", "--seconds", "1"]) == 2
    assert "in 1 s the usual recipe does not see all images once" in last_error(capsys)


def test_how_many_epochs_fit_is_measured_on_real_steps(monkeypatch):
    options = train_mnist.arguments(asked(usual(28, 28), SETTINGS, 1))
    data, rng = train_mnist.load(options)

    def timed(progress, train, validation, *, epochs, batch_size, after_step, **_):
        assert (len(train.labels), len(validation.labels)) == (220, 20)
        for step in range(epochs * 6):  # half a second each, after a slow start
            after_step(SimpleNamespace(seconds=9 + 0.5 * step))

    monkeypatch.setattr(tune, "fit", timed)
    count = tune.affordable(
        options, tune.Task({"seconds": 12.0}, data, lambda _: (data, rng), 1, "cpu")
    )
    assert count == 4  # six steps are three seconds


def trial_after(losses, **attrs):
    """A trial beside five that ended well, and the Progress with its validation losses."""
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(studies.STARTUP, studies.WARMUP))
    for _ in range(5):
        other = study.ask()
        for tenth in range(1, 11):
            other.report(1.0, tenth)
        study.tell(other, 1.0)
    trial = study.ask()
    for name, value in attrs.items():
        trial.set_user_attr(name, value)
    rows = [{"validation_loss": loss, "validation_accuracy": 0.5} for loss in losses]
    return trial, SimpleNamespace(validation_losses=losses, rows=rows, seconds=1.0)


def test_a_trial_worse_than_most_is_pruned_at_the_same_tenth():
    trial, progress = trial_after([2.0])
    tune.follow(trial, progress, 20)  # too early to say
    assert trial.study.trials[5].intermediate_values == {}
    progress.validation_losses.append(2.0)
    progress.rows *= 2
    tune.follow(trial, progress, 8)
    assert trial.study.trials[5].intermediate_values == {1: 2.0, 2: 2.0}
    with pytest.raises(optuna.TrialPruned):
        tune.follow(trial, progress, 3)
    assert trial.study.trials[5].intermediate_values.keys() == {1, 2, 3, 4, 5, 6}
    tune.follow(trial, progress, 2)  # all its work is done


def test_better_trials_and_the_usual_one_are_not_pruned():
    tune.follow(*trial_after([0.9]), 2)
    tune.follow(*trial_after([2.0], usual=True), 2)


@pytest.mark.usefixtures("briefly")
def test_a_trial_that_diverges_is_no_end_of_the_search(monkeypatch, capsys):
    real = tune.training.train_and_test

    def diverging(demo, options, run, *arguments, **more):
        if run.folder.name == "trial-1":
            raise FloatingPointError("at step 3 the loss is nan")
        real(demo, options, run, *arguments, **more)

    monkeypatch.setattr(tune.training, "train_and_test", diverging)
    assert tune.main([*FEW, "--trials", "3"]) == 0
    assert states() == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert "not finite" in capsys.readouterr().out.splitlines()[3]


@pytest.mark.usefixtures("briefly")
def test_a_search_that_was_stopped_ends_as_if_it_was_not(monkeypatch, capsys):
    assert tune.main([*FEW, "--trials", "3", "--study", "whole.journal"]) == 0
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 15)  # in the second trial
        assert tune.main([*FEW, "--trials", "3"]) == 130
    message, _, again = last_error(capsys).partition(" To go on: ")
    assert message == "tune: stopped, and nothing is lost."
    assert states() == ["COMPLETE", "RUNNING"]
    assert trials()[1].user_attrs["starts"] == 0
    assert tune.main(proposed(f": {again}", "tune")) == 0
    assert states() == ["COMPLETE"] * 3
    for number in range(3):
        assert weights(number) == weights(number, "whole")
        ours, theirs = trials()[number], trials("whole.journal")[number]
        assert (ours.value, ours.params) == (theirs.value, theirs.params)
        assert ours.intermediate_values == theirs.intermediate_values


def test_a_trial_that_another_process_works_on_is_left_alone():
    search, kinds = studies.open_study(STUDY), space(28, 28)
    settings = SETTINGS | {"trials": 3}
    with studies.taken(search, settings, kinds, usual(28, 28)) as first:
        other = studies.open_study(STUDY)
        with studies.taken(other, settings, kinds, usual(28, 28)) as second:
            assert (first.number, second.number) == (0, 1)
            assert first.params == usual(28, 28) != second.params
    # both processes are gone, and have told nothing
    for number in (0, 1):
        with studies.taken(search, settings, kinds, usual(28, 28)) as again:
            assert again.number == number and again.params == trials()[number].params
            search.study.tell(again, 1.0)
    with studies.taken(search, settings, kinds, usual(28, 28)) as third:
        search.study.tell(third, 1.0)
    with studies.taken(search, settings, kinds, usual(28, 28)) as none:
        assert none is None


def test_a_trial_that_kills_its_processes_is_given_up_and_replaced():
    search, kinds = studies.open_study(STUDY), space(28, 28)
    settings = SETTINGS | {"trials": 1}
    for number in (0, 0, 0, 1):
        with studies.taken(search, settings, kinds, usual(28, 28)) as trial:
            assert trial.number == number
            trial.set_user_attr("starts", trial.user_attrs.get("starts", 0) + 1)
    assert states() == ["FAIL", "RUNNING"]
    assert trials()[1].params == usual(28, 28)  # still the first of all


def test_no_parameters_are_tried_twice(monkeypatch):
    class Stubborn(optuna.samplers.RandomSampler):
        def __init__(self, seed=0):
            super().__init__(seed // 3)  # three trials alike

    monkeypatch.setattr(optuna.samplers, "TPESampler", Stubborn)
    search, kinds = studies.open_study(STUDY), space(28, 28)
    for _ in range(4):
        with studies.taken(search, SETTINGS | {"trials": 4}, kinds, usual(28, 28)) as trial:
            search.study.tell(trial, 1.0)
    assert states().count("COMPLETE") == 4 and "FAIL" in states()
    done = [recipe(trial.params, "digits") for trial in trials() if trial.state.name != "FAIL"]
    assert all(one != other for one, other in itertools.combinations(done, 2))


@pytest.mark.usefixtures("briefly")
@pytest.mark.parametrize(
    "options, message",
    [
        (["--epochs", "3"], "searches with epochs 2, and not 3; leave that as it was, or give"),
        (["--seconds", "3"], "searches with seconds None, and not 3.0"),
        (["--batch-size", "20"], "searches with batch_size 40, and not 20"),
        (["--seed", "1"], "searches with seed 0, and not 1"),
        (["--data", "mnist"], "and not mnist"),
    ],
)
def test_a_study_keeps_its_settings(options, message, capsys, monkeypatch):
    monkeypatch.setattr(tune, "go_through", lambda *_: None)
    assert tune.main(FEW) == 0
    assert tune.main([]) == tune.main(FEW) == tune.main(["--trials", "50"]) == 0
    assert studies.open_study(STUDY).study.user_attrs["settings"]["trials"] == 50
    assert tune.main(options) == 2
    error = last_error(capsys)
    assert error.startswith(f"tune: {STUDY} searches with ") and message in error


@pytest.mark.usefixtures("briefly")
def test_a_study_of_another_search_space_is_refused(capsys, monkeypatch):
    monkeypatch.setattr(tune, "go_through", lambda *_: None)
    assert tune.main(FEW) == 0
    deeper = optuna.distributions.IntDistribution(2, 9)
    monkeypatch.setattr(tune, "space", lambda *size: space(*size) | {"depth": deeper})
    assert tune.main([]) == 2
    assert f"{STUDY} searches with space of depth IntDistribution(high=8" in last_error(capsys)


def test_a_torn_last_line_is_cut_off():
    search = studies.open_study(STUDY)
    search.study.enqueue_trial(usual(28, 28))
    whole = Path(STUDY).read_bytes()
    Path(STUDY).write_bytes(whole + whole[:20])
    assert states() == ["WAITING"]
    assert Path(STUDY).read_bytes().startswith(whole)
    assert all(map(json.loads, Path(STUDY).read_bytes().splitlines()))


@pytest.mark.parametrize(
    "content", [b"no line", b"one\n", b'{"op_code": 0}\n', b"[1]\n", b"5\n", b"\xff\xfe\n\n"]
)
def test_what_is_no_journal_is_refused_and_not_touched(content, capsys):
    Path("a.journal").write_bytes(content)
    assert tune.main(["--study", "a.journal"]) == 2
    assert "tune: a.journal is damaged, or no journal of Optuna (" in last_error(capsys)
    assert Path("a.journal").read_bytes() == content


@pytest.mark.usefixtures("briefly")
def test_a_database_serves_as_well(capsys):
    place = "sqlite:///tune.db"
    assert tune.main([*FEW, "--trials", "2", "--study", place]) == 0
    assert states(place) == ["COMPLETE"] * 2
    assert Path("runs/tune/trial-1/weights.safetensors").is_file()
    assert tune.main(["--study", "sqlite:///nowhere/x.db"]) == 2
    assert "tune: the database of --study cannot be opened: " in last_error(capsys)
    assert tune.main(["--study", "sqlite://"]) == 2
    assert "sqlite:// names no database" in last_error(capsys)


def test_in_a_database_a_trial_nobody_signs_for_is_begun_anew(monkeypatch):
    monkeypatch.setattr(studies, "SIGNS", 0.1)
    monkeypatch.setattr(studies, "GRACE", 1)
    search, kinds = studies.open_study("sqlite:///tune.db"), space(28, 28)
    settings = SETTINGS | {"trials": 2}
    with studies.taken(search, settings, kinds, usual(28, 28)) as first:
        time.sleep(2.5)  # it is signed for all that time
        with studies.taken(search, settings, kinds, usual(28, 28)) as second:
            assert (first.number, second.number) == (0, 1)
            search.study.tell(second, 1.0)
    time.sleep(2.5)  # its process is gone
    with studies.taken(search, settings, kinds, usual(28, 28)) as again:
        assert again.number == 2 and again.params == usual(28, 28)
    assert states("sqlite:///tune.db") == ["FAIL", "COMPLETE", "RUNNING"]


def test_a_study_that_is_damaged_or_gone_in_mid_search_is_named():
    damaged = "a.journal is damaged, or no journal of Optuna"
    with pytest.raises(ValueError, match=damaged), studies.readable("a.journal"):
        json.loads("no line")
    gone = "mysql://host/tune no longer answers: gone"
    with pytest.raises(OSError, match=gone), studies.readable("mysql://host/tune"):
        raise optuna.exceptions.StorageInternalError("gone")


@pytest.mark.usefixtures("briefly")
def test_a_trial_that_was_given_to_another_process_is_left_to_it(monkeypatch, capsys):
    real = tune.training.train_and_test

    def late(demo, options, run, *arguments, **more):
        if run.folder.name == "trial-0":
            study = studies.open_study(STUDY).study
            study.tell(0, state=optuna.trial.TrialState.FAIL)
            raise optuna.exceptions.UpdateFinishedTrialError
        real(demo, options, run, *arguments, **more)

    monkeypatch.setattr(tune.training, "train_and_test", late)
    assert tune.main([*FEW, "--trials", "1"]) == 0
    assert states() == ["FAIL", "COMPLETE"]
    assert "given up" in capsys.readouterr().out


def test_the_runs_of_a_database_lie_in_a_folder_of_its_name():
    for url in ("sqlite:///runs/tune.db?timeout=9", "mysql://a:b@host/tune?charset=utf8"):
        assert studies.folder_of(url) == Path("runs/tune")


def test_without_optuna_it_says_so_before_it_makes_anything(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert tune.main(FEW) == 2
    error = last_error(capsys)
    assert error.startswith("tune: a search needs Optuna") and "minivit[tune]" in error
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--trials", "0"], "--trials must be greater than 0, got 0"),
        (["--seconds", "nan"], "--seconds must be greater than 0, got nan"),
        (["--seconds", "5", "--epochs", "2"], "not allowed with argument"),
        (["--seed", "-1"], "must not be negative"),
        (["--study", "runs/tune"], "expected a file's name with an ending"),
    ],
)
def test_refuses_options_that_cannot_work(options, message, capsys):
    with pytest.raises(SystemExit):
        tune.arguments(options)
    assert message in capsys.readouterr().err


def search_process(*options):
    """A search of its own, in the working directory."""
    command = [sys.executable, "-m", "demos.tune", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return subprocess.Popen(command, env=environment, **pipes)


def works_on(process):
    """The trials that a living process has claimed, by the locks that the system says it holds."""
    files = [os.path.realpath(path) for path in Path(f"/proc/{process.pid}/fd").iterdir()]
    return [Path(file).name for file in files if Path(file).name.startswith(".trial-")]


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux shows what is open")
def test_two_processes_share_twenty_trials_and_a_kill_loses_none():
    few = ["--data", "digits", "--epochs", "10", "--batch-size", "40", "--shards", "1"]
    first = search_process(*few, "--trials", "20")
    while not (Path(STUDY).exists() and len(trials()) > 1):
        assert first.poll() is None
        time.sleep(0.05)
    second = search_process()  # it knows the rest
    killed = []
    while not killed:  # in the middle of a trial, with a checkpoint behind it
        assert first.poll() is None and second.poll() is None
        for claim in works_on(second):
            number = int(claim.split("-")[1].split(".")[0])
            if len(list(Path(f"runs/tune/trial-{number}/checkpoints").glob("step-*"))) > 1:
                second.send_signal(signal.SIGKILL)
                killed.append(number)
        time.sleep(0.02)
    second.communicate()
    printed, errors = first.communicate(timeout=1200)
    assert first.returncode == 0, errors.decode()
    done = trials()
    assert len(done) == 20 and {trial.state.name for trial in done} <= {"COMPLETE", "PRUNED"}
    recipes = {tuple(recipe(trial.params, "digits")) for trial in done}
    assert len(recipes) == 20
    assert sorted(path.name for path in Path("runs/tune").glob("trial-*")) == sorted(
        f"trial-{number}" for number in range(20)
    )
    assert done[killed[0]].user_attrs["starts"] == 2  # and it went on from its checkpoint
    assert [trial.user_attrs["starts"] for trial in done].count(1) == 19
    for trial in done:
        rows = Path(f"runs/tune/trial-{trial.number}/metrics.csv").read_text().splitlines()
        assert len(rows) - 1 == 6 * trial.user_attrs["epochs"]
    assert b"the usual recipe" in printed
