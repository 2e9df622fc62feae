"""Backward passes that other people wrote by hand, checked through `minivit.gradcheck`.

    python -m docs.neighbours                    prints the table of neighbours.md
    python -m docs.neighbours --write            writes it into the page
    python -m docs.neighbours --clone            prints the git commands that fetch the sources
    python -m docs.neighbours --sources FOLDER   runs them, and says where a report differs

public_code.py and public_bugs.py have them, with what their reports say. The sources are in
FOLDER/owner+name.
"""

import argparse
import contextlib
import io
import sys
from pathlib import Path

import numpy as np

from .foreign import Source, stand_ins
from .other_checks import PAGE, written
from .public_bugs import NEIGHBOURS

FOLDER = "neighbours"


def report_of(each, folder):
    """Run it in silence; return its Report."""
    np.random.seed(0)  # of their initial weights
    with stand_ins(), contextlib.redirect_stdout(io.StringIO()):
        return each.run(Source(Path(folder) / each.folder))


def differs(each, report):
    """Say in what a report is not as stored, or return None."""
    if report.ok != (not each.says):
        return f"ok is {report.ok}"
    if each.says and each.says not in str(report):
        return f"it does not say: {each.says}"


def table():
    lines = ["| code | licence | by hand | the report | true? |", "|---|---|---|---|---|"]
    for each in NEIGHBOURS:
        code = f"`{each.repository}` {each.commit[:7]}, `{each.file}`: `{each.name}`"
        says = each.says or "all gradients agree"
        lines.append(f"| {code} | {each.licence} | {each.found} | {says} | {each.true} |")
    return lines


def clone():
    """The git commands that fetch each repository at its commit into FOLDER."""
    commits = {each.folder: (each.repository, each.commit) for each in NEIGHBOURS}
    for folder, (repository, commit) in commits.items():
        at = f"{FOLDER}/{folder}"
        yield f"git init -q {at}"
        yield f"git -C {at} fetch -q --depth 1 https://github.com/{repository} {commit}"
        yield f"git -C {at} checkout -q FETCH_HEAD"


def run_all(folder):
    """Print the report's explanation for each neighbour; return how many differ from the table."""
    count = 0
    for each in NEIGHBOURS:
        if not (Path(folder) / each.folder).is_dir():
            print(f"{each.repository}: not in {folder}; --clone prints how to fetch it")
            continue
        report = report_of(each, folder)
        difference = differs(each, report)
        count += bool(difference)
        verdict = (
            "all gradients agree"
            if report.ok
            else "; ".join(report.explanation() + report.problems)
        )
        print(f"{each.repository}, {each.name}: {verdict}")
        if difference:
            print(f"    NOT AS IN THE TABLE: {difference}")
    return count


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clone", action="store_true", help="print the git commands")
    parser.add_argument("--sources", type=Path, help="run them from this folder")
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    options = parser.parse_args(argv)
    if options.sources:
        return int(run_all(options.sources) > 0)
    print("\n".join(clone() if options.clone else table()))
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(written(page, "neighbours", table()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
