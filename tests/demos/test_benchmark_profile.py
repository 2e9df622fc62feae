import importlib
import re

import pytest

from demos.benchmark import engines, profile
from demos.options import command
from tests.demos.test_benchmark import TINY

benchmark = importlib.import_module("demos.benchmark.__main__")
KINDS = {
    'out = rows @ params["w"]': "products",
    "xp.matmul(att, v, out=mix)": "products",
    "loss = (losses / B).sum()": "reductions",
    'grads["b"] += sum_rows(dout)': "reductions",
    "shifted = x - x[..., :1]": "element-wise",
    "gate *= 0.5": "element-wise",
    "gate = xp.tanh(inner, out=inner)": "element-wise",
    "rows = x.reshape(-1, self.d_in)": "copies",
    'cache["x"] = x': "Python",
    "rows = height // patch_size": "Python",
    'expect_shape("Linear", x, ..., self.d_in)': "Python",
}


@pytest.mark.parametrize("source, kind", KINDS.items())
def test_a_line_counts_as_the_heaviest_work_in_it(source, kind):
    assert profile.kind_of(source) == kind


def test_all_matrix_products_are_timed_and_no_line_twice():
    lines, step, peak = profile.measure(TINY, 0.01)
    products = [file for file, source in lines if profile.kind_of(source) == "products"]
    # As many operations as a step has, if the three of Linear and the six of Attention are found.
    assert sorted(products) == 6 * ["attention.py"] + 3 * ["linear.py"]
    assert engines.forward_operations(TINY).keys() == set(products)
    assert {"layernorm.py", "gelu.py", "softmax.py", "cross_entropy.py", "adam.py"} < {
        file for file, _ in lines
    }
    assert not [source for _, source in lines if ".forward(" in source or ".backward(" in source]
    assert step > 0 and peak > 0


def test_prints_shares_that_add_up_and_how_near_products_come_to_the_peak(monkeypatch, capsys):
    lines = {
        ("linear.py", "y = x @ w"): 0.002,
        ("linear.py", "dx = dy @ w.T"): 0.004,
        ("gelu.py", "y = x * gate"): 0.002,
    }
    operations = 3 * engines.forward_operations(TINY)["linear.py"] * profile.IMAGES
    peak = operations / 0.004  # the two products alone would take 4 ms at the peak
    measured = profile.Counter(lines), 0.010, peak
    monkeypatch.setattr(profile, "measure", lambda config, seconds: measured)
    monkeypatch.setattr(benchmark, "MODELS", {"tiny": TINY})
    assert benchmark.main(["--profile"]) == 0
    printed = capsys.readouterr().out
    assert printed.endswith(f": {command('explore')}\n")
    assert re.search(r"^products +6\.00 +75\.0%$", printed, re.M)
    assert "The lines add up to 80% of that step" in printed
    assert re.search(r"dx = dy @ w\.T +4\.00 +50\.0% +50% +products$", printed, re.M)
    assert re.search(r"y = x @ w +2\.00 +25\.0% +100% +products$", printed, re.M)
    assert re.search(r"y = x \* gate +2\.00 +25\.0% +element-wise$", printed, re.M)


def test_says_how_to_get_what_it_needs(monkeypatch, capsys):
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: None)
    assert benchmark.main(["--profile"]) == 2
    assert "pip install line_profiler" in capsys.readouterr().err
