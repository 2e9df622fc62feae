"""Every array of a pass, forward and backward, with the line that made it and its gradient.

record = trace(model, params, images, labels)
scores = record["blocks.1.attn.scores"]
print(scores.source, scores.value, scores.gradient)
"""

import copy
import difflib
import functools
from typing import Any

import numpy as np

from ...checks.inside import has_params
from ...html import table
from ...losses import cross_entropy
from ...params import Params
from .nudge import complex_step
from .pairing import pair_calls, pair_records
from .records import Record
from .tracer import Tracer


def trace(
    layer: Any,
    params: Params | dict,
    x: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    dy: np.ndarray | None = None,
) -> "Trace":
    """Run a forward and a backward pass, followed line by line; return a Trace.

    Arguments
        layer:  a `ViT`, or anything that follows the layer protocol
        params: its Params, or a nest as `init` makes it; {} for a layer without parameters
        x:      its input, for a ViT images (B, H, W, C)
        labels: (B,) integers, for the loss cross_entropy(y, labels); or instead
        dy:     of y's shape, for the loss Σ y · dy
    Errors: ValueError without labels and dy, or with both; and what the layer itself raises.
    """
    if (labels is None) == (dy is None):
        raise ValueError("trace: give either labels, for cross-entropy, or dy, the gradient of y")
    nest = params.nest if isinstance(params, Params) else params
    params = Params(nest)  # a copy, so that the pass can be repeated
    return Trace(layer, params, *copy.deepcopy((np.asarray(x), labels, dy)))


class Trace:
    """The Records of a pass in order; trace["blocks.1.attn.scores"] is the last one of that name.

    A name is the path of a layer and the array's name in its source. Parameters have their dotted
    names, and the input has the name that the layer gives it, "images" for a ViT. `versions` gives
    all values of a name, such as scores before and after scaling. If both directions use a name,
    it means the forward's array.

    records:    a list of Record, forward and backward
    parameters: a list of Record, one for each parameter
    loss:       a Python float
    """

    def __init__(self, layer, params, x, labels, dy):
        self.layer, self.params, self.x, self.labels, self.dy = layer, params, x, labels, dy
        self.grads = grads = params.zeros_like()
        leaves = {id(leaf): name for name, leaf in grads.named()}
        gradient_records = {}  # {name of a parameter: the last Record of its gradient}

        def meet(record, array, local):
            if id(array) in leaves:
                gradient_records[leaves[id(array)]] = record

        tracer = Tracer(layer, meet)
        y, cache = tracer.run(layer.forward, *self.nests(params), x)
        loss, dlogits = tracer.run(self.loss_of, y)
        tracer.run(layer.backward, *self.nests(params), dlogits, cache, *self.nests(grads))
        self.loss, self.records = float(loss), tracer.records
        self.pairs = pair_calls(tracer)
        pair_records(tracer, self.pairs)
        for record in self.records:
            if record.phase == "forward" and record.value.dtype.kind in "fc":
                record.differentiate = functools.partial(complex_step, self)
        self.parameters = [
            self._parameter(name, leaf, gradient_records.get(name)) for name, leaf in params.named()
        ]
        later = {"backward": 0, "forward": 1, "parameter": 2}  # wins if a name is in several
        records = sorted(self.records + self.parameters, key=lambda record: later[record.phase])
        self._named = {record.name: record for record in records}

    def _parameter(self, name, leaf, record):
        path, _, variable = name.rpartition(".")
        gradient = dict(self.grads.named())[name]
        if record is None or not np.array_equal(record.value, gradient, equal_nan=True):
            record = Record(path, "backward", f"d{variable}", gradient)  # of a line not followed
        return Record(path, "parameter", variable, leaf.copy(), gradient_record=record)

    def __iter__(self):
        return iter(self.records)

    def _repr_html_(self):
        """What a notebook shows: each line of the forward, and how large its gradient is."""
        rows = []
        for record in self.records:
            if record.phase == "forward" and not record.source.startswith("def "):
                found = record.gradient_record  # none is computed only to be shown
                size = f"{np.linalg.norm(found.value):.3g}" if found else ""
                rows.append((record.name, record.shape, size, record.source))
        header = ["array", "shape", "norm of its gradient", "line"]
        return table(f"Loss {self.loss:.4f}; {len(rows)} arrays of the forward", header, rows)

    def __getitem__(self, name):
        if name not in self._named:
            similar = difflib.get_close_matches(name, self._named, n=5)
            raise KeyError(f"trace: no array is called {name!r}; similar: {', '.join(similar)}")
        return self._named[name]

    def __contains__(self, name):
        return name in self._named

    def versions(self, name):
        """All Records of a name in order, of the phase that trace[name] has."""
        last = self[name]
        same = [r for r in self.records if r.name == name and r.phase == last.phase]
        return same or [last]

    def nests(self, params):
        """The parameters as arguments: [params], or [] for a layer without parameters."""
        return [params] if has_params(self.layer) else []

    def loss_of(self, y):
        """The loss of an output y, and its gradient."""
        if self.labels is None:
            return (y * self.dy).sum(), self.dy
        return cross_entropy(y, self.labels)
