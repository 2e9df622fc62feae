import cv2
import pytest

import minivit
from demos import check_gradients


def test_everything_is_right(capsys, tmp_path):
    picture = tmp_path / "sweep.png"
    assert check_gradients.main(["--sweep", str(picture)]) == 0
    printed = capsys.readouterr().out
    for name in check_gradients.CHECKS:
        assert f"\n{name}\nname  " in f"\n{printed}"
    assert "ok     every token reaches every token" in printed
    assert printed.splitlines()[-1].startswith("All right: linear, gelu, mlp")
    assert cv2.imread(str(picture)).std() > 5


@pytest.mark.parametrize("options", [["--method", "central"], ["--mode", "directional"]])
def test_one_layer_in_another_way(capsys, options):
    assert check_gradients.main(["--layer", "mlp", "--seed", "3", *options]) == 0
    printed = capsys.readouterr().out
    assert f"({options[1]}, full)" in printed or f"(complex, {options[1]})" in printed
    assert printed.endswith("\nAll right: mlp\n")


def test_a_wrong_gradient_is_named_and_the_status_is_1(monkeypatch, capsys):
    backward = minivit.layers.Linear.backward
    monkeypatch.setattr(minivit.layers.Linear, "backward", lambda *rest: 2 * backward(*rest))
    assert check_gradients.main([]) == 1
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith("NOT RIGHT: linear, mlp, attention, block, patches")
    assert "Not right: x." in printed


def test_a_wrong_structure_is_named_and_the_status_is_1(monkeypatch, capsys):
    for block in check_gradients.MODEL.blocks:
        monkeypatch.setattr(block.attn, "scale", 1.0)
    assert check_gradients.main(["--layer", "vit"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "NOT RIGHT: the structure of vit"


@pytest.mark.parametrize("option", [["--seed", "-1"], ["--sweep", "nowhere/x.png"]])
def test_refuses_options_that_cannot_work(option):
    with pytest.raises(SystemExit):
        check_gradients.arguments(option)
