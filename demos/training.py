"""What the demos that train a model share: a run from its options to its report."""

import argparse
import contextlib
import dataclasses
import hashlib
import os
import sys
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import minivit
from minivit.backend import usable_device, use_gpu
from minivit.checksums import write_summed
from minivit.data.augment import Augmentation
from minivit.data.digits import Split, hold_out
from minivit.data.normalize import Normalize
from minivit.files import write_file, write_json
from minivit.threads import cores, threads
from minivit.training import Progress, Run, fit, metrics, mpi
from minivit.training.workers import processes_for

from .options import command
from .streams import unread
from .together import last_words, together
from .training_options import model_of, optimizer_of

MEASURED = 60_000  # training images, at most, of which mean and std are taken
AT_ONCE = 1000  # images in memory while they are summed


class Data(NamedTuple):
    """What a model learns from, what validates it, what tests it once, and the class names.

    started: what else must stay the same for a run to be resumed, a dict that JSON can write
    """

    train: Split
    validation: Split
    test: Split
    classes: list[str]
    started: dict


def train(demo, options, load, start=None, **more):
    """Start a run or resume one; train, test, and leave a complete folder, which is returned.

    It does so even if nobody reads what it prints.

    load(options) -> (Data, what `start` needs: for a new model the generator of its first weights)
    start(options, data, that, device) -> its Progress, at first; without it, `new_model`
    more: what is done instead of `test` in the end, and after each epoch, see `train_and_test`
    Neither the device nor the number of ranks is a setting of a run: it may be resumed on others.
    All ranks of MPI call this; it returns on the first alone, as the others end here.
    """
    ranks = mpi.world() if options.mpi else mpi.Ranks()
    with unread(), together(demo, ranks):
        device = usable_device(options.device)
        if device == "cuda":
            use_gpu(ranks.number_on_machine())
        del options.device, options.mpi
        folder = train_in_folder(demo, options, load, device, start, ranks, **more)
    if folder is None:
        sys.exit()
    return folder


def train_in_folder(demo, options, load, device, start=None, ranks=None, **more):
    """Start a run or resume one, train and test it; return its folder, None on all other ranks."""
    ranks, run = ranks or mpi.Ranks(), None
    with contextlib.ExitStack() as stack:
        if options.resume is not None:
            if ranks.first:
                run = stack.enter_context(Run.open(options.resume))
            options = ranks.told(run and started_options(run, options))
        options.shards = options.shards or ranks.count
        ranks.share(options.shards)  # refuses too few, before there is a folder
        data, progress, started = set_up(options, load, device, start)
        ranks.expect_same({"version": minivit.__version__} | started)
        if run:
            for reason in run.resume(progress, started):
                print(f"{demo}: not used: {reason}", file=sys.stderr)
        elif ranks.first:
            run = stack.enter_context(Run.start(options.run, started, progress))
        ranks.tell_progress(progress)
        train_and_test(demo, options, run, progress, data, device, ranks, **more)
    return run and run.folder


def started_options(run, options):
    """The options with which a run was started; ValueError if they are not those of this demo."""
    started = run.started.get("options")
    if not isinstance(started, dict) or started.keys() != vars(options).keys():
        raise ValueError(f"{run.folder} was started by another demo, or another version")
    return argparse.Namespace(**started)


def set_up(options, load, device, start=None):
    """Data, the Progress at first, and what the run is started with."""
    data, given = load(options)
    progress = (start or new_model)(options, data, given, device)
    return data, progress, started_with(options, data, progress.classifier)


def started_with(options, data, classifier):
    """What a run is started with, and has to be resumed with."""
    preparation = dataclasses.asdict(classifier.normalize)
    learned = {"sha256": sum_of(data.train, data.validation)}
    return data.started | {
        "options": vars(options), "preparation": preparation, "data": learned,
    }  # fmt: skip


def sum_of(*splits):
    """The SHA-256 sum, in hex, of the images and labels of Splits."""
    total = hashlib.sha256()
    for images, labels in splits:
        if checksum := getattr(images, "checksum", None):  # of scenes, which are not drawn for it
            total.update(checksum.encode())
            continue
        for start in range(0, len(labels), AT_ONCE):
            total.update(np.ascontiguousarray(images[start : start + AT_ONCE]))
        total.update(labels)
    return total.hexdigest()


def new_model(options, data, rng, device):
    """The Progress of a new model of the options' sizes."""
    normalize = Normalize.of(data.train.images, MEASURED)
    _, H, W, *channels = data.train.images.shape
    model = model_of(options, (H, W), *(channels or [1]), len(data.classes))
    params = minivit.Params(model.init(rng)).to(device)
    classifier = minivit.Classifier(model, params, normalize, data.classes)
    return Progress(classifier, optimizer_of(options, params))


def of_digits(source, rng):
    """The Data of MNIST or its kin, a twelfth of the training images held out to validate."""
    digits = minivit.load_digits(source)
    parts = hold_out(digits.train, max(1, len(digits.train.labels) // 12), rng)
    return Data(*parts, digits.test, digits.classes, {})


def of_folder(demo, folder, images):
    """The Data of an ImageFolder; says what is in it, and what was left out."""
    for reason in images.skipped:
        print(f"{demo}: left out: {reason}", file=sys.stderr)
    splits = dict(train=images.train, validation=images.validation, test=images.test)
    counts = {part: len(split.labels) for part, split in splits.items()}
    print(
        f"{folder}: {sum(counts.values()):,} images of {len(images.classes)} classes "
        f"({', '.join(images.classes)}); {len(images.skipped):,} damaged files left out."
    )
    held_out = {name: [] for name in images.classes}
    for path, label in zip(images.test.images.paths, images.test.labels, strict=True):
        held_out[images.classes[label]].append(os.path.relpath(path, folder))
    started = {"images": counts | {"checksum": images.sum, "held_out": held_out}}
    return Data(*splits.values(), images.classes, started)


def train_and_test(
    demo, options, run, progress, data, device, ranks=None, finish=None, after_epoch=None
):
    """Train, and end with `test`, or `finish` of the same arguments.

    after_epoch(folder, progress, data) is called after each epoch. Where there is no run, as on all
    ranks but the first, only the training is done.
    """
    ranks = ranks or mpi.Ranks()
    shards = options.shards if device == "cpu" else ranks.count
    how = settings_of(options) | dict(shards=shards, patience=options.patience, ranks=ranks)
    if run is None:
        fit(progress, data.train, data.validation, **how)
        return
    resume = resuming(demo, run.folder, device, ranks)
    print(
        f"Training a Vision Transformer of {progress.params.flat.size:,} parameters: "
        f"{len(data.train.labels):,} images, {options.epochs} times each, on "
        f"{place_of(how['shards'], options.batch_size, device, ranks)}; "
        f"{len(data.validation.labels):,} more validate it."
    )
    begins = f" It resumes at step {progress.steps}." if progress.steps else ""
    print(f"The run is kept in {run.folder}/; Ctrl-C stops and saves it.{begins}", flush=True)
    gone = f"{demo}: a process of this run was killed or failed, which ended the others"
    alone = contextlib.nullcontext() if ranks.count == 1 else last_words(f"{gone}. {resume}", ranks)
    with explained(run.folder, resume), alone:
        run.fit(
            progress, data.train, data.validation, checkpoint_every=options.checkpoint_every,
            after_epoch=after_epoch and (lambda at: after_epoch(run.folder, at, data)), **how,
        )  # fmt: skip
        best = progress.best_classifier()
        (finish or test)(run.folder, options, best, progress, data, device, how["shards"])


def settings_of(options):
    """What the options say to `fit` of a whole training, wherever it runs."""
    return dict(
        augment=Augmentation.of(options.augment), epochs=options.epochs, seed=options.seed,
        batch_size=options.batch_size, keep_tokens=getattr(options, "keep_tokens", None),
        plain_epochs=getattr(options, "plain_epochs", 0),
    )  # fmt: skip


def resuming(demo, folder, device, ranks):
    """A sentence that says how a run is resumed."""
    where = [] if device == "cpu" else ["--device", device]
    several = ranks.count > 1
    start = f"mpiexec -n {ranks.count} " if several else ""
    return f"To resume: {start}{command(demo, '--resume', folder, *where, *['--mpi'] * several)}"


def place_of(shards, batch_size, device, ranks):
    """Where a step is computed, in words."""
    if ranks.count > 1:
        return f"{ranks.count} ranks"
    count = processes_for(shards, batch_size)
    return device if device != "cpu" else f"{count} process{'es' if count > 1 else ''}"


@contextlib.contextmanager
def explained(folder, resume):
    """Add to an error inside the `with` that the folder is still good, and how to resume."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"{str(stop) or 'stopped'}. {resume}") from None
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}. What {folder} holds is still good") from error
    except (OSError, MemoryError) as error:
        kind = OSError if isinstance(error, OSError) else MemoryError
        raise kind(f"{error}. What {folder} holds is still good. {resume}") from error


@contextlib.contextmanager
def watched(shards, count, doing):
    """Yield a `map` on threads, with a bar that shows how many of `count` images are done."""
    with (
        threads(min(shards, cores())) as mapper,
        tqdm(total=count, desc=doing, unit=" images", disable=None) as bar,
    ):

        def watching(function, jobs):
            def done(job):
                result = function(job)
                bar.update(len(job))
                return result

            return mapper(done, jobs)

        yield watching


def test(folder, options, classifier, progress, data, device, shards):
    """Test a classifier, once; write and print what a person wants to know at the end."""
    from minivit.study import figures  # here, as workers import this module, but never draw
    from minivit.study.report import confusion_table, draw_test

    split = data.test
    with watched(shards, len(split.labels), "testing") as mapper:
        logits = classifier.logits(split.images, mapper)
    measured = metrics(split.labels, logits, classifier.classes)
    speed = progress.rows[-1]["epoch"] * len(data.train.labels) / progress.seconds
    result = dict(
        test_accuracy=measured["accuracy"], test_loss=measured["loss"],
        train_seconds=progress.seconds, images_per_second=speed,
        parameters=classifier.params.flat.size, seed=options.seed, device=device,
        options=vars(options), test=measured,
    )  # fmt: skip
    write_json(folder / "result.json", result, write_summed)
    write_file(folder / "curves.png", figures.png(figures.curves(progress.rows)))
    draw_test(folder, classifier.with_params(classifier.params.to("cpu")), split, logits)
    print(f"\nTest accuracy {measured['accuracy']:.2%}, loss {measured['loss']:.4f}")
    print(f"Trained for {progress.seconds:.1f} s, {speed:,.0f} images/s\n")
    print("Confusion matrix: a row for each true class, a column for each prediction")
    print(confusion_table(split.labels, logits, classifier.classes))
    list_files(folder)


def list_files(folder):
    """Print which files a run's folder has now."""
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    print(f"\nSaved in {folder}/: {', '.join(files)}")
