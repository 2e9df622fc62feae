"""What the command lines of the demos share."""

import argparse
import shlex
import sys
from pathlib import Path


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


def command(demo, *options):
    """The command line by which a person runs a demo with the Python that runs now."""
    python, here = Path(sys.executable), Path.cwd()
    python = python.relative_to(here) if python.is_relative_to(here) else python
    return shlex.join([str(python), "-m", f"demos.{demo}", *map(str, options)])
