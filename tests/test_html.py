"""What notebooks show: every text is escaped, long tables fold, and the numbers are right."""

import re

import numpy as np
import pytest

import minivit
from minivit.checks.report import Findings
from minivit.html import table
from minivit.layers import Linear, PreNormBlock
from minivit.models import CNN, Encoder
from minivit.study import trace

MODEL = minivit.ViT(
    image_size=(4, 6), patch_size=2, channels=3, dim=6, depth=1, heads=2, mlp_dim=5, classes=3
)


def cells(html):
    """The texts of a table, row by row."""
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [re.findall(r"<t[hd][^>]*>(?:<code>)?(.*?)(?:</code>)?</t[hd]>", row) for row in rows]


def test_texts_are_escaped_and_long_tables_fold():
    html = table("a < b", ["x", "y"], [("<script>", 1), ("q & k", "ü")])
    assert cells(html) == [["x", "y"], ["&lt;script&gt;", "1"], ["q &amp; k", "ü"]]
    assert html.startswith("<p>a &lt; b</p>")
    assert table("", ["n"], [(n,) for n in range(31)]).startswith("<details><summary>")
    assert table("", ["n"], [(n,) for n in range(30)]).startswith("<p>")


def test_parameters():
    params = minivit.Params({"fc": {"w": np.array([[1.0, -3.0]]), "b": np.zeros(2)}})
    html = params._repr_html_()
    assert cells(html)[1:] == [["fc.w", "(1, 2)", "2", "2"], ["fc.b", "(2,)", "2", "0"]]
    assert "4 numbers, float64" in html


@pytest.mark.parametrize("kind", [minivit.ViT, Encoder])
def test_models(kind):
    config = dict(MODEL.config)
    if kind is Encoder:
        for name in ("classes", "pool", "norm_pooled", "pre_logits", "stem"):
            del config[name]
    html = kind(**config)._repr_html_()
    assert f"{kind.__name__}: 2 x 3 patches, 6 tokens" in html
    assert ["mlp_dim", "5"] in cells(html)


def test_a_convolutional_network():
    html = CNN(image_size=(4, 6), channels=1, classes=3, dims=(5, 7))._repr_html_()
    assert "CNN: 2 stages" in html
    assert ["dims", "[5, 7]"] in cells(html)


def test_a_trace_shows_lines_with_their_gradients_and_computes_none():
    rng = np.random.default_rng(0)
    params = minivit.Params(MODEL.init(rng, np.float64))
    params["head"]["w"][...] = rng.standard_normal((6, 3))
    record = trace(MODEL, params, rng.standard_normal((2, 4, 6, 3)), np.array([0, 2]))
    for each in record.records:
        each.differentiate = None  # would be called, and fail
    html = record._repr_html_()
    assert f"Loss {record.loss:.4f}" in html
    scores = record["blocks.0.attn.scores"]
    norm = f"{np.linalg.norm(scores.gradient):.3g}"
    assert ["blocks.0.attn.scores", "(2, 2, 6, 6)", norm, "scores *= self.scale"] in [
        [name, shape, norm, line] for name, shape, norm, line in cells(html)
    ]
    assert not any(line.startswith("def ") for *_, line in cells(html))


class Wrong(Linear):
    def backward(self, params, dy, cache, grads):
        return 2 * super().backward(params, dy, cache, grads)


def test_reports_and_findings():
    x = np.random.default_rng(0).standard_normal((2, 3, 6))
    right = minivit.gradcheck(PreNormBlock(6, 2, 5), x)._repr_html_()
    assert "<p>All right: complex, full</p>" in right
    assert ["name", "shape", "worst error", "at", "analytic", "numeric", "verdict"] in cells(right)
    report = minivit.gradcheck(Wrong(6, 4), x)
    assert "NOT RIGHT" in report._repr_html_()
    assert "<li>Not right: x.</li>" in report._repr_html_()
    assert str(report).endswith("\nNot right: x.")
    findings = Findings()
    findings.add("a <b>", True, "")
    findings.add("c", False, "off by 1")
    assert cells(findings._repr_html_())[1:] == [["a &lt;b&gt;", "ok"], ["c", "WRONG: off by 1"]]
    assert findings._repr_html_().startswith("<p>NOT RIGHT</p>")
