"""PyTorch's code with a backward by hand: Functions and modules."""

import math

import numpy as np
import torch
from torch import nn

RNG = np.random.default_rng(8)


def drawn(*shape):
    return RNG.standard_normal(shape)


class LinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, w)
        return x @ w.t() + b

    @staticmethod
    def backward(ctx, grad_output):
        x, w = ctx.saved_tensors
        grad_x = grad_output @ w
        grad_w = grad_output.t() @ x
        grad_b = grad_output.sum(0)
        return grad_x, grad_w, grad_b


class ReLUFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        grad_x = grad_output.clone()
        grad_x[x < 0] = 0
        return grad_x


class GELUFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        phi = torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
        cdf = 0.5 * (1 + torch.erf(x / math.sqrt(2)))
        return grad * (cdf + x * phi)


class SwishFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        s = torch.sigmoid(x)
        ctx.save_for_backward(x, s)
        return x * s

    @staticmethod
    def backward(ctx, grad):
        x, s = ctx.saved_tensors
        return grad * (s + x * s * (1 - s))


class SoftmaxFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores):
        s = torch.exp(scores - scores.max(dim=-1, keepdim=True).values)
        s = s / s.sum(dim=-1, keepdim=True)
        ctx.save_for_backward(s)
        return s

    @staticmethod
    def backward(ctx, ds):
        (s,) = ctx.saved_tensors
        return s * (ds - (s * ds).sum(dim=-1, keepdim=True))


class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        mean = x.mean(-1, keepdim=True)
        rstd = torch.rsqrt(((x - mean) ** 2).mean(-1, keepdim=True) + eps)
        x_hat = (x - mean) * rstd
        ctx.save_for_backward(x_hat, rstd, weight)
        return x_hat * weight + bias

    @staticmethod
    def backward(ctx, dy):
        x_hat, rstd, weight = ctx.saved_tensors
        dx_hat = dy * weight
        mean = dx_hat.mean(-1, keepdim=True)
        along = (dx_hat * x_hat).mean(-1, keepdim=True)
        dx = (dx_hat - mean - x_hat * along) * rstd
        dweight = (dy * x_hat).flatten(0, -2).sum(0)
        dbias = dy.flatten(0, -2).sum(0)
        return dx, dweight, dbias, None


class AttentionFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v):
        scale = q.shape[-1] ** -0.5
        att = torch.softmax(q @ k.transpose(-1, -2) * scale, dim=-1)
        ctx.save_for_backward(q, k, v, att)
        ctx.scale = scale
        return att @ v

    @staticmethod
    def backward(ctx, dout):
        q, k, v, att = ctx.saved_tensors
        scale = ctx.scale
        dv = att.transpose(-1, -2) @ dout
        datt = dout @ v.transpose(-1, -2)
        dscores = att * (datt - (att * datt).sum(-1, keepdim=True)) * scale
        dq = dscores @ k
        dk = dscores.transpose(-1, -2) @ q
        return dq, dk, dv


class CrossEntropyFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels):
        log_p = torch.log_softmax(logits, dim=1)
        ctx.save_for_backward(log_p, labels)
        return -log_p[torch.arange(len(labels)), labels].mean()

    @staticmethod
    def backward(ctx, grad_output):
        log_p, labels = ctx.saved_tensors
        N = len(labels)
        grad = log_p.exp()
        grad[torch.arange(N), labels] -= 1
        return grad_output * grad / N, None


class SquaredError(torch.autograd.Function):
    """With a target of floats that has no gradient."""

    @staticmethod
    def forward(ctx, prediction, target):
        ctx.save_for_backward(prediction, target)
        return ((prediction - target) ** 2).mean()

    @staticmethod
    def backward(ctx, grad_output):
        prediction, target = ctx.saved_tensors
        return grad_output * 2 * (prediction - target) / prediction.numel(), None


class ExpFunction(torch.autograd.Function):
    """In the new style: setup_context, and forward without ctx."""

    @staticmethod
    def forward(x):
        return x.exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, grad_output):
        (y,) = ctx.saved_tensors
        return grad_output * y


class Product(torch.autograd.Function):
    """Two outputs."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a * b, a - b

    @staticmethod
    def backward(ctx, dproduct, ddifference):
        a, b = ctx.saved_tensors
        return dproduct * b + ddifference, dproduct * a - ddifference


class DropoutFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, p):
        mask = (torch.rand_like(x) >= p).to(x.dtype) / (1 - p)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, dout):
        (mask,) = ctx.saved_tensors
        return dout * mask, None


class LinearModule(nn.Module):
    def __init__(self, function=LinearFunction):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(drawn(3, 4), dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(3))
        self.function = function

    def forward(self, x):
        return self.function.apply(x, self.weight, self.bias)


class Network(nn.Module):
    def __init__(self, function=ReLUFunction):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 6), nn.Linear(6, 3)
        self.function = function

    def forward(self, x):
        return self.fc2(self.function.apply(self.fc1(x)))


class Normed(nn.Module):
    def __init__(self, function=LayerNormFunction):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))
        self.linear = nn.Linear(4, 3)
        self.function = function

    def forward(self, x):
        return self.linear(self.function.apply(x, self.weight, self.bias, 1e-5))


class ManualLinear(nn.Module):
    """A module with a backward of its own, which leaves gradients in .grad."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(drawn(3, 4), dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        self.x = x
        return x @ self.weight.T + self.bias

    def backward(self, dout):
        self.weight.grad = dout.T @ self.x
        self.bias.grad = dout.sum(0)
        return dout @ self.weight


def labels(classes, count):
    return torch.tensor(RNG.integers(0, classes, count))


RIGHT = {  # what gradcheck gets; of modules, the class
    "linear": (LinearFunction, drawn(5, 4), drawn(3, 4), drawn(3)),
    "linear_marked": (
        LinearFunction,
        *(torch.tensor(drawn(*s), requires_grad=True) for s in ((5, 4), (3, 4), (3,))),
    ),
    "relu": (ReLUFunction, torch.tensor(drawn(5, 4))),
    "gelu": (GELUFunction, drawn(5, 4)),
    "swish": (SwishFunction, torch.tensor(drawn(5, 4), dtype=torch.float32)),
    "softmax": (SoftmaxFunction, drawn(2, 3, 4)),
    "layernorm": (LayerNormFunction, drawn(2, 3, 4), np.ones(4), np.zeros(4), 1e-5),
    "attention": (AttentionFunction, drawn(2, 3, 4), drawn(2, 3, 4), drawn(2, 3, 4)),
    "cross_entropy": (CrossEntropyFunction, drawn(5, 4), labels(4, 5)),
    "squared_error": (SquaredError, drawn(5, 4), drawn(5, 4)),
    "exp": (ExpFunction, torch.tensor(drawn(5, 4), requires_grad=True)),
    "product": (Product, drawn(5, 4), drawn(5, 4)),
    "dropout": (DropoutFunction, drawn(6, 7) + 9, 0.3),
    "linear_module": (LinearModule, drawn(5, 4)),
    "network": (Network, drawn(5, 4)),
    "normed": (Normed, drawn(5, 4)),
    "manual": (ManualLinear, torch.tensor(drawn(5, 4))),
}
OF_MODULES = {"linear_module": "linear", "network": "relu", "normed": "layernorm"}

# (name, what is changed in the Function, or in the module that has a backward, into what, what the
# report must say)
WRONG = [
    ("linear", "grad_output.sum(0)", "grad_output.mean(0)", "b: it is 1/x.shape[0] = 1/5 times"),
    ("linear_marked", "grad_w = grad_output.t() @ x", "grad_w = None",
     "w: it is zero where it should not be"),
    ("linear", "grad_x = grad_output @ w", "grad_x = -grad_output @ w", "x: it is −1 times"),
    ("relu", "grad_x[x < 0] = 0", "pass", "x: the factor (x > 0) is missing"),
    ("relu", "x < 0", "x > 0",
     "x: it is grad_output · (x < 0); it should be grad_output · (x > 0)"),
    ("gelu", "cdf + x * phi", "cdf", "x: it lacks the term grad · x · phi"),
    ("gelu", "-0.5 * x**2", "-(x**2)", ""),
    ("swish", "s + x * s * (1 - s)", "x * s * (1 - s)", "x: it lacks the term grad · s"),
    ("swish", "s + x * s * (1 - s)", "s * (1 - s)", ""),
    ("softmax", "s * (ds - (s * ds).sum(dim=-1, keepdim=True))", "s * ds * (1 - s)",
     "scores: it uses only the diagonal of the Jacobian"),
    ("softmax", "(s * ds).sum(dim=-1", "(s * ds).sum(dim=-2",
     "goes over axis 1, not over the last"),
    ("layernorm", " - x_hat * along", "", "x: it lacks the term −rstd · x_hat · along"),
    ("layernorm", ") * rstd\n        dweight", ")\n        dweight",
     "x: the factor rstd is missing"),
    ("layernorm", "dx_hat = dy * weight", "dx_hat = dy", "x: it is right where weight is 1"),
    ("attention", "keepdim=True)) * scale", "keepdim=True))",
     "q, k: it is 2 or 1/scale = 1/0.5 times"),
    ("attention", "dk = dscores.transpose(-1, -2) @ q", "dk = dscores @ q",
     "k: it is dscores @ q; it should be dscoresᵀ @ q"),
    ("attention", "dv = att.transpose(-1, -2) @ dout", "dv = att @ dout",
     "v: it is att @ dout; it should be attᵀ @ dout"),
    ("cross_entropy", "/ N", "", "logits: it is N = 5"),
    ("cross_entropy", "grad_output * grad", "grad",
     "logits: its direction is right and its size is not"),
    ("squared_error", "2 * (prediction", "(prediction", "prediction: it is ½ times"),
    ("exp", "grad_output * y", "grad_output", "x: the factor y is missing"),
    ("product", "dproduct * a - ddifference", "dproduct * a + ddifference",
     "b: the term ddifference has the wrong sign"),
    ("dropout", "dout * mask", "dout * (mask > 0)", "x: it is 0.7 times"),
    ("linear_module", "grad_output.sum(0)", "grad_output[0]",
     "bias: it is the gradient of the first image alone"),
    ("network", "grad_x[x < 0] = 0", "pass",
     "grad_x is the first gradient inside backward that is wrong: "
     "the factor (inner x > 0) is missing"),
    ("normed", "dx_hat - mean", "dx_hat",
     "x: a term is missing or wrong: a constant along axis 1"),
    ("manual", "self.bias.grad = dout.sum(0)", "pass", "bias: it is zero where it should not be"),
    ("manual", "dout @ self.weight", "2 * dout @ self.weight", "x: it is 2 times"),
]  # fmt: skip


def call(name):
    first, *rest = RIGHT[name]
    return (first() if issubclass(first, nn.Module) else first), *rest


def wrong(name, old, new):
    """The arguments of gradcheck for a changed Function or module."""
    from .changing import changed

    if name in OF_MODULES:
        module, *rest = RIGHT[name]
        return module(changed(RIGHT[OF_MODULES[name]][0], old, new)), *rest
    first, *rest = RIGHT[name]
    made = changed(first, old, new)
    return (made() if issubclass(first, nn.Module) else made), *rest
