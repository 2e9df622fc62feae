"""A study that many processes share: where it lies, and who works on which of its trials.

    runs/tune.journal       Optuna's journal of all trials; or a database, by its URL
    runs/tune/              beside it, the trials' runs, which all of those processes see
    runs/tune/trial-0/      a run like any other
    runs/tune/.trial-0.lock held by the process that works on it

The operating system frees a lock when its process ends, however it ends. So in a study in a file, a
trial that is under way and whose lock is free has lost its process, and whoever finds it goes on
with it. Machines that share a database need not share a folder: there a process signs for its
trial every so often, and Optuna gives one that is no longer signed for to another, from its start.
"""

import contextlib
import json
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from minivit.files import one_line

from .space import recipe

NAME = "minivit"  # of the study, in its file or database
STARTS = 3  # of one trial; its process was killed each time
SIGNS, GRACE = 20, 120  # seconds between two signs of life, and without one, in a database
STARTUP, WARMUP = 5, 3  # trials that end before any is pruned; tenths in which none is


class Study(NamedTuple):
    """study: Optuna's; lock: of the process that takes a trial; folder: of the trials' runs."""

    study: Any
    storage: Any
    lock: filelock.BaseFileLock
    folder: Path
    place: str  # as a person may read it, without a password


def optuna():
    """Optuna, which says nothing by itself. Errors: ImportError with the remedy."""
    try:
        import optuna
        import optuna.visualization.matplotlib
    except ImportError as error:
        raise ImportError(
            f"a search needs Optuna, which cannot be imported ({error}): pip install "
            "'minivit[tune]', or pip install optuna"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_study(place):
    """The Study in a file, or in the database of a URL; it is made if there is none.

    Errors: OSError if it cannot be opened or locked, ValueError if it is damaged.
    """
    shared = "://" in place
    folder = folder_of(place)
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".study.lock")
    with lock, quiet():
        if shared:
            storage, place = of_database(place)
        else:
            storage = of_journal(Path(place), lock)
        module = optuna()
        # With so few trials the median is enough; Hyperband would share them among its brackets.
        pruner = module.pruners.MedianPruner(STARTUP, WARMUP)
        study = module.create_study(
            storage=storage, study_name=NAME, pruner=pruner, load_if_exists=True
        )
    return Study(study, storage, lock, folder, place)


def folder_of(place):
    """The folder of the trials' runs: the file's name, or the database's, without its ending."""
    if "://" not in place:
        return Path(place).with_suffix("")
    name = Path(place.partition("://")[2].partition("?")[0]).stem
    if not name:
        raise ValueError(f"{place} names no database; expected one such as sqlite:///tune.db")
    return Path("runs", name)


def of_journal(path, lock):
    """Optuna's storage in a file. A last line that is torn, as by a power cut, is cut off."""
    storages = optuna().storages
    with undamaged(path):
        if path.exists():
            *lines, torn = path.read_bytes().split(b"\n")
            for number, line in enumerate(lines, 1):
                if "op_code" not in json.loads(line):
                    raise ValueError(f"line {number} is none of Optuna's")
            if torn and not lines:
                raise ValueError("it has no whole line")
            os.truncate(path, path.stat().st_size - len(torn))
        return storages.JournalStorage(
            storages.journal.JournalFileBackend(str(path), lock_obj=lock)
        )


@contextlib.contextmanager
def undamaged(place):
    """Let an error in reading a study inside the `with` name it, and say what to do."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise ValueError(
            f"{place} is damaged, or no journal of Optuna ({one_line(error, 80)}). Put back a good "
            "copy, or give another --study"
        ) from error


@contextlib.contextmanager
def readable(place):
    """The same inside the `with` for a study that is open already."""
    try:
        yield
    except json.JSONDecodeError as error:
        with undamaged(place):
            raise error
    except optuna().exceptions.StorageInternalError as error:
        raise OSError(f"{place} no longer answers: {one_line(error)}") from error


def of_database(url):
    """Optuna's storage in a database, and its URL without a password."""
    storages = optuna().storages
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    again = storages.RetryHeartbeatStaleTrialCallback(max_retry=STARTS - 1)
    signs = dict(heartbeat_interval=SIGNS, grace_period=GRACE)
    try:
        place = make_url(url).render_as_string(hide_password=True)
        storage = storages.RDBStorage(url, heartbeat_stale_trial_callback=again, **signs)
    except SQLAlchemyError as error:
        raise OSError(f"the database of --study cannot be opened: {one_line(error)}") from error
    return storage, place


@contextlib.contextmanager
def taken(search, settings, space, usual):
    """Yield a trial to work on, which is nobody else's inside the `with`; None if all are taken.

    One whose process is gone comes first; then a new one, while there are fewer than
    settings["trials"]. The first of all has the `usual` parameters, and none has those of another.
    """
    with contextlib.ExitStack() as held:
        with search.lock, quiet():
            if signs := hasattr(search.storage, "record_heartbeat"):
                optuna().storages.fail_stale_trials(search.study)
            trial = None if signs else orphan(search, space, held)
            trial = trial or fresh(search, settings, space, usual, held)
            if trial and signs:
                held.enter_context(signing(search.storage, trial))
        yield trial


def claim(search, number):
    """The lock of who works on a trial, which does not wait."""
    return filelock.FileLock(search.folder / f".trial-{number}.lock", blocking=False)


def orphan(search, space, held):
    """A trial that has lost its process, now claimed, or None."""
    module = optuna()
    state = module.trial.TrialState
    for trial in search.study.get_trials(states=(state.RUNNING,)):
        try:
            held.enter_context(claim(search, trial.number))
        except filelock.Timeout:
            continue
        if trial.params.keys() == space.keys() and trial.user_attrs.get("starts", 0) < STARTS:
            # Optuna has no public way to go on with a trial under its number.
            return module.Trial(search.study, trial._trial_id)
        search.study.tell(trial.number, state=state.FAIL)
        print(f"tune: trial {trial.number} is given up, as its process was killed", file=sys.stderr)
    return None


def fresh(search, settings, space, usual, held):
    """A trial that nobody has begun, now claimed, or None if there are enough."""
    module, study = optuna(), search.study
    state = module.trial.TrialState
    while True:
        trials = study.get_trials(deepcopy=False)
        good = [trial for trial in trials if trial.state != state.FAIL]
        if sum(trial.state != state.WAITING for trial in good) >= settings["trials"]:
            return None
        if not any(trial.user_attrs.get("usual") for trial in good):
            study.enqueue_trial(usual, user_attrs={"usual": True})
        # One seed, one search, if one process makes it; and no two processes draw the same.
        study.sampler = module.samplers.TPESampler(seed=(settings["seed"] + len(trials)) % 2**32)
        trial = study.ask(space)
        held.enter_context(claim(search, trial.number))
        others = [
            recipe(other.params, settings["data"])
            for other in good
            if other.number != trial.number and other.params.keys() == space.keys()
        ]
        if recipe(trial.params, settings["data"]) not in others:
            return trial
        study.tell(trial, state=state.FAIL)


@contextlib.contextmanager
def signing(storage, trial):
    """Sign for a trial in its database, now and then, inside the `with`."""
    done = threading.Event()

    def sign():
        while not done.wait(SIGNS):
            storage.record_heartbeat(trial._trial_id)

    storage.record_heartbeat(trial._trial_id)
    thread = threading.Thread(target=sign, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def quiet():
    """Inside the `with`, Optuna does not warn of what is experimental in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
