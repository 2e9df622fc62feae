"""Which line of the backward holds the gradient of which line of the forward.

`pair_calls` pairs each forward call of a layer with its backward call; `pair_records` then pairs
their lines:

- the gradient of the input is what the backward returns;
- the gradient of the output is the dy that the backward receives, in the layer and in its caller;
- the gradient of any other array, `hidden`, is `dhidden` once the backward is done with it.

An array that changes in place has several values, and so has its gradient. `scores *= self.scale`
is undone by the same line for the gradient, `dscores *= self.scale`: dscores before that line is
the gradient of scores after it. `y += b` needs no such line, as a sum passes its gradient on
unchanged, unless y was used before the sum; nor does `hide_later(scores)`, as the gradient of what
it hides is zero. After any other change in place, or if a name is bound several times, names cannot
tell which value a gradient belongs to; then nothing is paired.
"""

import itertools
import linecache
import re


def pair_calls(tracer):
    """Return {forward call of a layer: its backward call}.

    The cache pairs them: one returns it, the other receives it. Where that is not the same object,
    they are paired if no other forward of the layer is left.
    """
    calls = sorted(tracer.returned, key=lambda call: call.start)
    pairs = {}
    for backward in [call for call in calls if call.function == call.phase == "backward"]:
        same_layer = [
            call
            for call in calls
            if (call.path, call.function, call.phase) == (backward.path, "forward", "forward")
            and call not in pairs
        ]
        caches = [arg for arg in backward.arguments.values() if isinstance(arg, (dict, list))]
        by_cache = [call for call in same_layer if any(call.cache is cache for cache in caches)]
        if by_cache or len(same_layer) == 1:
            pairs[(by_cache or same_layer)[0]] = backward  # the outer one, if it calls super()
    return pairs


def pair_records(tracer, pairs):
    """Set `gradient_record` of each forward Record whose gradient a line of the backward holds."""
    names = {}  # {call: {name: its records in order}}
    for record in tracer.records:
        names.setdefault(record.call, {}).setdefault(record.variable, []).append(record)
    for forward, backward in pairs.items():
        for name, records in names[forward].items():
            _pair_versions(records, names.get(backward, {}).get(f"d{name}", []))
    for call in tracer.returned:
        if call.function == "cross_entropy":  # it returns the gradient of its input
            tracer.records[call.start].gradient_record = names[call]["dlogits"][-1]
    for forward, backward in pairs.items():
        if forward.returned:
            forward.returned.gradient_record = tracer.records[backward.start]
        tracer.records[forward.start].gradient_record = backward.returned
    for record in tracer.records:
        if record.gradient_record is None and record.output_of in pairs:
            record.gradient_record = tracer.records[pairs[record.output_of].start]


def _pair_versions(values, gradients):
    """Pair the versions of `scores`, the last one first, with those of `dscores`."""
    kinds = [_kind(record, before) for before, record in itertools.pairwise([None, *values])]
    if not gradients or "bound" in kinds[1:] or "tangled" in kinds:
        return
    backwards = list(zip(reversed(values), reversed(kinds), strict=True))
    undoing = [f"d{_code(record)}" for record, kind in backwards if kind == "update"]
    place = len(gradients) - 1 - len(undoing)  # the last one before the backward undoes the updates
    if place < 0 or [_code(gradient) for gradient in gradients[place + 1 :]] != undoing:
        return
    built = [_kind(gradient, None) for gradient in gradients[: place + 1]]
    if built[0] != "bound" or not {*built[1:]} <= {"sum", "fill"}:
        return  # bound again or changed: by then it is the gradient of another array
    for record, kind in backwards:
        if record.shape != gradients[place].shape:
            return
        record.gradient_record = gradients[place]
        if kind == "fill":
            break  # the old content does not matter
        place += kind == "update"


def _kind(record, before):
    """How an array came to its value.

    "bound", to its name; "sum", y += b, or hidden scores; "fill", out=y; "tangled", a sum with
    something that may depend on y as it was in the record `before`; otherwise "update".
    """
    if record.bound:
        return "bound"
    if _code(record).startswith("hide_"):
        return "sum"
    again = _mentions(record.variable, [_code(record)]) > 1
    if not record.statement.updates:
        return "fill" if record.statement.written and not again else "update"
    sums = (f"{record.variable} += ", f"{record.variable} -= ")
    if not _code(record).startswith(sums) or again:
        return "update"
    between = linecache.getlines(record.file)[before.line : record.line - 1] if before else []
    return "tangled" if _mentions(record.variable, between) else "sum"


def _mentions(name, lines):
    return sum(re.findall(r"\w+", line.partition("#")[0]).count(name) for line in lines)


def _code(record):
    """The statement without its comment."""
    return record.source.partition("#")[0].strip()
