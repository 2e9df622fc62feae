"""Which line of the backward holds the gradient of which line of the forward.

Between a layer's forward call and the backward call that answers it,

- what came in is answered by what the backward returns;
- what the forward returns is answered by the dy that comes in, in the layer and where it is called;
- in between, `hidden` is answered by `dhidden`, as it is when the backward is done with it.

A name whose array is changed in place has several values and needs care. `scores *= self.scale` is
undone by a line of the same words, `dscores *= self.scale`: what dscores was before that line is
the gradient of what scores was after it. `y += b` needs no line, as a sum hands its gradient on
unchanged, if nothing was made of y before. Where any other change stands in the forward or in the
backward, or a name is bound several times, it cannot be known from names which value a gradient
belongs to, and none is said to.
"""

import itertools
import linecache
import re


def pair_calls(tracer):
    """{forward call of a layer: the backward call that answers it}.

    They belong together by the cache that one returns and the other is handed; where that is
    another object, the last forward belongs to the first backward.
    """
    calls = {"forward": {}, "backward": {}}
    for call in sorted(tracer.returned, key=lambda call: call.start):
        if call.function == call.phase:
            calls[call.function].setdefault((call.path, _depth(call)), []).append(call)
    pairs = {}
    for place, forward in calls["forward"].items():
        backward = calls["backward"].get(place, [])
        if len(forward) == len(backward):
            by_cache = [_of_cache(call, forward) for call in backward]
            if None in by_cache or len(set(by_cache)) < len(forward):
                by_cache = reversed(forward)
            pairs |= zip(by_cache, backward, strict=True)
    return pairs


def _of_cache(backward, forward):
    """The forward call whose cache the backward call is handed, or None."""
    handed = [value for value in backward.arguments.values() if isinstance(value, (dict, list))]
    found = [call for call in forward if any(call.cache is value for value in handed)]
    return found[0] if len(found) == 1 else None


def _depth(call):
    """How often a method of the same layer and name waits for this one, as super().forward does."""
    depth, outer = 0, call.parent
    while outer and (outer.path, outer.function) == (call.path, call.function):
        depth, outer = depth + 1, outer.parent
    return depth


def find_answers(tracer, pairs):
    """Set `answer` of each Record of the forward for which a line of the backward is found."""
    names = {}  # {call: {name: its records in order}}
    for record in tracer.records:
        names.setdefault(record.call, {}).setdefault(record.variable, []).append(record)
    for call, answer in pairs.items():
        for name, records in names[call].items():
            _by_name(records, names.get(answer, {}).get(f"d{name}", []))
    for call in tracer.returned:
        if call.function == "cross_entropy":  # it returns the gradient of what came in
            tracer.records[call.start].answer = names[call]["dlogits"][-1]
    for call, answer in pairs.items():
        if call.returned:
            call.returned.answer = tracer.records[answer.start]
        tracer.records[call.start].answer = answer.returned
    for record in tracer.records:
        if record.answer is None and record.made_by in pairs:
            record.answer = tracer.records[pairs[record.made_by].start]


def _by_name(records, answers):
    """Answer the values of `scores`, the last one first, by those of `dscores`."""
    kinds = [_kind(record, before) for before, record in itertools.pairwise([None, *records])]
    if not answers or "bound" in kinds[1:] or "tangled" in kinds:
        return
    undone = [
        f"d{_words(record)}"
        for record, kind in zip(reversed(records), reversed(kinds), strict=True)
        if kind == "update"
    ]
    place = len(answers) - 1 - len(undone)  # the last one before the backward undoes them
    if place < 0 or [_words(answer) for answer in answers[place + 1 :]] != undone:
        return
    made = [_kind(answer, None) for answer in answers[: place + 1]]
    if made[0] != "bound" or not {*made[1:]} <= {"sum", "fill"}:
        return  # it was bound again or changed, so that it became another array's gradient
    for record, kind in zip(reversed(records), reversed(kinds), strict=True):
        if record.shape != answers[place].shape:
            return
        record.answer = answers[place]
        if kind == "fill":
            break  # what the memory held before is of no account
        place += kind == "update"


def _kind(record, before):
    """How an array came to its value.

    "bound", by its name; "sum", y += b; "fill", out=y; "tangled", a sum with what may have been
    made of y since the record `before`; or else "update".
    """
    if record.bound:
        return "bound"
    again = _mentions(record.variable, [_words(record)]) > 1
    if not record.statement.updates:
        return "fill" if record.statement.written and not again else "update"
    sums = (f"{record.variable} += ", f"{record.variable} -= ")
    if not _words(record).startswith(sums) or again:
        return "update"
    between = linecache.getlines(record.file)[before.line : record.line - 1] if before else []
    return "tangled" if _mentions(record.variable, between) else "sum"


def _mentions(name, lines):
    return sum(re.findall(r"\w+", line.partition("#")[0]).count(name) for line in lines)


def _words(record):
    """The statement without its comment."""
    return record.source.partition("#")[0].strip()
