"""Which line of the backward holds the gradient of which line of the forward.

Between a layer's forward call and the backward call that answers it,

- what came in is answered by what the backward returns;
- what the forward returns is answered by the dy that comes in, in the layer and where it is called;
- in between, `hidden` is answered by `dhidden`, as it is when the backward is done with it.

A name whose array is changed in place has several values and needs care. `scores *= self.scale` is
undone by a line of the same words, `dscores *= self.scale`: what dscores was before that line is
the gradient of what scores was after it. `y += b` needs no line, as a sum hands its gradient on
unchanged. Where any other change stands in the forward, or a name is bound several times, it cannot
be known from names which value a gradient belongs to, and none is said to.
"""

import re


def pair_calls(tracer):
    """{forward call of a layer: the backward call that answers it}; the last forward, the first."""
    calls = {"forward": {}, "backward": {}}
    for call in sorted(tracer.returned, key=lambda call: call.start):
        if call.function == call.phase:
            calls[call.function].setdefault((call.path, _depth(call)), []).append(call)
    pairs = {}
    for place, forward in calls["forward"].items():
        backward = calls["backward"].get(place, [])
        if len(forward) == len(backward):
            pairs |= zip(reversed(forward), backward, strict=True)
    return pairs


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
    losses = {call: call for call in tracer.returned if call.function == "cross_entropy"}
    for call, answer in (losses | pairs).items():
        for name, records in names[call].items():
            _by_name(records, names.get(answer, {}).get(f"d{name}", []))
    for call, answer in pairs.items():
        if call.returned:
            call.returned.answer = tracer.records[answer.start]
        tracer.records[call.start].answer = answer.returned
    for record in tracer.records:
        if record.answer is None and record.made_by in pairs:
            record.answer = tracer.records[pairs[record.made_by].start]


def _by_name(records, answers):
    """Answer the values of `scores`, the last one first, by those of `dscores`."""
    if not answers or sum(record.bound for record in records) > 1:
        return
    undone = [f"d{_words(record)}" for record in reversed(records) if _kind(record) == "update"]
    place = len(answers) - 1 - len(undone)  # the last one before the backward undoes them
    if place < 0 or [_words(answer) for answer in answers[place + 1 :]] != undone:
        return
    for record in reversed(records):
        record.answer = answers[place]
        if _kind(record) == "fill":
            break  # what the memory held before is of no account
        place += _kind(record) == "update"


def _kind(record):
    """How an array came to its value: "bound", "sum" (y += b), "fill" (out=y), else "update"."""
    if record.bound:
        return "bound"
    again = re.findall(r"\w+", _words(record)).count(record.variable) > 1
    if not record.statement.updates:
        return "fill" if record.statement.written and not again else "update"
    sums = (f"{record.variable} += ", f"{record.variable} -= ")
    return "sum" if _words(record).startswith(sums) and not again else "update"


def _words(record):
    """The statement without its comment."""
    return record.source.partition("#")[0].strip()
