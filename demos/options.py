"""What the command lines of the demos share."""

import argparse
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
