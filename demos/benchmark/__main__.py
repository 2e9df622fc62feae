"""How fast minivit trains, or classifies, beside other engines on the same machine."""

import importlib.util
import sys

import numpy as np

from minivit.backend import usable_device
from minivit.files import write_json

from ..options import add_device, new_file, parser_of, propose, status
from .classifying import CLASSIFIERS
from .engines import ENGINES, ON_GPU, RIVALS
from .report import compare, compare_classifiers, machine

TESTED = {
    "torch": "torch==2.13.0", "jax": "jax==0.10.2", "onnxruntime": "onnx onnxruntime",
}  # fmt: skip
SAME = dict(image_size=[28, 28], channels=1, heads=4, classes=10)
MODELS = {
    f"patch {patch}, dim {dim}, depth {depth}, mlp {mlp}": SAME
    | dict(patch_size=patch, dim=dim, depth=depth, mlp_dim=mlp)
    for patch, dim, depth, mlp in [(7, 64, 4, 128), (4, 64, 4, 256), (4, 128, 6, 512)]
}

READER = dict(  # that of demos.read
    image_size=[28, 160], patch_size=[28, 4], channels=1, dim=96, depth=3, heads=3, mlp_dim=192,
    words=13, longest=8, decoder_depth=2,
)  # fmt: skip
READERS = {"encoder and decoder of demos.read": READER}
VIT_S = {
    "ViT-S/16 at 224 x 224": dict(
        image_size=[224, 224], patch_size=16, channels=3, dim=384, depth=12, heads=6, mlp_dim=1536,
        classes=1000,
    )
}  # fmt: skip


def arguments(argv=None):
    parser = parser_of("benchmark", __doc__)
    task = parser.add_mutually_exclusive_group()
    profile_help = "where the time of a training step goes, by source line and by kind of work"
    task.add_argument("--profile", action="store_true", help=profile_help)
    recipe_help = "two recipes of train_mnist, and the default one in PyTorch"
    task.add_argument("--recipe", action="store_true", help=recipe_help)
    classify_help = "how fast one image is classified, and many at once"
    task.add_argument("--classify", action="store_true", help=classify_help)
    add_device(parser)
    add = parser.add_argument
    batch_help = (
        "images in a step, or classified at once, one number or several to try in turn; without it "
        "128, on a GPU 128 and 1024, to classify 1 and 1000"
    )
    add("--batch-size", type=int, nargs="+", metavar="IMAGES", help=batch_help)
    add("--rounds", type=int, default=11, help="how often each engine has its turn")
    add("--seconds", type=float, default=0.5, help="length of a turn")
    add("--json", type=new_file, metavar="FILE", help="write the rows of the comparison there too")
    options = parser.parse_args(argv)
    if options.json and (options.profile or options.recipe):
        parser.error("--json is for a comparison; give neither --profile nor --recipe")
    if options.device != "cpu" and (options.profile or options.recipe or options.classify):
        parser.error("--device is for the comparison of training; give no other task")
    for name in ("batch_size", "rounds", "seconds"):
        if (value := getattr(options, name)) is not None and not np.min(value) > 0:
            parser.error(f"--{name.replace('_', '-')} must be greater than 0")
    return options


def main(argv=None):
    return status("benchmark", lambda: measure(arguments(argv)))


def measure(options):
    print(machine())
    # A task's imports stand here, since the processes that are measured import this file too.
    if options.profile:
        if not importlib.util.find_spec("line_profiler"):
            raise ImportError("--profile needs: python -m pip install line_profiler")
        from .profile import profile

        profile(MODELS, options.rounds * options.seconds)
        propose("see what the lines compute", "explore")
        return
    if options.recipe:
        from .recipe import compare_recipes

        installed({"torch-eager": None})
        compare_recipes()
    else:
        rows = compared(options)
        if options.json:
            write_json(options.json, rows)
    propose("see where a training step spends its time", "benchmark", "--profile")


def compared(options):
    """Race the engines that are installed; return the rows of their table."""
    if options.classify:
        options.batch_size = options.batch_size or [1, 1000]
        return compare_classifiers(MODELS, installed(CLASSIFIERS), options)
    options.device = usable_device(options.device)
    if options.device == "cuda":
        options.batch_size = options.batch_size or [128, 1024]
        return compare(MODELS | VIT_S, installed(ON_GPU), options)
    options.batch_size = options.batch_size or [128]
    return compare(MODELS | READERS, installed(ENGINES), options)


def installed(engines):
    """The engines of a {name: engine} that can run; lines say how to install what others need."""
    needed = {RIVALS[name] for name in engines if name in RIVALS}
    missing = sorted(name for name in needed if not importlib.util.find_spec(name))
    for name in missing:
        print(f"{name} is not installed; to compare: python -m pip install {TESTED[name]}")
    return {name: engines[name] for name in engines if RIVALS.get(name) not in missing}


if __name__ == "__main__":
    sys.exit(main())
