"""Submissions that try to get what they have not written, or to do harm: all must be refused.

They stay harmless where the refusals are broken: few forks, signal 0, the test's own folder.
"""

import os
from typing import NamedTuple

import minivit
from tests.study.lessons.answers import body_of, written

PACKAGE = os.path.dirname(minivit.__file__)
WRONG = 'return dy * cache["y"]'


class Hostile(NamedTuple):
    """A submission for softmax. says: what its line must contain."""

    says: str
    body: str = WRONG
    end: str = ""  # lines after the class
    slow: bool = False  # it is stopped when its time is over


SOLVE = "kind = {}\nsource = inspect.getsource(kind.backward)\nraise Exception(source[-80:])"
HOSTILE = {
    # that would not end
    "loops": Hostile("it was still ", "while True:\n    pass", slow=True),
    "loops-on-import": Hostile("it was still ", end="while True:\n    pass", slow=True),
    "sleeps": Hostile("it was still ", "import time\ntime.sleep(10**6)", slow=True),
    "ignores-the-signal": Hostile(
        "it was still ",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    pass",
        slow=True,
    ),
    "recurses": Hostile("RecursionError", "return self.backward(dy, cache)"),
    "reads-stdin": Hostile("EOFError", "return float(input('dx? '))"),
    # too much of something
    "forks": Hostile("may not use os.fork", "import os\nfor _ in range(3):\n    os.fork()"),
    "starts-a-shell": Hostile("may not use os.system", end="import os\nos.system('sleep 9 &')"),
    "starts-a-process": Hostile(
        "may not use subprocess.Popen", "import subprocess\nsubprocess.run(['sleep', '9'])"
    ),
    "prints": Hostile("x: ", "for _ in range(20):\n    print('rubbish' * 10**6)\n" + WRONG),
    "fills-memory": Hostile("MemoryError", "return np.ones(10**10)"),
    "fills-the-disk": Hostile(
        "OSError", "with open('big', 'wb') as file:\n    file.write(bytes(10**8))\n" + WRONG
    ),
    "many-files": Hostile(
        "may not write", "for i in range(10**4):\n    open(str(i), 'w').close()\n" + WRONG
    ),
    # the solution, from elsewhere
    "imports-the-solution": Hostile(
        "calls minivit's own Softmax.backward",
        "from minivit.layers import Softmax as Solved\nreturn Solved().backward(dy, cache)",
    ),
    "imports-the-plain-one": Hostile(
        "calls minivit's own Softmax.backward",
        "from minivit.study.lessons.plain import Softmax as S\nreturn S().backward(dy, cache)",
    ),
    "reads-the-source": Hostile(
        "this calls minivit's own",
        "import inspect, minivit.layers\n" + SOLVE.format("minivit.layers.Softmax"),
    ),
    "reads-by-path": Hostile(
        "may not read", f"raise Exception(open({PACKAGE + '/layers/softmax.py'!r}).read())"
    ),
    "imports-by-path": Hostile(
        "may not read",
        "from importlib import util\n"
        f"spec = util.spec_from_file_location('s', {PACKAGE + '/layers/softmax.py'!r})\n"
        "spec.loader.exec_module(util.module_from_spec(spec))",
    ),
    "reads-the-catalogue": Hostile(
        "ValueError: empty",
        "from minivit.checks.faults import faults\nif not faults():\n    raise ValueError('empty')",
    ),
    "lets-torch-do-it": Hostile("may not import torch", end="import torch"),
    "complex-step": Hostile(
        "has complex numbers",
        "dx = np.zeros_like(dy)\nfor i in np.ndindex(dy.shape):\n"
        "    moved = np.log(cache['y']) + 0j\n    moved[i] += 1e-30j\n"
        "    dx[i] = (self.forward(moved)[0] * dy).sum().imag / 1e-30\nreturn dx",
    ),
    "finite-differences": Hostile(
        "it was still ",
        "x, dx = np.log(cache['y']), np.zeros_like(dy)\nfor i in np.ndindex(dy.shape):\n"
        "    step = np.zeros_like(x)\n    step[i] = 1e-5\n"
        "    change = self.forward(x + step)[0] - self.forward(x - step)[0]\n"
        "    dx[i] = (change * dy).sum() / 2e-5\nreturn dx",
        slow=True,
    ),
    "neighbours-answer": Hostile(
        "may not read", "raise Exception(open(FOLDER + '/right/softmax_backward.py').read())"
    ),
    # a forged grade
    "exits": Hostile("ended Python before it was graded", end="import os\nos._exit(0)"),
    "exits-politely": Hostile("SystemExit", end="import sys\nsys.exit(0)"),
    "exits-in-backward": Hostile("SystemExit", "raise SystemExit(0)"),
    "patches-numpy": Hostile("x: ", end="np.allclose = np.array_equal = lambda *_, **__: True"),
    "patches-the-checker": Hostile(
        "its gradients are wrong",
        end="import minivit.checks.report as report\nreport.Report.ok = True",
    ),
    "patches-the-grader": Hostile(
        "its gradients are wrong",
        end="import sys\n"
        "said = {'ok': True, 'report': 'All right.', 'cause': ''}\n"
        "sys.modules['__main__'].explained = lambda *_: said",
    ),
    "writes-the-result": Hostile(
        "ended Python before",
        end="import os\nfor i in range(3, 9):\n    try:\n        os.write(i, b'x' * 9**5)\n"
        "    except OSError:\n        pass\nos._exit(0)",
    ),
    "remembers-the-first": Hostile(
        "two backward passes differ",
        "self.calls = getattr(self, 'calls', 0) + 1\ny = cache['y']\n"
        "dx = y * (dy - (dy * y).sum(axis=-1, keepdims=True))\n"
        "return dx if self.calls == 1 else dx * 2",
    ),
    "not-a-number": Hostile("it is not finite", "return dy * np.nan"),
    "equal-to-all": Hostile(
        "backward returns Same",
        "class Same:\n    shape, dtype = dy.shape, dy.dtype\n"
        "    def __eq__(self, other):\n        return True\nreturn Same()",
    ),
    "another-forward": Hostile(
        "the forward computes other numbers",
        "return dy.copy()",
        "Softmax.forward = lambda self, x: (x.copy(), {'y': x})",
    ),
    # harm
    "writes-outside": Hostile("may not write", "open(OUTSIDE, 'w').write('hello')"),
    "deletes": Hostile("may not use", "import shutil\nshutil.rmtree(FOLDER)"),
    "kills-the-grader": Hostile("may not use os.kill", "import os\nos.kill(os.getppid(), 0)"),
    "phones-home": Hostile(
        "may not use socket", "import socket\nsocket.create_connection(('127.0.0.1', 9))"
    ),
    "calls-c": Hostile("may not use ctypes", "import ctypes\nctypes.CDLL(None).abort()"),
    "colours": Hostile("RuntimeError", "raise RuntimeError('\\x1b[31m\\n=HYPERLINK()')"),
}


def submit(folder, student, outside):
    """Write a hostile student's submission to a folder of submissions."""
    hostile, place = HOSTILE[student], folder / student
    place.mkdir(parents=True)
    names = f"FOLDER, OUTSIDE = {str(folder)!r}, {str(outside)!r}\n"
    written(place, "softmax", hostile.body, lambda text: f"{text}\n{names}{hostile.end}\n")
    (place / "softmax.py").rename(place / "softmax_backward.py")


def submit_answer(folder, student, name, diff=None):
    """Write a right answer, or a wrong one, to a folder of submissions."""
    place = folder / student
    place.mkdir(parents=True, exist_ok=True)
    written(place, name, body_of(name, diff)).rename(place / f"{name}_backward.py")
