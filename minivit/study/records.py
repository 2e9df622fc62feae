"""What a trace is made of: the calls of a pass, and what each of their lines did to an array."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..checks.inside import sublayers
from .statements import Statement


def is_array(value):
    return isinstance(value, (np.ndarray, np.generic))


def layers_of(layer, path="", seen=()):
    """Yield (path, layer) for a layer and all inside it, in lists, tuples and dicts too.

    An attribute gives its name to the path, "attn"; a list its name and the place, "blocks.1"; a
    dict the key alone, "pos", as in the nest of the parameters.
    """
    yield path, layer
    for name, part in sublayers(layer):
        if part not in seen:  # a part may know the whole
            deeper = f"{path}.{name}" if path else name
            yield from layers_of(part, deeper, (*seen, layer))


@dataclass(eq=False)
class Call:
    """One call of a layer's method, of the loss, or of a function that one of these calls."""

    path: str
    phase: str
    function: str
    file: str
    arguments: dict
    parent: "Call | None"
    start: int  # number of its first record
    head: Statement  # of the function
    statement: Statement  # the one that runs now, at first the head
    seen: dict = field(default_factory=dict)  # {name: (array, a copy of what it held last)}
    last: dict = field(default_factory=dict)  # {name: its last Record}
    spent: frozenset = frozenset()  # names whose memory another name has now
    made: dict = field(default_factory=dict)  # {id(y): the layer's call that returned it just now}
    returned: "Record | None" = None  # what it returned
    cache: object = None  # and what it kept for the backward

    @property
    def is_helper(self):
        """Whether it is no part of the protocol, but a function that a part of it calls."""
        return self.function not in ("forward", "backward", "cross_entropy")

    def changes(self, local):
        """Yield (name, array, bound) for each array that the statement bound or changed.

        Arrays change by the statement's own words, or because they share memory with one that does,
        such as the array of which `mix` is a view. The comparison with what was seen last is for
        functions that write into their arguments; it cannot stand alone, as memory fresh from
        `empty` may happen to hold what is about to be written.
        """
        statement = self.statement
        self.spent = (self.spent | statement.spent) - statement.bound
        written = [local[name] for name in statement.written if is_array(local.get(name))]
        for name, array in list(local.items()):
            if is_array(array) and name not in self.spent:
                last, copy = self.seen.get(name, (None, None))
                bound = array is not last or name in statement.bound
                shared = any(np.shares_memory(array, other) for other in written)
                if bound or shared or not np.array_equal(array, copy, equal_nan=True):
                    yield name, array, bound
        for keys in statement.grads:
            if None in keys:
                continue  # known only as it runs, such as grads[name]
            array = local["grads"]
            for key in keys:
                array = array[key]
            yield "d" + ".".join(map(str, keys)), array, False

    def record(self, name, array, bound, number):
        """The Record of a change; a later one in place tells the one before that it came."""
        loss_gradient = self.path == "loss" and name[:1] == "d" and name[1:] in self.seen
        if not bound and name in self.last:
            self.last[name].rewritten = True
        self.last[name] = Record(
            path=self.path,
            phase="backward" if loss_gradient else self.phase,
            variable=name,
            value=np.array(array),
            call=self,
            statement=self.statement,
            number=number,
            bound=bound,
            made_by=self.made.get(id(array)) if bound else None,
        )
        return self.last[name]

    def last_record_of(self, array):
        """The last Record of an array under any of its names, or None."""
        names = [name for name, (seen, _) in self.seen.items() if seen is array]
        records = [self.last[name] for name in names if name in self.last]
        return max(records, key=lambda record: record.number, default=None)


@dataclass(eq=False)
class Record:
    """What one statement did to one array.

    path:     of the layer in the model, such as "blocks.1.attn"; "loss"; "" for the model itself
    phase:    "forward", "backward" or "parameter"
    variable: the array's name in the source; "dw" for grads["w"]; "return" if it has none
    value:    a copy of the array as it was right after the statement (memory fresh from `empty`
              holds whatever it held before)
    number:   place in the order of the pass; None for a parameter
    bound:    whether the name got another array; else the one it had was changed in place
    answer:   the Record of the backward that holds the gradient of `value`; None if there is none
    """

    path: str
    phase: str
    variable: str
    value: np.ndarray = field(repr=False)
    call: Call | None = field(default=None, repr=False)
    statement: Statement | None = field(default=None, repr=False)
    number: int | None = None
    bound: bool = True
    rewritten: bool = field(default=False, repr=False)  # in place, by a later line of the call
    made_by: Call | None = field(default=None, repr=False)  # a layer that returned it to this line
    answer: "Record | None" = field(default=None, repr=False)
    differentiate: Callable | None = field(default=None, repr=False)  # Record -> its gradient

    @property
    def name(self):
        """The path and the variable, "blocks.1.attn.scores"; between them a helper's name."""
        helper = self.function if self.call and self.call.is_helper else ""
        return ".".join(part for part in (self.path, helper, self.variable) if part)

    @property
    def shape(self):
        return self.value.shape

    @property
    def source(self):
        """The whole statement as it is written in the source; "" for a parameter."""
        return self.statement.source if self.statement else ""

    @property
    def line(self):
        return self.statement.line if self.statement else None

    @property
    def file(self):
        return self.call.file if self.call else None

    @property
    def function(self):
        return self.call.function if self.call else None

    @property
    def gradient_source(self):
        """Where the gradient is from.

        "hand":         a line of the backward, in `answer`
        "complex step": no line of the backward holds it under its name; it is computed from the
                        layer's own forward, exact to rounding, and the gradient of its output
        None:           there is none, as for integers and for what the backward makes
        """
        if self.answer is not None:
            return "hand"
        return "complex step" if self.differentiate else None

    @cached_property
    def gradient(self):
        """dLoss/dvalue, of its shape, or None; `gradient_source` says where it is from."""
        if self.answer is not None:
            return self.answer.value
        return self.differentiate(self) if self.differentiate else None
