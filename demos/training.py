"""What the demos that train a model share: a run from its options to its report."""

import argparse
import contextlib
import dataclasses
import sys
from typing import NamedTuple

import minivit
from minivit.backend import usable_device
from minivit.data.augment import Augmentation
from minivit.data.digits import Split
from minivit.data.normalize import Normalize
from minivit.files import write_file, write_json
from minivit.threads import threads
from minivit.training import Progress, Run, metrics

from .options import command
from .training_options import OPTIMIZERS, model_of

MEASURED = 60_000  # training images, at most, of which mean and std are taken


class Data(NamedTuple):
    """What a model learns from, what validates it, what tests it once, and the class names.

    started: what else must stay the same for a run to be resumed, a dict that JSON can write
    """

    train: Split
    validation: Split
    test: Split
    classes: list[str]
    started: dict


def train(demo, options, load):
    """Start a run or resume one; train, test, and leave a complete folder, which is returned.

    load(options) -> (Data, the generator that draws the model's first weights). The device is not a
    setting of a run, which may be resumed on another.
    """
    device = usable_device(options.device)
    del options.device
    if not options.resume:
        data, progress, started = set_up(options, load, device)
        with Run.start(options.run, started, progress) as run:
            train_and_test(demo, options, run, progress, data, device)
        return run.folder
    with Run.open(options.resume) as run:
        options = started_options(run, options)
        data, progress, started = set_up(options, load, device)
        for reason in run.resume(progress, started):
            print(f"{demo}: not used: {reason}", file=sys.stderr)
        train_and_test(demo, options, run, progress, data, device)
    return run.folder


def started_options(run, options):
    """The options with which a run was started; ValueError if they are not those of this demo."""
    started = run.started.get("options")
    if not isinstance(started, dict) or started.keys() != vars(options).keys():
        raise ValueError(f"{run.folder} was started by another demo, or another version")
    return argparse.Namespace(**started)


def set_up(options, load, device):
    """Data, the Progress of a new model, and what the run is started with."""
    data, rng = load(options)
    normalize = Normalize.of(data.train.images, MEASURED)
    _, H, W, *channels = data.train.images.shape
    model = model_of(options, (H, W), *(channels or [1]), len(data.classes))
    params = minivit.Params(model.init(rng)).to(device)
    classifier = minivit.Classifier(model, params, normalize, data.classes)
    progress = Progress(classifier, OPTIMIZERS[options.optimizer](params, options.lr))
    started = {"options": vars(options), "preparation": dataclasses.asdict(normalize)}
    return data, progress, data.started | started


def train_and_test(demo, options, run, progress, data, device):
    where = [] if device == "cpu" else ["--device", device]
    resume = command(demo, "--resume", run.folder, *where)
    shards = options.shards if device == "cpu" else 1
    place = device if device != "cpu" else f"{shards} process{'es' if shards > 1 else ''}"
    print(
        f"Training a Vision Transformer of {progress.params.flat.size:,} parameters: "
        f"{len(data.train.labels):,} images, {options.epochs} times each, on {place}; "
        f"{len(data.validation.labels):,} more validate it."
    )
    begins = f" It resumes at step {progress.steps}." if progress.steps else ""
    print(f"The run is kept in {run.folder}/; Ctrl-C stops and saves it.{begins}", flush=True)
    with explained(run.folder, resume):
        run.fit(
            progress, data.train, data.validation, checkpoint_every=options.checkpoint_every,
            augment=Augmentation.of(options.augment), epochs=options.epochs, seed=options.seed,
            batch_size=options.batch_size, shards=shards, patience=options.patience,
        )  # fmt: skip
        test(run.folder, options, progress, data, device, shards)


@contextlib.contextmanager
def explained(folder, resume):
    """Add to an error inside the `with` that the folder is still good, and how to resume."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"{str(stop) or 'stopped'}. To resume: {resume}") from None
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}. What {folder} holds is still good") from error
    except (OSError, MemoryError) as error:
        kind = OSError if isinstance(error, OSError) else MemoryError
        raise kind(f"{error}. What {folder} holds is still good. To resume: {resume}") from error


def test(folder, options, progress, data, device, shards):
    """Test the best classifier, once; write and print what a person wants to know at the end."""
    from minivit.study import figures  # here, as workers import this module, but never draw
    from minivit.study.report import confusion_table, draw_test

    classifier, split = progress.best_classifier(), data.test
    with threads(shards) as mapper:
        logits = classifier.logits(split.images, mapper)
    measured = metrics(split.labels, logits, classifier.classes)
    speed = progress.rows[-1]["epoch"] * len(data.train.labels) / progress.seconds
    result = dict(
        test_accuracy=measured["accuracy"], test_loss=measured["loss"],
        train_seconds=progress.seconds, images_per_second=speed,
        parameters=progress.params.flat.size, seed=options.seed, device=device,
        options=vars(options), test=measured,
    )  # fmt: skip
    write_json(folder / "result.json", result)
    write_file(folder / "curves.png", figures.png(figures.curves(progress.rows)))
    draw_test(folder, classifier.with_params(progress.best.to("cpu")), split, logits)
    print(f"\nTest accuracy {measured['accuracy']:.2%}, loss {measured['loss']:.4f}")
    print(f"Trained for {progress.seconds:.1f} s, {speed:,.0f} images/s\n")
    print("Confusion matrix: a row for each true class, a column for each prediction")
    print(confusion_table(split.labels, logits, classifier.classes))
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    print(f"\nSaved in {folder}/: {', '.join(files)}")
