"""What the command lines of the demos share."""

import argparse
import shlex
import sys
from pathlib import Path

from minivit.backend import is_of_gpu

EXPECTED = (ValueError, OSError, ImportError, FloatingPointError, MemoryError)


def parser_of(demo, description, **more):
    """The parser of `python -m demos.DEMO`, whose help shows every default."""
    return argparse.ArgumentParser(
        prog=f"python -m demos.{demo}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        **more,
    )


def new_file(path):
    """An option's file, refused at once if its folder is missing, and not after all the work."""
    if not Path(path).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {Path(path).parent}")
    return path


def seed(text):
    """An option's seed, of which NumPy's generators take none below 0."""
    if int(text) < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return int(text)


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

    That is what `work` returns (None is 0), 2 after an error, and 130 after Ctrl-C.
    """
    try:
        return work(*arguments) or 0
    except Exception as error:
        if not (isinstance(error, EXPECTED) or is_of_gpu(error)):
            raise
        print(f"{demo}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\n{demo}: {str(stop) or 'stopped'}", file=sys.stderr)
        return 130


def command(demo, *options):
    """The command line by which a person runs a demo with the Python that runs now."""
    python, here = Path(sys.executable), Path.cwd()
    python = python.relative_to(here) if python.is_relative_to(here) else python
    return shlex.join([str(python), "-m", f"demos.{demo}", *map(str, options)])
