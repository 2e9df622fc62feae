"""Find digits, and say where each one is: train a detector on scenes of digits, test and draw it.

Without PHOTO a detector is trained, on scenes or, with --data, on a folder in COCO's JSON layout.
With PHOTO, the detector of --run finds what is in pictures of your own.
"""

import os
import sys
from functools import partial

import numpy as np

import minivit
from minivit.backend import usable_device
from minivit.checksums import write_summed
from minivit.data.coco import coco_parts, read_coco
from minivit.data.digits import Split
from minivit.data.download import printable
from minivit.data.folders import CACHE_BYTES, ImageFiles
from minivit.data.images import load_image
from minivit.data.letterbox import contain
from minivit.data.normalize import Normalize
from minivit.data.scenes import Column, Scenes
from minivit.files import write_file, write_json
from minivit.finder import Finder
from minivit.models import Detector
from minivit.training import Progress
from minivit.training.average_precision import average_precision

from . import training, training_options
from .options import folder_of, new_file, parser_of, propose, status

SIZES = ("patch_size", "dim", "depth", "heads", "mlp_dim")
TESTED = 4  # digits of a scene that tests, at most
MEASURED = 500  # images of which mean and std are taken
HELD_OUT = 10  # one picture in 10 of one's own validates
DRAWN = 24  # images on the sheet


def arguments(argv=None):
    parser = parser_of("detect", __doc__)
    add = parser.add_argument
    add("photos", metavar="PHOTO", nargs="*", help="files or URLs, to find what is in them")
    add("--data", metavar="FOLDER", help="pictures of your own, with annotations/instances_*.json")
    add("--image-size", type=int, default=96, help="side of a scene in pixels")
    add("--scenes", type=int, default=60_000, help="scenes of an epoch")
    add("--test-scenes", type=int, default=1000, help="scenes of the test; half as many validate")
    add("--most", type=int, default=6, help="digits of a training scene, at most")
    add("--patch-size", type=int, default=12, help="side of a patch in pixels")
    add("--dim", type=int, default=96, help="width of the model")
    add("--depth", type=int, default=4, help="number of blocks")
    add("--heads", type=int, default=3, help="heads of the attention")
    add("--mlp-dim", type=int, default=192, help="width of the MLPs")
    add("--out", type=new_file, default="found.png", metavar="FILE.png", help="photos, with boxes")
    add("--json", type=new_file, metavar="FILE", help="write map, map50, seconds and parameters")
    training_options.add_training(parser, "peak learning rate of Muon; without one, 0.02")
    parser.set_defaults(run="detect", epochs=10, batch_size=64)
    options = training_options.parsed(parser, argv)
    if options.augment:
        parser.error("--augment would move the objects, but not their boxes")
    return options


def main(argv=None):
    return status("detect", lambda: detect(arguments(argv)))


def detect(options):
    photos, out = options.photos, options.out
    del options.photos, options.out  # not settings of a run
    if photos:
        return find(options, photos, out)
    average_precision([np.ones((1, 5))], [[]], 2)  # says now, not after the training, what it lacks
    if options.json:
        options.json = os.path.abspath(options.json)
    folder = training.train("detect", options, load, start, finish=test)
    propose("find digits in a photo of your own", "detect", "--run", folder, "PHOTO")
    return 0


def find(options, photos, out):
    """Print what is in each picture, and draw it; return 2 if one of them could not be read."""
    from minivit.study import boxes_figure, figures

    finder = Finder.load(folder_of(options.run), usable_device(options.device))
    pictures, found = [], []
    for photo in photos:
        try:
            image = load_image(photo)
            _, its_detections, warnings = finder.find_in_image(image)
        except (ValueError, OSError) as error:
            print(f"detect: {error}", file=sys.stderr)
            continue
        pictures.append(np.rint(255 * image).astype(np.uint8))
        found.append(its_detections)
        print(as_text(photo, finder.classes, its_detections, warnings))
    if pictures:
        columns = min(3, len(pictures))
        figure = boxes_figure.sheet(pictures, found, finder.classes, columns=columns, size=4)
        write_file(out, figures.png(figure))
        print(f"Written: {out}", file=sys.stderr)
    return 0 if len(pictures) == len(photos) else 2


def as_text(photo, classes, found, warnings):
    """What was found in a picture, a line each, from left to right."""
    lines = [f"{printable(photo)}: {len(found)} found"]
    for number, left, top, right, bottom, confidence in found[np.argsort(found[:, 1])]:
        where = f"from ({left:.0f}, {top:.0f}) to ({right:.0f}, {bottom:.0f})"
        lines.append(f"  {classes[int(number)]}  {confidence:.1%}  {where}")
    return "\n".join([*lines, *(f"  {warning}" for warning in warnings)])


def load(options):
    """The Data, whose test Split has objects in place of labels; a Detector, and a generator."""
    rng = np.random.default_rng(options.seed)
    if options.data is None:
        return of_scenes(options, rng)
    options.data = os.path.abspath(options.data)  # a run may be resumed from another folder
    return of_coco(options, rng)


def of_scenes(options, rng):
    """Scenes of MNIST's digits: those of training, held out ones to validate, those of the test."""
    data = training.of_digits("mnist", rng)
    model = model_of(options, 1, len(data.classes))
    count = options.test_scenes
    size = dict(size=options.image_size, sides=sides_of(options.image_size))
    learned = Scenes(data.train, options.scenes, most=options.most, seed=options.seed, **size)
    validating = Scenes(
        data.validation, (1 + count) // 2, most=TESTED, seed=options.seed + 1, **size
    )
    testing = Scenes(data.test, count, most=TESTED, seed=options.seed + 2, **size)
    image, target = (lambda scene: scene.image), (lambda scene: model.targets(scene.objects))
    train, validation = (
        Split(Column(scenes, image), Column(scenes, target)) for scenes in (learned, validating)
    )
    validation = Split(validation.images[:], validation.labels[:])
    test = Split(Column(testing, image)[:], [scene.objects for scene in testing])
    return training.Data(train, validation, test, data.classes, {}), (model, rng)


def sides_of(image_size):
    """The sides of the digits in a scene: from a sixth of its side to half of it."""
    return max(1, image_size // 6), max(1, image_size // 2)


def of_coco(options, rng):
    """The pictures of a folder in COCO's layout, a tenth of those of training held out."""
    H = W = options.image_size
    parts = {part: read_coco(*place) for part, place in coco_parts(options.data).items()}
    train, test = parts["train"], parts["val"]
    if train.classes != test.classes:
        raise ValueError(
            f"{options.data}: the categories for train are {', '.join(train.classes)}, those for "
            f"val {', '.join(test.classes)}; expected the same"
        )
    model = model_of(options, 3, len(train.classes))
    cache = {}
    images, objects = {}, {}
    for part, annotated in parts.items():
        objects[part] = [
            its_objects * [1, *[opened(path, (H, W), cache)] * 4]
            for path, its_objects in zip(annotated.paths, annotated.objects, strict=True)
        ]
        images[part] = ImageFiles(annotated.paths, partial(read_picture, size=(H, W)), cache)
    count = max(1, len(train.paths) // HELD_OUT)
    targets = np.stack([model.targets(its_objects) for its_objects in objects["train"]])
    whole = Split(images["train"], targets)
    order = rng.permutation(len(targets))
    if len(targets) < 2:
        raise ValueError(f"{options.data}: expected at least 2 pictures to train on and validate")
    learned, validating = (np.sort(part) for part in (order[count:], order[:count]))
    splits = [
        Split(ImageFiles(whole.images.paths[part], whole.images.read, cache), targets[part])
        for part in (learned, validating)
    ]
    test = Split(images["val"], objects["val"])
    return training.Data(*splits, test, train.classes, {}), (model, rng)


def read_picture(path, size):
    """A picture as the model reads it, (H, W, 3) uint8."""
    return contain(load_image(path), *size)[0]


def opened(path, size, cache):
    """Read a picture, into the cache as long as there is room; return its scale."""
    pixels, scale = contain(load_image(path), *size)
    if (len(cache) + 1) * pixels.nbytes <= CACHE_BYTES:
        cache[path] = pixels
    return scale


def model_of(options, channels, classes):
    """The Detector that was asked for."""
    chosen = {name: getattr(options, name) for name in SIZES}
    return Detector(image_size=options.image_size, channels=channels, classes=classes, **chosen)


def start(options, data, given, device):
    """The Progress of a new detector."""
    model, rng = given
    normalize = Normalize.of(data.train.images, MEASURED)
    params = minivit.Params(model.init(rng)).to(device)
    finder = Finder(model, params, normalize, data.classes)
    return Progress(finder, minivit.Muon(params, options.lr or 0.02))


def test(folder, options, finder, progress, data, device, shards):
    """Test a detector, once; write and print what a person wants to know at the end."""
    from minivit.study import boxes_figure, figures  # here, as workers import this module

    images, objects = data.test
    with training.watched(shards, len(objects), "testing") as mapper:
        found = finder.find(images, mapper)
    precision = average_precision(objects, found, len(data.classes))
    rows = progress.rows
    seen = sum(row["validation_loss"] is not None for row in rows) * len(data.train.labels)
    result = precision | dict(
        seconds=progress.seconds, parameters=finder.params.flat.size, images_seen=seen,
        steps=progress.steps, seed=options.seed, device=device, options=vars(options),
    )  # fmt: skip
    write_json(folder / "result.json", result, write_summed)
    if options.json:
        short = {name: result[name] for name in ("map", "map50", "seconds", "parameters")}
        write_json(options.json, short)
    on_cpu = finder.with_params(finder.params.to("cpu"))
    some = [images[number] for number in range(min(DRAWN, len(objects)))]
    sheet = boxes_figure.sheet(some, found, data.classes, objects)
    write_file(folder / "boxes.png", figures.png(sheet))
    write_file(folder / "sides.png", figures.png(boxes_figure.side_figure(on_cpu, some[0])))
    write_file(folder / "curves.png", figures.png(figures.curves(rows)))
    print("\n" + as_table(precision, len(objects), sum(map(len, objects))))
    print(f"Trained for {progress.seconds:.1f} s, {seen / progress.seconds:,.0f} images/s")
    training.list_files(folder)


def as_table(precision, images, objects):
    """The average precisions, a line each."""
    names = {
        "map": "mAP, IoU 0.50 to 0.95", "map50": "mAP, IoU 0.50", "map75": "mAP, IoU 0.75",
        "map_small": "mAP of small objects, less than 32 x 32 pixels",
        "map_medium": "mAP of medium objects", "map_large": "mAP of large objects, from 96 x 96",
    }  # fmt: skip
    lines = [f"On {images:,} images with {objects:,} objects, that were not trained on:"]
    for key, name in names.items():
        lines.append(f"  {'none' if precision[key] is None else f'{precision[key]:.3f}'}  {name}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
