"""Search for a better recipe to train with on MNIST or its kin: many short trainings, by Optuna.

Each trial is a real run and has the same seconds to train in, or the same epochs; the first is
that of train_mnist's defaults. Trials are judged by their validation images alone; the best and
the first are then tested. Started again with the same --study, even on other machines at the same
time, it helps, or goes on where it was stopped.
"""

import argparse
import contextlib
import copy
import io
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from minivit.backend import usable_device
from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.threads import cores
from minivit.training import Run, fit
from minivit.training.fit import SLOW_STEPS

from .. import train_mnist, training
from ..options import add_device, command, parser_of, propose, seed, status
from ..streams import unread
from .report import HEADER, line, report
from .space import asked, space, usual
from .study import open_study, optuna, readable, taken

USUAL = dict(trials=40, data="mnist", seconds=60.0, epochs=None, batch_size=250, seed=0)
TIMED = 20  # steps whose time says how many epochs a trial can afford
POLL = 1.0  # seconds between two looks at what the other processes do


class Task(NamedTuple):
    """What all trials of a study share: its settings, its Data, and the `load` of a run.

    shards, device: of this process alone
    """

    settings: dict
    data: training.Data
    load: Callable
    shards: int
    device: str

    @property
    def sizes(self):
        """Height and width of an image."""
        return self.data.train.images.shape[1:3]


def arguments(argv=None):
    parser = parser_of("tune", __doc__)
    add = parser.add_argument
    place_help = "where the study lies: a file, or the URL of a database such as sqlite:///tune.db"
    add("--study", type=place, default="runs/tune.journal", help=place_help)
    trials_help = "of all processes together; 40, or as many as the study has been told"
    add("--trials", type=int, help=trials_help)
    settings = parser.add_argument_group(
        "settings of a study", "chosen as it begins, and only then; later it knows them"
    )
    add = settings.add_argument
    add("--data", help='"mnist", which is the default, "fashion-mnist" or a folder of idx files')
    length = settings.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, help="of a trial's training; 60 without one")
    length.add_argument("--epochs", type=int, help="of each trial, whatever time they take")
    add("--batch-size", type=int, help="images in a step; 250 without one")
    add("--seed", type=seed, help="of all random numbers; 0 without one")
    add = parser.add_argument
    shards_help = "parts of a step, which as many cores as there are share; on a GPU, one"
    add("--shards", type=int, default=cores(), help=shards_help)
    add_device(parser)
    options = parser.parse_args(argv)
    for name in ("trials", "seconds", "epochs", "batch_size", "shards"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            parser.error(f"--{name.replace('_', '-')} must be greater than 0, got {value}")
    return options


def place(text):
    """An option's study: the URL of a database, or a file whose name has an ending."""
    if "://" not in text and not Path(text).suffix:
        raise argparse.ArgumentTypeError(
            f"expected a file's name with an ending, such as runs/tune.journal, got {text!r}; the "
            "runs lie beside it in a folder of that name without one"
        )
    return text


def main(argv=None):
    return status("tune", lambda: tune(arguments(argv)))


def tune(options):
    optuna()  # refuses before anything is made
    with unread():
        device = usable_device(options.device)
        search = open_study(options.study)
        try:
            with readable(search.place):
                task = agreed(search, options, device)
                go_through(search, task)
                best = report(search, task)
        except KeyboardInterrupt:
            where = ["--shards", options.shards] if options.shards != cores() else []
            where += ["--device", device] if device != "cpu" else []
            again = command("tune", "--study", search.place, *where)
            raise KeyboardInterrupt(f"stopped, and nothing is lost. To go on: {again}") from None
    propose("train the best one by itself", "train_mnist", *best)


def agreed(search, options, device):
    """The Task of a study. Who comes first chooses its settings.

    Errors: ValueError if this process was given others, or other data or parameters.
    """
    given = {name: getattr(options, name) for name in USUAL if getattr(options, name) is not None}
    if {"seconds", "epochs"} & given.keys():
        given = dict(seconds=None, epochs=None) | given
    with search.lock:
        known = search.study.user_attrs.get("settings", {})
        settings = USUAL | known | given
        first = train_mnist.arguments(["--data", settings["data"], "--seed", str(settings["seed"])])
        data, rng = train_mnist.load(first)
        task = Task(settings, data, lambda _: (data, copy.deepcopy(rng)), options.shards, device)
        settings |= {"data": first.data, "images": training.sum_of(data.train, data.validation)}
        settings |= {f"space of {name}": str(kind) for name, kind in space(*task.sizes).items()}
        for name in settings | known if known else ():
            then, now = (kept.get(name, "nothing") for kept in (known, settings))
            if then != now and name != "trials":
                raise ValueError(
                    f"{search.place} searches with {name} {then}, and not {now}; leave that as it "
                    "was, or give another --study"
                )
        search.study.set_user_attr("settings", settings)
    return task


def go_through(search, task):
    """Take a trial, train it, and so on, until all are done, by whichever process."""
    print(
        f"{task.settings['trials']} trials of {length(task.settings)} each, in {search.place}; "
        f"their runs are in {search.folder}/.\n{HEADER}",
        flush=True,
    )
    waits = False
    while True:
        with taken(search, task.settings, space(*task.sizes), usual(*task.sizes)) as trial:
            if trial:
                work(trial, search, task)
                print(line(search.study.trials[trial.number]), flush=True)
                continue
        others = sum(trial.state.name == "RUNNING" for trial in search.study.trials)
        if not others:
            return
        if not waits:
            print(f"No more to begin; {others} still at work elsewhere.", flush=True)
        waits = True
        time.sleep(POLL)


def length(settings):
    """How long a trial is, in words."""
    if settings["epochs"]:
        return f"{settings['epochs']} epochs"
    return f"{settings['seconds']:g} s"


def work(trial, search, task):
    """Train a trial, from the start or from where its process was killed, and tell how it went."""
    module, starts = optuna(), trial.user_attrs.get("starts", 0)
    trial.set_user_attr("starts", starts + 1)
    try:
        with (
            run_of(trial, search, task) as (run, at, options),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            training.train_and_test(
                "train_mnist", options, run, at, task.data, task.device, finish=lambda *_: None,
                after_epoch=lambda *_: follow(trial, at, options.epochs),
            )  # fmt: skip
        trial.study.tell(trial, min(at.validation_losses))
    except (module.TrialPruned, FloatingPointError) as why:
        ended = str(why) if isinstance(why, module.TrialPruned) else "not finite"
        trial.set_user_attr("ended", ended)
        trial.study.tell(trial, state=module.trial.TrialState.PRUNED)
    except module.exceptions.UpdateFinishedTrialError:
        pass  # this machine was away for so long that another began the trial anew
    except KeyboardInterrupt:
        trial.set_user_attr("starts", starts)  # nobody killed it
        raise


@contextlib.contextmanager
def run_of(trial, search, task):
    """Yield the run of a trial, its Progress and its options: a new one, or one to go on with."""
    folder, settings = search.folder / f"trial-{trial.number}", task.settings
    options = train_mnist.arguments(asked(trial.params, settings, task.shards))
    del options.device, options.mpi  # no settings of a run
    if folder.exists():
        with Run.open(folder) as run:
            options = training.started_options(run, options)
            _, progress, started = training.set_up(options, task.load, task.device)
            for reason in run.resume(progress, started):
                print(f"tune: not used: {reason}", file=sys.stderr)
            yield run, progress, options
        return
    options.epochs = settings["epochs"] or affordable(options, task)
    if options.epochs == 0:
        if trial.user_attrs.get("usual"):
            raise ValueError(
                f"in {settings['seconds']:g} s the usual recipe does not see all images once; "
                "begin another --study, with more --seconds"
            )
        raise optuna().TrialPruned("too slow")
    trial.set_user_attr("shards", task.shards)
    _, progress, started = training.set_up(options, task.load, task.device)
    with Run.start(folder.name, started, progress, root=folder.parent) as run:
        yield run, progress, options


def affordable(options, task):
    """How many epochs fit into a trial's seconds, by the time of the first steps of one.

    They are an epoch in small, of a twin that learns nothing: validated on as large a share.
    """
    data, device = task.data, task.device
    count, batch = len(data.train.labels), options.batch_size
    few = min(count, (SLOW_STEPS + TIMED) * batch)
    share = math.ceil(len(data.validation.labels) * few / count)
    train, validation = (
        Split(split.images[:number], split.labels[:number])
        for split, number in [(data.train, few), (data.validation, share)]
    )
    twin = training.new_model(options, data, task.load(options)[1], device)
    twin.optimizer.lr = 0.0
    seconds = []
    epochs = math.ceil((SLOW_STEPS + TIMED) / math.ceil(few / batch))
    with contextlib.redirect_stdout(io.StringIO()):
        fit(
            twin, train, validation, epochs=epochs, batch_size=batch, seed=options.seed,
            augment=Augmentation.of(options.augment), keep_tokens=options.keep_tokens,
            shards=options.shards if device == "cpu" else 1,
            after_step=lambda at: seconds.append(at.seconds),
        )  # fmt: skip
    step = (seconds[-1] - seconds[SLOW_STEPS - 1]) / (len(seconds) - SLOW_STEPS)
    return int(task.settings["seconds"] / (step * math.ceil(count / batch)))


def follow(trial, progress, epochs):
    """Tell the study of an epoch, and end the trial if it is worse than most.

    Trials have different numbers of epochs, so they are compared at tenths of their length, at
    which their learning rates have come equally far down.
    """
    losses, rows = progress.validation_losses, progress.rows
    accuracies = [row["validation_accuracy"] for row in rows if row["validation_loss"] is not None]
    trial.set_user_attr("accuracy", accuracies[losses.index(min(losses))])
    trial.set_user_attr("epochs", len(losses))
    trial.set_user_attr("seconds", progress.seconds)
    done = 10 * len(losses) // epochs
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    for tenth in range(1, done + 1):
        if tenth not in known:  # nor is what was told before its process was killed
            trial.report(losses[-1], tenth)
    if done < 10 and not trial.user_attrs.get("usual") and trial.should_prune():
        raise optuna().TrialPruned("pruned")


if __name__ == "__main__":
    sys.exit(main())
