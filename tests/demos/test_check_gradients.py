import sys

import cv2
import pytest

import minivit
from demos import check_gradients
from demos.options import command


@pytest.mark.slow
@pytest.mark.thorough
def test_everything_is_right(capsys, tmp_path):
    picture = tmp_path / "sweep.png"
    assert check_gradients.main(["--sweep", str(picture)]) == 0
    printed = capsys.readouterr().out
    for name in check_gradients.CHECKS:
        header = "name  " if name in check_gradients.CASES else "ok     "
        assert f"\n{name}\n{header}" in f"\n{printed}"
    assert "ok     every token reaches every token" in printed
    assert "\nAll right: linear, gelu, gelu_exact, mlp" in printed
    assert cv2.imread(str(picture)).std() > 5


def test_a_wrong_gradient_is_named_and_the_status_is_1(monkeypatch, capsys):
    backward = minivit.layers.Linear.backward
    monkeypatch.setattr(minivit.layers.Linear, "backward", lambda *rest: 2 * backward(*rest))
    names = list(check_gradients.CHECKS)
    names = names[: names.index("patches") + 1]  # of all that is wrong now, the first few
    checks = {name: check_gradients.CHECKS[name] for name in names}
    monkeypatch.setattr(check_gradients, "CHECKS", checks)
    assert check_gradients.main([]) == 1
    printed = capsys.readouterr().out
    wrong = "NOT RIGHT: linear, mlp, attention, block, scaled_block, post_norm, patches"
    assert f"\n{wrong}" in printed
    assert "Not right: x." in printed


def test_a_layer_that_lacks_its_extra_is_named_and_the_status_is_1(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    assert check_gradients.main(["--layer", "gelu_exact"]) == 1
    printed = capsys.readouterr().out
    assert "gelu_exact\nnot checked: exact GELU needs SciPy" in printed
    assert "\nNOT CHECKED: gelu_exact\n" in printed


def test_a_fault_is_switched_on_seen_and_switched_off_again(capsys):
    assert check_gradients.main(["--fault", "scale_forgotten"]) == 1
    printed = capsys.readouterr().out
    assert "Switched on: scale_forgotten: Scores are not divided by √d at all. (delzac" in printed
    assert "\n-dscores *= self.scale\n" in printed
    assert "\nNOT RIGHT: structure\n" in printed
    assert check_gradients.main(["--fault", "scale_forgotten", "--layer", "attention"]) == 1
    assert check_gradients.main(["--fault", "scale_forgotten", "--layer", "gelu"]) == 0
    assert check_gradients.main(["--layer", "structure"]) == 0


def test_a_mistyped_name_is_refused_with_those_that_look_alike(capsys):
    with pytest.raises(SystemExit):
        check_gradients.main(["--fault", "scale_forgoten"])
    printed = capsys.readouterr().err
    assert "'scale_forgoten'. Did you mean scale_forgotten" in printed
    assert printed.endswith("? --list-faults lists all\n")
    names = [name for name in check_gradients.faults() if name in printed]
    assert len(names) < 6


def test_faults_are_listed_with_their_sources(capsys):
    assert check_gradients.main(["--list-faults"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith(f": {command('write_backward', 'attention')}")
    assert len(lines) == 3 * len(check_gradients.faults()) + 2
    place = lines.index("keys_not_transposed (attention)")
    assert lines[place + 2] == "    Dao-AILab/flash-attention, issue 373"
