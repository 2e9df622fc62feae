"""The default recipe of `demos.train_mnist`, start to finish, beside the same in PyTorch eager.

Each trains in a process of its own. They take turns, epoch by epoch, so that other work on the
machine slows down both.
"""

import contextlib
import io
import statistics

from minivit.data.augment import Augmentation
from minivit.threads import threads
from minivit.training import fit

from ..train_mnist import load
from ..training import set_up
from .report import print_row, print_title
from .workers import Worker


def start(options):
    """What both begin with: the data, the Progress of a new model, and the settings."""
    data, progress, _ = set_up(options, load, "cpu")
    settings = {name: getattr(options, name) for name in ("epochs", "batch_size", "seed")}
    settings["augment"] = Augmentation.of(options.augment)
    return data, progress, settings


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
    settings |= dict(peak=progress.optimizer.lr, momentum=progress.optimizer.momentum)
    turn()
    for _, accuracy in torch_recipe.train(rival, *splits, ours.normalize, **settings):
        turn(accuracy)
    return torch_recipe.evaluate(rival, data.test, ours.normalize)[1]


SIDES = {"minivit": train_minivit, "PyTorch": train_torch}


def compare_recipes(options):
    """Train both, and print each epoch and the sums; options: those of `demos.train_mnist`."""
    with contextlib.ExitStack() as stack:
        workers = [Worker(side, options) for side in SIDES.values()]
        for worker in workers:
            stack.callback(worker.end)
        turns = take_turns(workers, options.epochs)
    median = [statistics.median(seconds) for seconds in zip(*turns[:-1], strict=True)]
    whole = [sum(seconds) for seconds in zip(*turns, strict=True)]
    for title, sums in [("median epoch", median), ("in all", whole)]:
        print_row(title, *(cell for seconds in sums for cell in (f"{seconds:.2f}", "")))
        print(f"minivit is {sums[1] / sums[0]:.2f} × as fast")


def take_turns(workers, epochs):
    """Print each epoch and the test; return the seconds of each: [minivit's, PyTorch's]."""
    print_title("", *(title for name in SIDES for title in (f"{name}, s", "accuracy")))
    turns = []
    for title in [*(f"epoch {epoch + 1}" for epoch in range(epochs)), "test"]:
        answers = [worker.ask() for worker in workers]
        print_row(title, *(cell for share, s in answers for cell in (f"{s:.2f}", f"{share:.2%}")))
        turns.append([seconds for _, seconds in answers])
    return turns
