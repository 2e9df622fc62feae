"""The lines of Python that the page quotes: those that a trace has followed."""

import re
import textwrap
from pathlib import Path


def code_of(trace):
    """Return {name: {"source": lines, "place": "attention.py:80", "shape": list}} of a trace.

    "attn.scores@0" has the line that makes the first of trace.versions("attn.scores"), "…@1" that
    and the line of the second; the name alone is the last. Only block 0 is there, as "blocks.*",
    or as "decoder.blocks.*". In a trace of one letter, the names are those inside the reader.
    """
    lines, code = {}, {}
    for record in [*trace, *trace.parameters]:
        inside = record.name.removeprefix("reader.")
        if inside != record.name and inside in trace:
            continue  # the name of an array outside
        name = re.sub(r"^(decoder\.)?blocks\.0\.", r"\1blocks.*.", inside)
        if re.match(r"(decoder\.)?blocks\.\d", name) or record.phase != trace[record.name].phase:
            continue
        made = lines.setdefault(name, [])
        first, newline, rest = record.source.partition("\n")
        made.append(first + newline + textwrap.dedent(rest))
        place = f"{Path(record.file).name}:{record.line}" if record.file else ""
        source = "\n".join(dict.fromkeys(made))
        quoted = {"source": source, "place": place, "shape": list(record.shape)}
        code[name] = code[f"{name}@{len(made) - 1}"] = quoted
    return code
