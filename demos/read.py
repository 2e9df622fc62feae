"""Read strips of digits: train a reader, which looks at a picture and writes what stands there.

Without PHOTO a reader is trained on strips of MNIST's digits, or with another --task on sums of two
numbers: to be read as they are written, to be answered, or both, the working first. With PHOTO, the
reader of --run reads a picture of your own.
"""

import os
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import minivit
from minivit.backend import usable_device
from minivit.checksums import write_summed
from minivit.data.digits import Split
from minivit.data.download import printable
from minivit.data.normalize import Normalize
from minivit.data.scenes import Column
from minivit.data.strips import HEIGHT, MOST, WIDTH, Strips, answer
from minivit.files import write_file, write_json
from minivit.models import Reader
from minivit.models.vocabulary import Vocabulary
from minivit.training import Progress
from minivit.transcriber import Transcriber

from . import training, training_options
from .options import folder_of, new_file, parser_of, propose, sides, status

SIZES = ("patch_size", "dim", "depth", "heads", "mlp_dim", "decoder_depth")
MEASURED = 500  # strips of which mean and std are taken
SHOWN, DRAWN = 8, 36  # examples that are printed, and on the sheet
BEAM = 4  # of the test's beam search
DIGITS = "0123456789"


class Task(NamedTuple):
    """What is to be written of a strip: its characters, how many at most, and the text."""

    characters: str
    longest: int
    sums: bool
    text: Callable[[str], str]  # of what stands there
    judged: Callable[[str], str] = str  # what of a text must be right


def worked(text):
    """A sum and its answer: "37+58=95"."""
    return f"{text}={answer(text)}"


def behind(text):
    """What a text answers: "95" of "37+58=95"."""
    return text.rpartition("=")[2]


TASKS = {
    "read": Task(DIGITS, MOST, False, str),
    "sum": Task(DIGITS + "+", 5, True, str),
    "answer": Task(DIGITS, 3, True, answer),
    "working": Task(DIGITS + "+=", 9, True, worked, behind),
}


def arguments(argv=None):
    parser = parser_of("read", __doc__)
    add = parser.add_argument
    add("photo", metavar="PHOTO", nargs="?", help="a file or URL, to read what is written there")
    task_help = "digits to read; a sum to read, as 37+58; to answer, as 95; or both, as 37+58=95"
    add("--task", choices=TASKS, default="read", help=task_help)
    add("--strips", type=int, default=170_000, help="strips of an epoch")
    add("--test-strips", type=int, default=2000, help="strips of the test; half as many validate")
    size_help = "side of a patch in pixels, or height and width"
    add("--patch-size", type=int, nargs="+", metavar="PIXELS", default=[HEIGHT, 4], help=size_help)
    add("--dim", type=int, default=96, help="width of the model")
    add("--depth", type=int, default=3, help="number of blocks of the encoder")
    add("--decoder-depth", type=int, default=2, help="number of blocks of the decoder")
    add("--heads", type=int, default=3, help="heads of the attention")
    add("--mlp-dim", type=int, default=192, help="width of the MLPs")
    add(
        "--out", type=new_file, default="read.png", metavar="FILE.png", help="of PHOTO, its letters"
    )
    add("--json", type=new_file, metavar="FILE", help="write what is right, seconds and parameters")
    training_options.add_training(parser, "peak learning rate of Muon; without one, 0.02")
    parser.set_defaults(epochs=4, batch_size=50)
    options = training_options.parsed(parser, argv)
    sides(parser, options, "patch_size")
    if options.augment:
        parser.error("--augment would turn and move what is to be read")
    options.run = options.run or options.task
    return options


def main(argv=None):
    return status("read", lambda: read(arguments(argv)))


def read(options):
    photo, out = options.photo, options.out
    del options.photo, options.out  # not settings of a run
    if photo is not None:
        return read_photo(options, photo, out)
    if options.json:
        options.json = os.path.abspath(options.json)
    folder = training.train("read", options, load, start, finish=test)
    propose("read a line of digits in a photo of your own", "read", "--run", folder, "PHOTO")
    return 0


def read_photo(options, photo, out):
    """Print what is read in a picture, and draw what is behind each letter."""
    from minivit.study import figures, reading_figure

    transcriber = Transcriber.load(folder_of(options.run), usable_device(options.device))
    pixels, warnings = transcriber.read(photo)
    (reading,) = transcriber.transcribe(pixels[None], beam=BEAM)
    print(f"{printable(photo)}: {reading.text}  {reading.probability:.1%}")
    for warning in warnings:
        print(f"  {warning}")
    on_cpu = transcriber.with_params(transcriber.params.to("cpu"))
    write_file(out, figures.png(reading_figure.letters_figure(on_cpu, pixels)))
    print(f"Written: {out}", file=sys.stderr)
    return 0


def load(options):
    """The Data, whose test Split has texts in place of labels; and a generator."""
    task, rng = TASKS[options.task], np.random.default_rng(options.seed)
    data = training.of_digits("mnist", rng)
    words = Vocabulary(task.characters)

    def image(strip):
        return strip.image

    def label(strip):
        return words.encode([task.text(strip.text)], task.longest)[0]

    counts = [options.strips, (1 + options.test_strips) // 2, options.test_strips]
    learned, validating, testing = (
        Strips(digits, count, sums=task.sums, varied=i == 0, seed=options.seed + i)
        for i, (digits, count) in enumerate(zip(data[:3], counts, strict=True))
    )
    train, validation = (
        Split(Column(strips, image), Column(strips, label)) for strips in (learned, validating)
    )
    validation = Split(validation.images[:], validation.labels[:])
    test = Split(Column(testing, image)[:], [task.text(strip.text) for strip in testing])
    return training.Data(train, validation, test, list(task.characters), {}), rng


def start(options, data, rng, device):
    """The Progress of a new reader."""
    task = TASKS[options.task]
    words = len(Vocabulary(data.classes))
    chosen = {name: getattr(options, name) for name in SIZES}
    model = Reader(
        image_size=(HEIGHT, WIDTH), channels=1, words=words, longest=task.longest,
        positions="sincos2d", **chosen,
    )  # fmt: skip
    normalize = Normalize.of(data.train.images, MEASURED)
    params = minivit.Params(model.init(rng)).to(device)
    transcriber = Transcriber(model, params, normalize, data.classes)
    return Progress(transcriber, minivit.Muon(params, options.lr or 0.02))


def test(folder, options, transcriber, progress, data, device, shards):
    """Test a reader, once; write and print what a person wants to know at the end."""
    from minivit.study import figures, reading_figure  # here, as workers import this module

    images, texts = data.test
    with training.watched(shards, len(texts), "testing") as mapper:
        readings = transcriber.transcribe(images, mapper=mapper)
    task = TASKS[options.task]
    wanted = [task.judged(text) for text in texts]
    right, with_beam = (
        float(np.mean(np.array([task.judged(each.text) for each in some]) == wanted))
        for some in (readings, transcriber.transcribe(images, BEAM))
    )
    share = "sums_right" if task.sums else "strips_right"
    measured = {share: right, "digits_right": digits_right(readings, texts)}
    measured |= dict(seconds=progress.seconds, parameters=transcriber.params.flat.size)
    result = measured | {
        f"{share}_with_beam": with_beam, "beam": BEAM, "task": options.task,
        "strips": len(texts), "steps": progress.steps, "seed": options.seed, "device": device,
        "options": vars(options),
    }  # fmt: skip
    write_json(folder / "result.json", result, write_summed)
    if options.json:
        write_json(options.json, measured)
    on_cpu = transcriber.with_params(transcriber.params.to("cpu"))
    sheet = reading_figure.readings_figure(images[:DRAWN], readings, texts)
    write_file(folder / "readings.png", figures.png(sheet))
    longest = max(range(min(DRAWN, len(texts))), key=lambda number: len(texts[number]))
    letters = reading_figure.letters_figure(on_cpu, images[longest])
    write_file(folder / "letters.png", figures.png(letters))
    write_file(folder / "curves.png", figures.png(figures.curves(progress.rows)))
    print("\n" + examples(readings, texts))
    print(
        f"\nOf {len(texts):,} strips that were not trained on, {measured[share]:.2%} are right; "
        f"of their characters, {measured['digits_right']:.2%}. With a beam of {BEAM}: "
        f"{with_beam:.2%}"
    )
    print(f"Trained for {progress.seconds:.1f} s")
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    print(f"\nSaved in {folder}/: {', '.join(files)}")


def digits_right(readings, texts):
    """The share of all characters of the texts that are read, each at its place."""
    pairs = [
        (one, other)
        for reading, text in zip(readings, texts, strict=True)
        for one, other in zip(reading.text.ljust(len(text)), text, strict=False)
    ]
    return float(np.mean([one == other for one, other in pairs]))


def examples(readings, texts):
    """A few readings, a line each, and the first mistakes."""
    lines = ["What is written, what was read, and how sure it was:"]
    pairs = list(zip(readings, texts, strict=True))
    wrong = [pair for pair in pairs if pair[0].text != pair[1]][: SHOWN // 2]
    for title, some in ("", pairs[:SHOWN]), ("Of the mistakes:", wrong):
        lines += [title] * bool(title and some)
        lines += [f"  {text:9}  {read.text:9}  {read.probability:.1%}" for read, text in some]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
