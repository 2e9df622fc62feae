"""What a model computes from numbers out of all proportion is refused, not printed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import minivit
from demos import attention_backprop, evaluate, explore, finetune, photo, predict
from minivit import pretrained
from minivit.data.normalize import Normalize
from tests.data.idx import few_digits
from tests.saved_runs import untrained

DIGIT = Path(__file__).parents[2] / "demos" / "samples" / "three-drawn.png"
SIZES = dict(
    image_size=28, patch_size=7, channels=3, dim=12, depth=1, heads=3, mlp_dim=8, classes=5,
    pool="cls", activation="gelu_exact",
)  # fmt: skip
ASKED = [
    (predict, ["run", str(DIGIT)]),
    (predict, ["run", str(DIGIT), "--json"]),
    (predict, ["run", str(DIGIT), "--attention", "a.png"]),
    (evaluate, ["run", "digits"]),
    (evaluate, ["run", "digits", "--json"]),
    (explore, ["run", "--data", "digits", "--digit", "0", "--write", "page.html"]),
    (explore, ["run", "--image", str(DIGIT), "--write", "page.html"]),
    (attention_backprop, ["run", "--data", "digits", "--digit", "0"]),
    (attention_backprop, ["run", "--data", "digits"]),
    (photo, ["published", str(DIGIT), "--image-size", "28"]),
    (finetune, ["published", "digits", "--epochs", "1", "--shards", "1"]),
    (finetune, ["published", "digits", "--epochs", "1", "--shards", "1", "--body"]),
]
CAUSES = {"mean": 1e308, "std": 1e-320, "weights": 1e38}


def spoil(cause):
    """A run and a published network, both with a number out of all proportion."""
    of_run, classifier = {"mean": 0.1, "std": 0.3}, untrained()
    model = minivit.ViT(**SIZES)
    published = minivit.Params(model.init(np.random.default_rng(0)))
    if cause == "weights":
        for params in (classifier.params, published):
            params.flat *= np.float32(1e38 / abs(params.flat).max())
    else:
        of_run[cause] = CAUSES[cause]
    classifier.normalize = Normalize(**of_run)
    Path("run").mkdir()
    classifier.save("run")
    pretrained.save(model, published, "published", "huggingface")
    about = {"image_mean": [of_run["mean"]] * 3, "image_std": [of_run["std"]] * 3}
    Path("published/preprocessor_config.json").write_text(json.dumps(about))


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("demo, options", ASKED, ids=lambda part: getattr(part, "__name__", None))
def test_a_number_out_of_all_proportion_is_named_and_no_answer_given(
    demo, options, cause, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    few_digits("digits")
    spoil(cause)
    assert demo.main(options) == 2
    printed = capfd.readouterr()
    assert not re.search(r"\b(nan|inf)", printed.out, re.IGNORECASE)
    (line,) = printed.err.splitlines()
    named = "weight" if cause == "weights" else "config"
    if "--body" not in options:
        assert "not finite: " in line and named in line
    assert not [path for path in ("page.html", "a.png", "look.jpg") if Path(path).exists()]
