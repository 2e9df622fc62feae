"""A page of docs/derivations as the tests read it: sections, and in each its prose and blocks.

A page has three kinds of blocks, told apart by the word after the opening fence:

    equations  evaluated line by line (equations.py): matrices, formulas of arrays, numbers
    python     under a line that names a function: a quote of the source; else code, which is run
    text       under code: what it prints; else a formula with free indices, which has no decimals
"""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "derivations"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ORIGIN = re.compile(r"^`([\w.]+)` in \[([\w/.]+)\]\(([\w/.]+)\)")
INLINE = re.compile(r"`([^`]+)`")


class Block(NamedTuple):
    kind: str  # equations, python, text; or prose
    text: str
    origin: tuple | None = None  # ("Attention.backward", "minivit/layers/attention.py", link)


class Section(NamedTuple):
    title: str
    blocks: list

    def of(self, kind):
        return [block for block in self.blocks if block.kind == kind]

    @property
    def code(self):
        """The code of this section's example, or None."""
        runnable = [block.text for block in self.of("python") if not block.origin]
        assert len(runnable) <= 1, f"{self.title}: one example a section"
        return runnable[0] if runnable else None

    @property
    def equations(self):
        """The text of everything that must be evaluated, in the order of the page."""
        for block in self.blocks:
            if block.kind == "equations":
                yield block.text
            elif block.kind == "prose":
                for inline in INLINE.findall(block.text):
                    if re.search(r"\s[≈≠]\s|\s=\s.*\d|\d.*\s=\s", inline):
                        yield inline


def sections(text):
    """The sections of a page; the first is everything before the first `##`."""
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        title, _, body = section.partition("\n")
        yield Section(title.lstrip("# "), list(_blocks(body)))


def _blocks(body):
    end = 0
    for match in FENCED.finditer(body):
        prose = body[end : match.start()]
        yield Block("prose", prose)
        above = prose.strip().splitlines()[-1:]
        origin = ORIGIN.match(above[0]) if above and match[1] == "python" else None
        yield Block(match[1], match[2], origin and origin.groups())
        end = match.end()
    yield Block("prose", body[end:])
