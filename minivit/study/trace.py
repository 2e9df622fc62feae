"""Every array of a pass, forward and backward, with the line that made it and its gradient.

record = trace(model, params, images, labels)
scores = record["blocks.1.attn.scores"]
print(scores.source, scores.value, scores.gradient)
"""

import copy
import difflib
import functools

import numpy as np

from ..checks.inside import has_params
from ..losses import cross_entropy
from ..params import Params
from .answers import find_answers, pair_calls
from .nudge import complex_step
from .records import Record
from .tracer import Tracer


def trace(layer, params, x, labels=None, *, dy=None):
    """Go forward and backward, followed line by line; return a Trace.

    Arguments
        layer:  a `ViT`, or anything that follows the layer protocol
        params: its Params, or a nest as `init` makes it
        x:      its input, for a ViT images (B, H, W, C)
        labels: (B,) integers, for a loss of cross_entropy(y, labels); or else
        dy:     of y's shape, for a loss of Σ y · dy
    Errors: ValueError without labels and dy, or with both; and what the layer itself raises.
    """
    if (labels is None) == (dy is None):
        raise ValueError("trace: give either labels, for cross-entropy, or dy, the gradient of y")
    params = Params(getattr(params, "nest", params))  # copies all, to go the same way again later
    return Trace(layer, params, *copy.deepcopy((np.asarray(x), labels, dy)))


class Trace:
    """The Records of a pass in their order; trace["blocks.1.attn.scores"] is the last of that name.

    A name is the path of a layer and the name that the source has for an array there. Parameters go
    by their dotted names, and so does the input by the name that the layer has for it, "images" for
    a ViT. What a name stands for in turn, such as scores before and after they are scaled, is in
    `versions`. Where a name is used in both directions, it is the forward's.

    records:    a list of Record, forward and backward
    parameters: a list of Record, one for each parameter
    loss:       a Python float
    """

    def __init__(self, layer, params, x, labels, dy):
        self.layer, self.params, self.x, self.labels, self.dy = layer, params, x, labels, dy
        self.grads = grads = params.zeros_like()
        leaves = {id(leaf): name for name, leaf in grads.named()}
        self.answers = {}  # {name of a parameter: the last Record of its gradient}

        def meet(record, array, local):
            if id(array) in leaves:
                self.answers[leaves[id(array)]] = record

        tracer = Tracer(layer, meet)
        y, cache = tracer.run(layer.forward, *self.nests(params), x)
        loss, dlogits = tracer.run(self.loss_of, y)
        tracer.run(layer.backward, *self.nests(params), dlogits, cache, *self.nests(grads))
        self.loss, self.records = float(loss), tracer.records
        self.pairs = pair_calls(tracer)
        find_answers(tracer, self.pairs)
        for record in self.records:
            if record.phase == "forward" and record.value.dtype.kind in "fc":
                record.differentiate = functools.partial(complex_step, self)
        self.parameters = [self._parameter(name, leaf) for name, leaf in params.named()]
        later = {"backward": 0, "forward": 1, "parameter": 2}  # wins where a name has several
        records = sorted(self.records + self.parameters, key=lambda record: later[record.phase])
        self._named = {record.name: record for record in records}

    def _parameter(self, name, leaf):
        path, _, variable = name.rpartition(".")
        gradient = dict(self.grads.named())[name]
        answer = self.answers.get(name)
        if answer is None or not np.array_equal(answer.value, gradient, equal_nan=True):
            answer = Record(path, "backward", f"d{variable}", gradient)  # by a line not followed
        return Record(path, "parameter", variable, leaf.copy(), answer=answer)

    def __iter__(self):
        return iter(self.records)

    def __len__(self):
        return len(self.records)

    def __getitem__(self, name):
        if name not in self._named:
            near = difflib.get_close_matches(name, self._named, n=5)
            raise KeyError(f"trace: no array is called {name!r}; near are {', '.join(near)}")
        return self._named[name]

    def __contains__(self, name):
        return name in self._named

    def names(self):
        """The names of all parameters, then of all arrays in the order in which they appear."""
        return list(dict.fromkeys(record.name for record in self.parameters + self.records))

    def versions(self, name):
        """All Records of a name, in the phase of the one that trace[name] is, in order."""
        last = self[name]
        same = [r for r in self.records if r.name == name and r.phase == last.phase]
        return same or [last]

    def nests(self, params):
        """The parameters as an argument, [params]; [] for a layer that takes none."""
        return [params] if has_params(self.layer) else []

    def loss_of(self, y):
        """The loss of an output y, and its gradient."""
        if self.labels is None:
            return (y * self.dy).sum(), self.dy
        return cross_entropy(y, self.labels)
