"""What the command lines of the demos share."""

import argparse
import contextlib
import difflib
import shlex
import shutil
import signal
import sys
import warnings
from pathlib import Path

from minivit.backend import is_of_gpu

from .streams import reliable

EXPECTED = (
    ValueError, OSError, ImportError, FloatingPointError, MemoryError, NotImplementedError,
)  # fmt: skip


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help that shows an option's default, unless it has none or is a switch."""

    def _get_help_string(self, action):
        if action.default is None or action.nargs == 0:
            return action.help
        return super()._get_help_string(action)


def parser_of(demo, description, **more):
    """The parser of a demo's command line."""
    return argparse.ArgumentParser(
        prog=command(demo), description=description, formatter_class=Help, **more
    )


def new_file(path):
    """An option's file, refused at once if its folder is missing, and not after all the work."""
    if not Path(path).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {Path(path).parent}")
    return path


def run_folder(text):
    """An option's run, of which an empty name would be the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("expected a run's folder, such as runs/mnist, got ''")
    return text


def folder_of(run):
    """The folder of a run that is named by itself or by its place in runs/, if there is one."""
    return next(filter(Path.is_dir, (Path(run), Path("runs", run))), run)


def seed(text):
    """An option's seed, of which NumPy's generators take none below 0."""
    if int(text) < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return int(text)


def one_of(names, listing):
    """The type of an option that takes one of many names; see `unknown` for `listing`."""

    def name(text):
        if text not in names:
            raise argparse.ArgumentTypeError(unknown(text, names, listing))
        return text

    return name


def unknown(text, names, listing):
    """The message about a name that does not exist: similar ones, and how to see them all."""
    similar = " or ".join(difflib.get_close_matches(text, names))
    return f"there is no {text!r}. {similar and f'Did you mean {similar}? '}{listing}"


def sides(parser, options, name):
    """Make [height, width] of an option that is one number or two; else end as argparse does."""
    given = getattr(options, name)
    if len(given) > 2 or min(given) < 1:
        parser.error(f"--{name.replace('_', '-')} is one number or two, at least 1: {given}")
    setattr(options, name, [given[0], given[-1]])


def add_device(parser):
    """The option --device, of which `backend.usable_device` makes one that works."""
    device_help = "where to compute; auto: on a GPU, if one works"
    parser.add_argument(
        "--device", choices=["cpu", "cuda", "auto"], default="cpu", help=device_help
    )


def status(demo, work, *arguments):
    """Do the work of a demo; return its exit status, with a line about what went wrong on stderr.

    The status is what `work` returns (None is 0), 2 after an error, 130 after Ctrl-C, and 141 if
    nobody reads what is printed any more, as in `| head`: that is no error, and nothing is said.
    """
    with reliable():
        try:
            with interruptible(), warnings_in_a_line(demo):
                try:
                    return work(*arguments) or 0
                finally:
                    sys.stdout.flush()  # so that an error shows here, not as the interpreter exits
        except (Exception, KeyboardInterrupt) as error:
            return explain(demo, error)


def explain(demo, error):
    """Say in a line what went wrong, and return the exit status; raise an error that is a bug."""
    if isinstance(error.__cause__, KeyboardInterrupt) and isinstance(error, RuntimeError):
        error = error.__cause__  # Python 3.11 says so of one that comes while a class is made
    if isinstance(error, BrokenPipeError):
        return 141  # 128 + SIGPIPE, as shells have it
    if isinstance(error, KeyboardInterrupt):
        print(f"\n{demo}: {str(error) or 'stopped'}", file=sys.stderr)
        return 130
    if not (isinstance(error, EXPECTED) or is_of_gpu(error)):
        raise error
    print(f"{demo}: {error}", file=sys.stderr)
    return 2


@contextlib.contextmanager
def interruptible():
    """Inside the `with`, Ctrl-C is a KeyboardInterrupt, even in a demo's own process."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield
        return
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def warnings_in_a_line(demo):
    """Print a warning of the library, inside the `with`, as a demo says everything else."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"{demo}: {message}", file=sys.stderr)
        yield


def command(demo, *options):
    """The command line by which a person runs a demo, in the way in which this one was run.

    In a clone that is `python -m demos.DEMO` with the Python that runs now, elsewhere
    `minivit DEMO`; both are as short as the working directory and the PATH allow.
    """
    python, script = _from_here(Path(sys.executable)), Path(sys.argv[0]).absolute()
    if __package__ == "demos":
        start = [python, "-m", f"demos.{demo}"]
    elif script.stem != "minivit":  # python -m minivit.demos DEMO
        start = [python, "-m", __package__, demo]
    elif shutil.which("minivit") in (str(script), f"{script}.EXE"):
        start = ["minivit", demo]
    else:
        start = [_from_here(script), demo]
    return shlex.join([*start, *map(str, options)])


def propose(what, demo, *options, file=None):
    """Say at the end of a demo which one to try next: what it is for, and its command line."""
    print(f"\nNext, {what}: {command(demo, *options)}", file=file)


def _from_here(path):
    """The path of a program, relative to the working directory if it lies in a folder of it."""
    here = Path.cwd()
    return str(path.relative_to(here) if here in path.parents[1:] else path)
