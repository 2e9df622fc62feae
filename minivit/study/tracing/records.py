"""What a trace consists of: the calls of a pass, and what each of their lines did to an array."""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...checks.inside import sublayers
from .statements import Statement


def is_array(value):
    return isinstance(value, (np.ndarray, np.generic))


def layers_of(layer, path="", seen=()):
    """Yield (path, layer) for a layer and all layers inside it, in lists, tuples and dicts too.

    An attribute adds its name to the path, "attn"; a list its name and the position, "blocks.1"; a
    dict the key alone, "pos", as in the nest of the parameters.
    """
    yield path, layer
    for name, part in sublayers(layer):
        if part not in seen:  # a part may refer back to the whole
            deeper = f"{path}.{name}" if path else name
            yield from layers_of(part, deeper, (*seen, layer))


@dataclass(eq=False)
class Call:
    """One call of a layer's method, of the loss, or of a function called from there."""

    path: str
    phase: str
    function: str
    file: str
    arguments: dict
    parent: "Call | None"
    start: int  # number of its first record
    head: Statement  # the `def`
    statement: Statement  # the one that is running, at first the head
    seen: dict = field(default_factory=dict)  # {name: (array, a copy of its latest content)}
    last: dict = field(default_factory=dict)  # {name: its latest Record}
    spent: frozenset = frozenset()  # names whose memory belongs to another name now
    outputs: dict = field(default_factory=dict)  # {id(y): the layer's call that returned it}
    returned: "Record | None" = None
    cache: object = None  # what a forward keeps for its backward

    @property
    def is_helper(self):
        """Whether it is not part of the protocol, but a function that the layer calls."""
        return self.function not in ("forward", "backward", "cross_entropy")

    def changes(self, local):
        """Yield (name, array, bound) for each array that the statement bound or changed.

        An array changes if the statement says so, or if it shares memory with one that does, as
        `mix`, a view of another array. Comparing contents finds the functions that write into their
        arguments; alone it is not enough, as fresh memory from `empty` may happen to hold what is
        about to be written.
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
            array = functools.reduce(operator.getitem, keys, local["grads"])
            yield "d" + ".".join(map(str, keys)), array, False

    def record(self, name, array, bound, number):
        """Return the Record of a change; one in place marks the record before it as rewritten."""
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
            output_of=self.outputs.get(id(array)) if bound else None,
        )
        return self.last[name]

    def last_record_of(self, array):
        """The latest Record of an array under any of its names, or None."""
        names = [name for name, (seen, _) in self.seen.items() if seen is array]
        records = [self.last[name] for name in names if name in self.last]
        return max(records, key=lambda record: record.number, default=None)


@dataclass(eq=False)
class Record:
    """What one statement did to one array."""

    path: str  # of the layer in the model, such as "blocks.1.attn"; "loss"; "" for the model
    phase: str  # "forward", "backward" or "parameter"
    variable: str  # the name in the source; "dw" for grads["w"]; "return" if it has none
    value: np.ndarray = field(repr=False)  # a copy right after the statement
    call: Call | None = field(default=None, repr=False)
    statement: Statement | None = field(default=None, repr=False)
    number: int | None = None  # its position in the pass; None for a parameter
    bound: bool = True  # the statement gave the name another array; else it changed the old one
    rewritten: bool = field(default=False, repr=False)  # in place, by a later line of the call
    output_of: Call | None = field(default=None, repr=False)  # the layer's call that returned it
    gradient_record: "Record | None" = field(default=None, repr=False)  # of the backward
    differentiate: Callable | None = field(default=None, repr=False)  # Record -> its gradient

    @property
    def name(self):
        """The path and the variable, "blocks.1.attn.scores"; a helper's name between them."""
        helper = self.call.function if self.call and self.call.is_helper else ""
        return ".".join(part for part in (self.path, helper, self.variable) if part)

    @property
    def shape(self):
        return self.value.shape

    @property
    def source(self):
        """The whole statement as the source has it; "" for a parameter."""
        return self.statement.source if self.statement else ""

    @property
    def line(self):
        return self.statement.line if self.statement else None

    @property
    def file(self):
        return self.call.file if self.call else None

    @property
    def gradient_source(self):
        """Where the gradient comes from.

        "hand":         from a line of the backward, `gradient_record`
        "complex step": no line of the backward holds it by name; it is computed from the layer's
                        forward and the gradient of its output, exact to rounding
        None:           there is none, as for integers and for what the backward computes
        """
        if self.gradient_record is not None:
            return "hand"
        return "complex step" if self.differentiate else None

    @property
    def movable(self):
        """Whether `nudge` can move it: the loss depends on it, and it has a name."""
        return self.gradient_source is not None and self.variable != "return"

    @functools.cached_property
    def gradient(self):
        """dLoss/dvalue, of value's shape, or None; see `gradient_source`."""
        if self.gradient_source == "hand":
            return self.gradient_record.value
        return self.differentiate(self) if self.differentiate else None
