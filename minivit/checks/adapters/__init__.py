"""Adapters for other people's code: each turns a form of it into a layer of the protocol."""

import contextlib
import inspect
import sys

import numpy as np

from .autograd import adapted_torch
from .code import Code
from .fitting import adapted_code, as_returned
from .nests import leaves
from .source import parameters_of
from .state import State, global_randomness_kept
from .stateful import adapted_object, methods_of


@contextlib.contextmanager
def adapted(code, arguments, order, seed):
    """While this lasts, the Adapted of somebody's code, or None for a layer of the protocol.

    code, arguments: the first argument of gradcheck and all the others: two functions and what they
        take; a function that returns a loss and its gradients, and what it takes; an object with
        forward(x) and backward(dy), and x; a torch.autograd.Function or module, and what it takes
    order: the names of the arrays whose gradients backward returns, in that order

    Afterwards the object holds what it held, and the global random numbers go on as before.
    """
    with contextlib.ExitStack() as stack:
        yield _adapted(code, arguments, order, seed, stack)


def _adapted(code, arguments, order, seed, stack):
    torch = sys.modules.get("torch")
    of_torch = torch and _is_of_torch(torch, code)
    if not (of_torch or is_function(code) or keeps_state(code)):
        return None
    stack.enter_context(global_randomness_kept())
    if of_torch:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)  # more are slower on small arrays
        return adapted_torch(code, arguments, order, seed)
    if is_function(code):
        function, *rest = arguments
        rest = _of_floats(rest)
        if not is_function(function):
            return adapted_code(Code(code, as_returned, _of_floats(arguments), seed), order)
        of_one = inspect.ismethod(code) and code.__self__ is getattr(function, "__self__", None)
        if not of_one:
            return adapted_code(Code(code, function, rest, seed), order)
        code, methods, arguments = code.__self__, (code, function), rest
    else:
        methods = methods_of(code)
    stack.callback(State(code).restore)
    return adapted_object(code, *methods, arguments, order, seed)


def _of_floats(arguments):
    """The arguments; if none of them holds floats, the first one as an array of floats."""
    if not arguments or any(True for _ in leaves(arguments)):
        return tuple(arguments)
    try:
        return np.array(arguments[0], np.float64), *arguments[1:]
    except (TypeError, ValueError):
        return tuple(arguments)


def is_function(value):
    """Whether a value is called itself, and not its forward."""
    is_object = isinstance(value, type) or hasattr(value, "forward") or methods_of(value)[1]
    return callable(value) and not is_object


def keeps_state(layer):
    """Whether backward of an object takes the upstream gradient alone, and no cache."""
    forward, backward = methods_of(layer)
    if isinstance(layer, type) or forward is None or backward is None:
        return False
    parameters = parameters_of(backward) or []
    few = sum(required for _, required, _ in parameters) < 2
    return few and not any(several for *_, several in parameters)


def _is_of_torch(torch, code):
    if isinstance(code, type):
        return issubclass(code, torch.autograd.Function)
    return isinstance(code, torch.nn.Module)
