"""The default recipe of `demos.train_mnist`, start to finish, beside the same in PyTorch eager.

Each trains in a process of its own. They take turns, epoch by epoch, so that other work on the
machine slows down both.
"""

import contextlib
import io
import statistics

import minivit
from minivit.data.augment import Augmentation
from minivit.training import Progress, fit

from ..train_mnist import load
from ..training_options import OPTIMIZERS, model_of
from .engines import Normalize, threads
from .report import print_row, print_title
from .workers import Worker


def start(options):
    """What both begin with: data, model, parameters, normalisation and settings."""
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


def train_minivit(turn, options):
    """Answer each turn with the validation accuracy after an epoch, the last with the test's."""
    data, model, params, normalize, settings = start(options)
    classifier = minivit.Classifier(model, params, normalize, data.classes)
    progress = Progress(classifier, OPTIMIZERS["muon"](params, None))

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
    data, model, params, normalize, settings = start(options)
    rival = torch_vit.twin(model.config, params)
    turn()
    for _, accuracy in torch_recipe.train(
        rival, data.train, data.validation, normalize, **settings
    ):
        turn(accuracy)
    return torch_recipe.evaluate(rival, data.test, normalize)[1]


SIDES = {"minivit": train_minivit, "PyTorch": train_torch}


def compare_recipes(options, has_torch):
    """Train both, and print each epoch and the sums; options: those of `demos.train_mnist`."""
    sides = [name for name in SIDES if has_torch or name == "minivit"]
    workers = [Worker(SIDES[name], options) for name in sides]
    print_title("", *(title for name in sides for title in (f"{name}, s", "accuracy")))
    turns = []  # the seconds of each: [minivit's, PyTorch's]
    for title in [*(f"epoch {epoch + 1}" for epoch in range(options.epochs)), "test"]:
        answers = [worker.ask() for worker in workers]
        print_row(title, *(cell for share, s in answers for cell in (f"{s:.2f}", f"{share:.2%}")))
        turns.append([seconds for _, seconds in answers])
    median = [statistics.median(seconds) for seconds in zip(*turns[:-1], strict=True)]
    whole = [sum(seconds) for seconds in zip(*turns, strict=True)]
    for title, sums in [("median epoch", median), ("in all", whole)]:
        print_row(title, *(cell for seconds in sums for cell in (f"{seconds:.2f}", "")))
        if has_torch:
            print(f"minivit is {sums[1] / sums[0]:.2f} × as fast")
