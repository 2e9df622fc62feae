"""The default recipe of `demos.train_mnist`, start to finish, beside the same in PyTorch eager.

Each has a process of its own; they take turns, epoch by epoch, so that what else the machine does
meets both.
"""

import contextlib
import io
import statistics
import time

import minivit
from minivit.data.augment import Augmentation
from minivit.data.normalize import Normalize
from minivit.threads import threads
from minivit.training import Progress, fit

from ..train_mnist import load
from ..training_options import OPTIMIZERS, model_of
from .workers import Worker


def start(options):
    """What both begin with: data, model, parameters, normalization and the settings of training."""
    data, rng = load(options)
    model = model_of(options, data.train.images.shape[1:], 1, len(data.classes))
    params = minivit.Params(model.init(rng))
    settings = dict(
        epochs=options.epochs,
        batch_size=options.batch_size,
        augment=Augmentation.of(options.augment),
        seed=options.seed,
    )
    return data, model, params, Normalize.of(data.train.images), settings


def train_minivit(exchange, options):
    """Told to go on, train for an epoch; answers (seconds, accuracy), at last of the test."""
    data, model, params, prepare, settings = start(options)
    classifier = minivit.Classifier(model, params, prepare, data.classes)
    progress = Progress(classifier, OPTIMIZERS["muon"](params, None))
    clock = Clock(exchange)

    def after_step(progress):
        if progress.at_epoch_end:
            clock.answer(progress.rows[-1]["validation_accuracy"])

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        fit(
            progress,
            data.train,
            data.validation,
            **settings,
            shards=options.shards,
            after_step=after_step,
        )
    with threads(options.shards) as mapper:
        _, accuracy, _ = progress.best_classifier().evaluate(data.test, mapper)
    return clock.seconds(), accuracy


def train_torch(exchange, options):
    """The same in PyTorch."""
    import torch

    from .torch_recipe import Recipe
    from .torch_vit import twin

    torch.set_num_threads(options.shards)
    data, model, params, prepare, settings = start(options)
    rival = twin(model.config, params)
    recipe = Recipe(rival, data.train, data.validation, prepare, **settings)
    clock = Clock(exchange)
    for _ in range(options.epochs):
        clock.answer(recipe.epoch())
    recipe.model.load_state_dict(recipe.best)
    _, accuracy = recipe.evaluate(data.test)
    return clock.seconds(), accuracy


class Clock:
    """Counts the seconds of a training, but not those in which it waits for its turn."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.answer(None)

    def answer(self, accuracy):
        self.exchange(accuracy if accuracy is None else (self.seconds(), accuracy))
        self.began = time.perf_counter()

    def seconds(self):
        return time.perf_counter() - self.began


SIDES = {"minivit": train_minivit, "PyTorch eager": train_torch}


def compare_recipes(options, has_torch):
    """Run both, print epoch after epoch and the sum of it; return that for JSON.

    options: those of `demos.train_mnist`
    """
    sides = [name for name in SIDES if has_torch or name == "minivit"]
    workers = {name: Worker(SIDES[name], options) for name in sides}
    print(f"{'epoch':<12}" + "".join(f"{f'{name}, s':>18}{'accuracy':>10}" for name in workers))
    rows = []
    for epoch in range(1, options.epochs + 1):
        rows.append({name: worker.ask(epoch) for name, worker in workers.items()})
        print_row(epoch, rows[-1])
    test = {name: worker.ask("test") for name, worker in workers.items()}
    print_row("test", test)
    sums = {}
    for name in workers:
        seconds = [row[name][0] for row in rows]
        sums[name] = dict(epoch=statistics.median(seconds), all=sum(seconds) + test[name][0])
        print(f"{name}: {sums[name]['epoch']:.2f} s an epoch, {sums[name]['all']:.1f} s in all")
    if len(sums) == 2:
        ours, theirs = sums.values()
        print(
            f"minivit is {theirs['epoch'] / ours['epoch']:.2f} × as fast in the median epoch, ",
            end="",
        )
        print(f"{theirs['all'] / ours['all']:.2f} × in all")
    return dict(epochs=rows, test=test, seconds=sums)


def print_row(title, found):
    cells = (f"{seconds:>18.2f}{accuracy:>10.2%}" for seconds, accuracy in found.values())
    print(f"{title:<12}{''.join(cells)}", flush=True)
