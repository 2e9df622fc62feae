"""Move one number of a pass, right after the line that made it, and see what the loss does."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from ...checks.inside import has_params
from ...losses import cross_entropy
from ...params import Params
from .records import Record
from .tracer import Tracer

MOST = 20_000  # numbers to differentiate one by one, which takes some minutes
STEP = 1e-30  # of the complex step, see checks/numeric.py


class Nudge(NamedTuple):
    """slope: the central difference of the loss. gradient: that of the trace, for this number."""

    slope: float
    gradient: float


def nudge(trace: Any, name: str | Record, index: tuple | int, eps: float = 1e-4) -> Nudge:
    """Repeat the pass with ±eps added to one number; return the loss's slope and the gradient.

    Arguments
        name:  of a parameter, the input or an array of the forward, which is moved right after the
               last line that changes it. Or a Record of the trace, to choose another line:
               trace.versions("blocks.1.attn.scores")[0]
        index: of the number, such as (0, 1, 3, 5)
    Only this name is moved. Other names of the same array keep the old numbers: x, say, names both
    the input of a block's branch and the way past it.

    The passes run in float64, whatever dtype the trace has. Errors: KeyError for an unknown name;
    ValueError for what no loss depends on, integers and what the backward computes; IndexError.
    """
    if not eps:
        raise ValueError(f"nudge: eps must not be zero, got {eps!r}")
    record = trace[name] if isinstance(name, str) else name
    if not record.movable:
        raise ValueError(
            f"nudge: {record.name} of the {record.phase}, {record.value.dtype}, cannot be moved; "
            "choose a parameter, or an array of floats that has a name in the forward"
        )
    index = tuple(np.atleast_1d(index).tolist()) if record.value.ndim else ()
    if len(index) != record.value.ndim or not all(type(place) is int for place in index):
        raise IndexError(
            f"nudge: {record.name} has the shape {record.shape}; got the index {index}"
        )
    by_hand = record.gradient_source == "hand"
    gradient = record.gradient[index] if by_hand else _complex_slope(trace, record, index)
    above, below = (loss_with(trace, record, index, change) for change in (eps, -eps))
    return Nudge((above - below) / (2 * eps), float(gradient))


def loss_with(trace, record, index, change):
    """The loss of the whole pass with something added to one number."""
    params, x = trace.params.astype(np.float64), trace.x.astype(np.float64)
    if record.phase == "parameter":
        dict(params.named())[record.name][index] += change
        return float(trace.loss_of(trace.layer.forward(*trace.nests(params), x)[0])[0])
    tracer = _mover(trace, record, 0, index, change)
    y, _ = tracer.run(trace.layer.forward, *trace.nests(params), x)
    return float(tracer.run(trace.loss_of, y)[0])


def _mover(trace, record, start, index, change):
    """A Tracer that adds `change` right after the line of `record`; it starts at number `start`."""

    def meet(met, array, local):
        if met.number == record.number - start:
            if met.name != record.name:
                raise ValueError(f"{record.name}: the repeated pass computes {met.name} here")
            if record.bound and not record.rewritten:  # its other names keep the old numbers
                array = local[met.variable] = np.array(array)
            array[index] += change

    return Tracer(trace.layer, meet)


def complex_step(trace, record):
    """dLoss/dvalue of a Record by the complex step: exact to rounding, number by number.

    Errors: ValueError if the layer's forward is not analytic, as with abs(x), and for more than
    `MOST` numbers, as each takes a pass through the layer.
    """
    if record.value.size > MOST:
        raise ValueError(
            f"{record.name}: no line of the backward holds its gradient, and {record.value.size:,} "
            "numbers take too long one by one; trace fewer images, or nudge single numbers"
        )
    try:
        gradient = np.empty(record.shape)
        for index in np.ndindex(record.shape):
            gradient[index] = _complex_slope(trace, record, index)
        direction = np.random.default_rng(0).standard_normal(record.shape)
        above, below = (_layer_loss(trace, record, ..., h * direction) for h in (1e-5, -1e-5))
    except (TypeError, np.exceptions.ComplexWarning) as error:
        raise ValueError(
            f"{record.name}: no complex step goes through its layer: {error}"
        ) from error
    slopes = np.array([(gradient * direction).sum(), (above - below) / 2e-5])
    if abs(slopes[0] - slopes[1]) > 1e-4 * np.abs(gradient * direction).sum() + 1e-9:
        raise ValueError(
            f"{record.name}: its layer is not analytic, as the slope along a random direction is "
            f"{slopes[0]:.6g} by the complex step and {slopes[1]:.6g} by central differences"
        )
    return gradient.astype(record.value.dtype)


def _complex_slope(trace, record, index):
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        return _layer_loss(trace, record, index, 1j * STEP).imag / STEP


def _layer_loss(trace, record, index, change):
    """The loss as a function of the record's layer alone: Σ of its output · that output's gradient.

    Only the layer's own forward is repeated, in the dtype of `change`, float64 or complex128.
    """
    call = record.call
    while call.parent and call not in trace.pairs:
        call = call.parent
    dtype = np.result_type(np.asarray(change).dtype, np.float64)
    x = trace.records[call.start].value.astype(dtype)
    tracer = _mover(trace, record, call.start, index, change)
    if call.function == "cross_entropy":
        return tracer.run(cross_entropy, x, trace.labels)[0]
    layer, *given = call.arguments.values()
    nests, others = [], given[1:]  # beside x: a memory, lengths, …
    if has_params(layer):
        nests, others = [Params(getattr(given[0], "nest", given[0])).astype(dtype)], given[2:]
    y, _ = tracer.run(layer.forward, *nests, x, *others)
    if call not in trace.pairs:  # the outermost one, around layers that have a backward
        return trace.loss_of(y)[0]
    return (y * trace.records[trace.pairs[call].start].value).sum()
