import subprocess
import sys
from pathlib import Path

from demos import check_gradients
from demos.__main__ import demos, main

ROOT = Path(__file__).parents[2]


def test_lists_every_demo_in_a_line_and_imports_none():
    code = (
        "import sys; from demos.__main__ import main; main([]); "
        "print(sorted({'cv2', 'matplotlib', 'demos.explore'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    *lines, _, help_line, imported = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(demos())
    assert {"benchmark", "explore", "train_mnist"} < set(demos())
    assert not {"__main__", "options", "training", "digit"} & set(demos())
    assert f"{'check_gradients':<20}{check_gradients.__doc__}" in lines
    assert help_line.endswith(" -m demos.explore --help")
    assert imported == "[]"


def test_runs_a_demo_by_its_name(capsys):
    assert main(["check-gradients", "--layer", "linear"]) == 0
    assert "All right: linear\n" in capsys.readouterr().out


def test_refuses_what_is_no_demo(capsys):
    assert main(["explor"]) == 2
    similar = "Did you mean explore or export?"
    printed = f"minivit: there is no 'explor'. {similar} --help lists all demos\n"
    assert capsys.readouterr().err == printed
    assert main(["options"]) == 2
