"""Train the default model on MNIST and make the explorer's page of it.

    python -m docs.explorer.build
    python -m docs.explorer.build --page-only

The first takes minutes and writes index.html and stages.js, the model on its way. With --page-only
the model and the digits stay those of index.html, and the page around them is that of today.
"""

import argparse
import base64
import json
import re
from pathlib import Path

import numpy as np

import minivit
from demos import train_mnist
from demos.training import set_up, settings_of
from minivit.data.normalize import Normalize
from minivit.files import write_file
from minivit.study.explorer import Digit, chosen, page_data, page_html
from minivit.training import fit

FOLDER = Path(__file__).parent
PAGE, STAGES = FOLDER / "index.html", FOLDER / "stages.js"
STEPS, EPOCHS = [10, 30, 100], [1, 3, 6]  # after which the weights are kept


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m docs.explorer.build", description=__doc__)
    parser.add_argument("--page-only", action="store_true", help="train nothing")
    if parser.parse_args(argv).page_only:
        write_file(PAGE, rendered(PAGE.read_text(encoding="utf-8")))
    else:
        classifier, test, stages = trained()
        page = page_of(classifier, chosen(classifier, *test))
        write_file(STAGES, script_of(stages))
        write_file(PAGE, page)


def trained():
    """The default run of train_mnist: its Classifier, the test images, the stages on its way."""
    options = train_mnist.arguments([])
    data, progress, _ = set_up(options, train_mnist.load, "cpu")
    stages = []

    def keep(name, step, classifier):
        stages.append(stage(name, step, classifier, data.validation))

    def after_step(progress):
        step, epoch = progress.steps, progress.rows[-1]["epoch"]
        if step in STEPS:
            keep(f"after {step} steps", step, progress.classifier)
        elif progress.at_epoch_end and epoch in EPOCHS:
            keep(f"after {epochs(epoch)}", step, progress.classifier)

    keep("before training", 0, progress.classifier)
    fit(
        progress, data.train, data.validation, after_step=after_step, shards=options.shards,
        **settings_of(options),
    )  # fmt: skip
    best = options.epochs - progress.epochs_since_best()
    step = best * progress.steps // options.epochs
    keep(f"trained, {epochs(best)}", step, progress.best_classifier())
    return progress.best_classifier(), data.test, stages


def epochs(number):
    return f"{number} epoch{'s' if number > 1 else ''}"


def stage(name, step, classifier, validation):
    """A stage as the page reads it; its accuracy is that of the weights in float16."""
    half = classifier.params.flat.astype("<f2")
    rounded = classifier.with_params(classifier.params.of(half.astype(np.float32)))
    _, accuracy, _ = rounded.evaluate(validation)
    numbers = base64.b64encode(half.tobytes()).decode()
    return {"name": name, "step": step, "accuracy": accuracy, "float16": numbers}


def script_of(stages):
    """The script that hands the stages to the page, as bytes."""
    return f"receiveStages({json.dumps(stages)});\n".encode()


def page_of(classifier, digits):
    """The page of a model and digits, as bytes."""
    links = dict(derivations="../derivations/", stages=STAGES.name)
    return page_html(page_data(classifier, digits, drawing=True, **links)).encode()


def rendered(page):
    """The page of today of the model and the digits that a page holds, as bytes."""
    return page_of(*held(page))


def held(page):
    """The Classifier and the Digits that a page holds."""
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page)
    data = json.loads(text)
    sizes = {name: data["model"][name] for name in data["model"].keys() - {"tokens", "parameters"}}
    model = minivit.ViT(**sizes)
    params = minivit.Params(model.init(np.random.default_rng(0)))
    params.flat[...] = numbers(data["weights"]["float32"], "<f4")
    normalize = Normalize(data["mean"], data["std"])
    shape = *sizes["image_size"], sizes["channels"]
    digits = [
        Digit(**digit | {"pixels": numbers(digit["pixels"], np.uint8).reshape(shape)})
        for digit in data["digits"]
    ]
    return minivit.Classifier(model, params, normalize, data["classes"]), digits


def numbers(text, dtype):
    """The numbers in a base64 text, (n,)."""
    return np.frombuffer(base64.b64decode(text), dtype)


if __name__ == "__main__":
    main()
