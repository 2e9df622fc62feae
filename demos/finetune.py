"""Train a published Vision Transformer, or a new head alone, on a folder of images or on digits.

Of a published network the body stays as it is, unless --body is given: the features of all images
are computed once, and a linear head learns from them. With --body all of it learns, lower layers
more slowly; so does a network of your own that has learned without labels, a run of demos.pretrain.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

import minivit
from minivit import pretrained
from minivit.backend import beside, usable_device
from minivit.data import preparation
from minivit.data.digits import Split, has_idx_files
from minivit.data.folders import image_folder
from minivit.data.resized import Resized
from minivit.optim import layer_rates
from minivit.pretrainer import Pretrainer, is_pretrained
from minivit.training import Progress, Run
from minivit.training.head import fit_head, head_progress

from . import few_labels, training, training_options
from .options import new_file, parser_of, propose, sides, status
from .streams import unread

HEAD = dict(run="finetuned", epochs=100, lr=3e-3, batch_size=250)
BODY = dict(run="finetuned", epochs=10, lr=2e-4, batch_size=32)
OWN = dict(run="finetuned", body=True, epochs=150, lr=4e-3, batch_size=25)


def arguments(argv=None):
    # What is trained decides on the other defaults.
    first = parser_of("finetune", None, add_help=False)
    first.add_argument("--body", action="store_true", help="train the body too, not the head alone")
    draws_help = (
        "compare with random weights, in so many draws of --per-class labels; all of the network "
        "learns, and no run is kept"
    )
    first.add_argument("--compare", type=int, metavar="DRAWS", help=draws_help)
    known = first.parse_known_args(argv)[0]
    recipe = HEAD if not (known.body or known.compare) else BODY | dict(body=True)
    parser = parser_of("finetune", __doc__, parents=[first])
    add = parser.add_argument
    checkpoint_help = "a file or folder: .safetensors, .npz, .pth or .bin; or a run of pretrain"
    add("checkpoint", metavar="CHECKPOINT", nargs="?", help=checkpoint_help)
    data_help = '"mnist", "fashion-mnist", a folder with four idx files or one of class folders'
    add("data", metavar="DATA", nargs="?", help=data_help)
    size_help = (
        "side, or height and width, to which positions are resized; without it, as published"
    )
    add("--image-size", type=int, nargs="+", metavar="PIXELS", help=size_help)
    few_help = (
        "few labels: at most N training images of each class, drawn with the seed, and at most N "
        "others to validate"
    )
    add("--per-class", type=int, metavar="N", help=few_help)
    tests_help = "test on at most N images of each class, drawn with the seed; without it, on all"
    add("--test-per-class", type=int, metavar="N", help=tests_help)
    add("--random", action="store_true", help="random weights, to compare with the published ones")
    decay_help = "with --body: rate of a layer, as a share of the rate of the one above it"
    add("--layer-decay", type=float, default=0.75, metavar="SHARE", help=decay_help)
    add("--heads", type=int, help="heads of the attention, where the checkpoint does not say")
    add("--eps", type=float, help="of the layer norms, where the checkpoint does not say")
    add("--pool", choices=["cls", "mean"], help="what the head reads; or as the checkpoint says")
    training_options.add_training(parser, "peak learning rate")
    add("--json", type=new_file, metavar="FILE", help="with --compare: write the figures there too")
    parser.set_defaults(**recipe)
    options = training_options.parsed(parser, argv)
    if options.checkpoint and is_pretrained(options.checkpoint):
        parser.set_defaults(**OWN)
        options = training_options.parsed(parser, argv)
    return checked(parser, options)


def checked(parser, options):
    """The options; ends as argparse does if they cannot work together."""
    if not (options.data or options.resume):
        parser.error("give CHECKPOINT and DATA, or --resume RUN to resume a run")
    for name in ("augment", "patience", "mpi"):
        if getattr(options, name) and not (options.body or options.resume):
            parser.error(f"--{name} needs --body; the features of a frozen body are computed once")
    for name in ("per_class", "test_per_class"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if options.compare is not None and not (options.per_class and options.compare > 0):
        parser.error("--compare is a number of draws, at least 1, and needs --per-class")
    if options.compare and options.mpi:
        parser.error("--compare trains on one machine; give no --mpi")
    if options.json and not options.compare:
        parser.error("--json needs --compare")
    if options.image_size:
        sides(parser, options, "image_size")
    return options


def main(argv=None):
    return status("finetune", lambda: finetune(arguments(argv)))


def finetune(options):
    comparing = options.compare, options.json
    del options.compare, options.json  # no settings of a run
    if comparing[0]:
        few_labels.compare(options, load, start, *comparing)
        return
    if options.body or options.resume:
        folder = training.train("finetune", options, load, start)
    else:
        with unread():
            folder = train_head(options)
    propose("ask it about a picture of your own", "predict", folder, "PICTURE")


def load(options):
    """The data, and a classifier of them: the checkpoint's body, and a new head."""
    rng = np.random.default_rng(options.seed)
    options.checkpoint = os.path.abspath(options.checkpoint)
    body, params, normalize, framing = body_of(options)
    size = [*body.config["image_size"], body.config["channels"]]
    data = data_of(options, size, framing, rng)
    changes = {"classes": len(data.classes)}
    if options.random and body.config["layer_scale"]:
        changes["layer_scale"] = 1.0  # from its usual 1e-5 it takes training to see anything
    model = minivit.ViT(**(body.config | changes))
    nest = model.init(rng)
    params = minivit.Params(nest if options.random else params.nest | {"head": nest["head"]})
    return data, minivit.Classifier(model, params, normalize, data.classes, framing)


def body_of(options):
    """A ViT without a head, its Params, and how its images are prepared: Normalize and Framing."""
    given = {name: getattr(options, name) for name in ("image_size", "heads", "eps", "pool")}
    if not is_pretrained(options.checkpoint):
        body, params, about = pretrained.load(options.checkpoint, classes=0, **given)
        return body, params, *preparation.of_dict(about["preparation"])
    if wrong := [name for name, value in given.items() if value is not None]:
        raise ValueError(
            f"--{wrong[0].replace('_', '-')} is for published weights; {options.checkpoint} is a "
            "run of pretrain, which says it itself"
        )
    pretrainer = Pretrainer.load(options.checkpoint)
    return *pretrainer.body(), pretrainer.normalize, pretrainer.framing


def data_of(options, size, framing, rng):
    """The Data, images of a size: height, width and channels."""
    place = Path(options.data)
    is_folder = place.is_dir() and not has_idx_files(place)
    if place.is_dir():
        options.data = os.path.abspath(place)  # a run may be resumed from another folder
    if is_folder:
        H, W, C = size
        images = image_folder(options.data, H, W, rng, C, framing)
        data = training.of_folder("finetune", options.data, images)
    else:
        data = training.of_digits(options.data, rng)
    counts = options.per_class, options.per_class, options.test_per_class
    splits = [few(split, count, rng) for split, count in zip(data[:3], counts, strict=True)]
    if not is_folder:
        splits = [Split(Resized(grey, *size), labels) for grey, labels in splits]
    return training.Data(*splits, *data[3:])


def few(split, count, rng):
    """At most `count` images of each class of a Split, drawn with `rng`; None for all."""
    if count is None:
        return split
    order = rng.permutation(len(split.labels))
    drawn = [order[split.labels[order] == label][:count] for label in np.unique(split.labels)]
    chosen = np.sort(np.concatenate(drawn))
    return Split(split.images[chosen], split.labels[chosen])


def start(options, data, classifier, device):
    """The Progress with which the training of the whole network starts."""
    if not options.body:
        raise ValueError("a run that trains a head alone is not resumed; start a new one")
    params = classifier.params.to(device)
    optimizer = minivit.AdamW(params, options.lr, rates=layer_rates(params, options.layer_decay))
    return Progress(classifier.with_params(params), optimizer)


def train_head(options):
    """Train a head on the features of a body that stays as it is; return the run's folder."""
    device = usable_device(options.device)
    del options.device, options.mpi  # not settings of a run
    data, classifier = load(options)
    classifier = classifier.with_params(classifier.params.to(device))
    progress = head_progress(classifier, options.lr)
    shards = options.shards if device == "cpu" else 1
    with Run.start(options.run, training.started_with(options, data, classifier), progress) as run:
        print(
            f"Training a head of {progress.params.flat.size:,} parameters on the features of "
            f"{len(data.train.labels):,} images; {len(data.validation.labels):,} more validate it."
        )
        print(f"The run is kept in {run.folder}/.", flush=True)
        began = time.perf_counter()
        train, validation = (features(classifier, split, shards) for split in data[:2])
        fit_head(
            progress, train, validation,
            epochs=options.epochs, batch_size=options.batch_size, seed=options.seed,
        )  # fmt: skip
        progress.seconds = time.perf_counter() - began
        for name, array in progress.best.named():
            classifier.params["head"][name][...] = beside(array, classifier.params.flat)
        classifier.save(run.folder)
        training.test(run.folder, options, classifier, progress, data, device, shards)
    return run.folder


def features(classifier, split, shards):
    """A Split of what a classifier's head reads (n, D), in the place of its images."""
    model = minivit.ViT(**(classifier.model.config | {"classes": 0}))
    params = minivit.Params(classifier.params.nest | {"head": {}})
    body = minivit.Classifier(model, params, classifier.normalize, [])
    with training.watched(shards, len(split.labels), "computing features") as mapper:
        return Split(body.logits(split.images, mapper), split.labels)


if __name__ == "__main__":
    sys.exit(main())
