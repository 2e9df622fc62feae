"""A short piece of real work for every demo, to hold all of them to the same rules."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import minivit
from minivit import pretrained
from tests.data.idx import few_digits
from tests.data.shapes import write_shapes
from tests.saved_runs import untrained

ROOT = Path(__file__).parents[2]
TINY = "--epochs 1 --shards 1 --dim 8 --depth 1 --heads 1 --mlp-dim 8"
SEARCHES = importlib.util.find_spec("optuna") is not None
DETECTS = importlib.util.find_spec("pycocotools") is not None  # which few need
READ = f"--strips 8 --test-strips 2 {TINY} --decoder-depth 1 --run made"
SEARCH = "--epochs 1 --batch-size 120 --shards 1"
DETECT = f"--image-size 48 --scenes 8 --test-scenes 2 {TINY} --run made"
WORK = {  # in the folder that `prepare` fills
    "attention_backprop": "run --data digits --digit 0",
    "benchmark": "--rounds 1 --seconds 0.01 --batch-size 2",
    "check_gradients": "--layer linear",
    "detect": DETECT if DETECTS else "--help",
    "evaluate": "run digits",
    "explore": "run --data digits --digit 0 --write page.html --no-browser",
    "export": "run run.onnx",
    "find_the_bug": "--seed 1",
    "finetune": "published digits --epochs 2 --shards 1 --run made",
    "generate": "--steps 1",
    "patch_image": "digit.png",
    "photo": "published digit.png --image-size 28",
    "post_norm": "--help",  # takes minutes
    "predict": "run digit.png",
    "pretrain": f"--data digits --patch-size 14 {TINY} --decoder-dim 4 --run made",
    "read": READ,
    "sort": "--steps 1",
    "train_images": f"shapes --image-size 8 {TINY} --batch-size 4 --run made",
    "train_mnist": f"--data digits --patch-size 14 {TINY} --run made",
    "tune": f"--data digits --trials 2 {SEARCH}" if SEARCHES else "--help",
    "write_backward": "softmax",
}
TRAINS = (*["detect"] * DETECTS, "finetune", "pretrain", "read", "train_images", "train_mnist")


def prepare(folder):
    """Fill a folder with a run, a published network and images."""
    few_digits(folder / "digits")
    write_shapes(folder / "shapes", 6)
    shutil.copy(ROOT / "demos" / "samples" / "three-drawn.png", folder / "digit.png")
    (folder / "run").mkdir()
    untrained().save(folder / "run")
    sizes = dict(
        image_size=28, patch_size=7, channels=3, dim=12, depth=1, heads=3, mlp_dim=8, classes=5,
        pool="cls", activation="gelu_exact",
    )  # fmt: skip
    model = minivit.ViT(**sizes)
    params = minivit.Params(model.init(np.random.default_rng(0)))
    pretrained.save(model, params, folder / "published", "huggingface")
    about = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "published" / "preprocessor_config.json").write_text(json.dumps(about))


def started(demo, folder, redirect="", work=None, **options):
    """A demo at its work as a process, with a shell's redirections."""
    command = f'exec "$0" -m demos.{demo} {WORK[demo] if work is None else work} {redirect}'
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
    pipes = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return subprocess.Popen(
        ["/bin/sh", "-c", command, sys.executable],
        cwd=folder, env=environment, **pipes | options,
    )  # fmt: skip


def expect_a_line_at_most(errors):
    """A demo's standard error has one line at most, beside what it says when all went well."""
    lines = [line for line in errors.decode().splitlines() if line]
    others = [line for line in lines if not line.startswith(("Written: ", "Next, "))]
    assert len(others) <= 1, errors.decode()
