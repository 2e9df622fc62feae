"""What PyTorch's code is called with and what it leaves: Functions, and modules with parameters.

Nothing here imports PyTorch: whoever has such code has imported it.
"""

import copy
import sys

import numpy as np

from .source import argument_names, namesake


class Function:
    """An autograd.Function on arguments."""

    def __init__(self, function, arguments):
        base = sys.modules["torch"].autograd.Function
        with_ctx = function.setup_context is base.setup_context
        names = argument_names(function.forward, len(arguments) + with_ctx)
        self.function, self.arguments, self.names = function, arguments, names[with_ctx:]
        self.parameters = {}

    def __call__(self, tensors):
        """What it returns for {name: tensor}."""
        return self.function.apply(*self._inputs(tensors))

    def _inputs(self, tensors):
        dtype = next(iter(tensors.values())).dtype
        given = zip(self.names, self.arguments, strict=True)
        return [tensors[name] if name in tensors else _cast(each, dtype) for name, each in given]

    def gradients(self, tensors, outputs, dys):
        """The gradient of each tensor, or None."""
        wanted = [self.parameters.get(name, tensor) for name, tensor in tensors.items()]
        torch = sys.modules["torch"]
        return torch.autograd.grad(outputs, wanted, dys, allow_unused=True)

    def passes(self, outputs):
        """The functions whose local variables name what happens inside."""
        return self.function.forward, self.function.backward


def _cast(value, dtype):
    """An argument that is not differentiated, as a tensor if it is an array."""
    torch = sys.modules["torch"]
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if not isinstance(value, torch.Tensor):
        return copy.deepcopy(value)
    value = value.detach().cpu().clone()
    return value.to(dtype) if value.is_floating_point() else value


class Module(Function):
    """A copy of a module on arguments, with its parameters.

    Its gradients are those of autograd, or what a method backward(dy) of its own leaves on it.
    """

    def __init__(self, module, arguments):
        self.module, self.arguments = copy.deepcopy(module).cpu(), arguments
        self.names = argument_names(module.forward, len(arguments))
        several = self.module.named_parameters()
        self.parameters = {name: each for name, each in several if each.requires_grad}
        self.buffers = [(each, each.clone()) for each in self.module.buffers()]

    def __call__(self, tensors):
        dtype = next(iter(tensors.values())).dtype
        self.module.to(dtype)
        for buffer, before in self.buffers:
            buffer.data = before.to(dtype) if before.is_floating_point() else before.clone()
        for name, parameter in self.parameters.items():
            parameter.data, parameter.grad = tensors[name].data, None
        return self.module(*self._inputs(tensors))

    def gradients(self, tensors, outputs, dys):
        if not callable(getattr(self.module, "backward", None)):
            return super().gradients(tensors, outputs, dys)
        with sys.modules["torch"].no_grad():
            returned = self.module.backward(*dys)
        returned = returned if isinstance(returned, (tuple, list)) else [returned]
        of_inputs = [name for name in tensors if name not in self.parameters]
        found = dict(zip(of_inputs, returned, strict=False))
        found |= {name: self._left(name, each) for name, each in self.parameters.items()}
        return [found.get(name) for name in tensors]

    def _left(self, name, parameter):
        """The gradient that backward leaves in .grad, or beside the parameter, as grad_weight."""
        if parameter.grad is not None:
            return parameter.grad
        path, _, last = name.rpartition(".")
        for key, value in vars(self.module.get_submodule(path)).items():
            if hasattr(value, "detach") and namesake(key, [last], itself=False) is not None:
                return value

    def passes(self, outputs):
        if callable(getattr(self.module, "backward", None)):
            return type(self.module).forward, type(self.module).backward
        own = next((_function_behind(output.grad_fn, set()) for output in outputs), None)
        return (own.forward, own.backward) if own else ()


def _function_behind(node, seen):
    """The first autograd.Function on the way back from a node of PyTorch's graph, or None."""
    if node is None or node in seen:
        return None
    seen.add(node)
    own = getattr(type(node), "_forward_cls", None)
    if own is not None:
        return own
    several = (_function_behind(inner, seen) for inner, _ in node.next_functions)
    return next(filter(None, several), None)


def array_from(value):
    """A new array of a tensor, wherever it is, or of an array."""
    return np.array(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
