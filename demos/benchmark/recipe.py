"""Recipes of `demos.train_mnist`, start to finish: two, and the default one in PyTorch eager.

Each trains in a process of its own. They take turns, epoch by epoch, so that other work on the
machine slows all of them down.
"""

import contextlib
import io
import statistics

from minivit.threads import threads
from minivit.training import fit

from ..train_mnist import arguments, load
from ..training import set_up, settings_of
from .report import print_row, print_title
from .workers import Worker


def start(options):
    """What all begin with: the data, the Progress of a new model, and the settings."""
    data, progress, _ = set_up(options, load, "cpu")
    return data, progress, settings_of(options)


def train_minivit(turn, options):
    """Answer each turn with the validation accuracy after an epoch, the last with the test's."""
    data, progress, settings = start(options)

    def after_step(progress):
        if progress.at_epoch_end:
            turn(progress.rows[-1]["validation_accuracy"])

    turn()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        fit(
            progress, data.train, data.validation,
            **settings, shards=options.shards, after_step=after_step,
        )  # fmt: skip
    with threads(options.shards) as mapper:
        return progress.best_classifier().evaluate(data.test, mapper)[1]


def train_torch(turn, options):
    """The same in PyTorch."""
    import torch

    from . import torch_recipe, torch_vit

    torch.set_num_threads(options.shards)
    data, progress, settings = start(options)
    ours, splits = progress.classifier, (data.train, data.validation)
    rival = torch_vit.twin(ours.model.config, ours.params)
    del settings["keep_tokens"]  # all of them, in each recipe
    muon = progress.optimizer
    settings |= dict(peak=muon.lr, rest_peak=muon.rest.lr, momentum=muon.momentum)
    turn()
    for _, accuracy in torch_recipe.train(rival, *splits, ours.normalize, **settings):
        turn(accuracy)
    return torch_recipe.evaluate(rival, data.test, ours.normalize)[1]


SIDES = {  # what trains, and the options of train_mnist
    "quick": (train_minivit, ["--recipe", "quick"]),
    "minivit": (train_minivit, []),
    "PyTorch": (train_torch, []),
}


def compare_recipes():
    """Train all of SIDES; print each epoch, the sums and what they say."""
    settings = {name: arguments(argv) for name, (_, argv) in SIDES.items()}
    with contextlib.ExitStack() as stack:
        workers = {name: Worker(side, settings[name]) for name, (side, _) in SIDES.items()}
        for worker in workers.values():
            stack.callback(worker.end)
        epochs = {name: options.epochs for name, options in settings.items()}
        turns = take_turns(workers, epochs)
    for title, of in [("median epoch", statistics.median), ("in all", sum)]:
        print_row(title, *(cell for spent in turns.values() for cell in (f"{of(spent):.2f}", "")))
    ours, theirs = (sum(turns[name]) for name in ("minivit", "PyTorch"))
    print(f"minivit is {theirs / ours:.2f} × as fast as the same in PyTorch")
    print(
        f"quick takes {sum(turns['quick']) / theirs:.1%} of PyTorch's time for the default recipe"
    )


def take_turns(workers, epochs):
    """Print each epoch and the test; return the seconds of the epochs: {name: […]}."""
    print_title("", *(title for name in workers for title in (f"{name}, s", "accuracy")))
    turns = {name: [] for name in workers}
    for number in range(1, max(epochs.values()) + 1):
        answers = {name: worker.ask() for name, worker in workers.items() if number <= epochs[name]}
        for name, (_, seconds) in answers.items():
            turns[name].append(seconds)
        print_answers(f"epoch {number}", workers, answers)
    print_answers("test", workers, {name: worker.ask() for name, worker in workers.items()})
    return turns


def print_answers(title, names, answers):
    cells = []
    for name in names:
        share, seconds = answers.get(name, (None, None))
        cells += ["", ""] if share is None else [f"{seconds:.2f}", f"{share:.2%}"]
    print_row(title, *cells)
