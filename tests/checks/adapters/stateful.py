"""Objects that keep their cache and gradients on themselves, in the styles that people write."""

# ruff: noqa: RUF059 (unpacked as people do)

import numpy as np

RNG = np.random.default_rng(6)


def drawn(*shape):
    return RNG.standard_normal(shape)


class Dense:
    """Attributes w and dw; gradients are assigned."""

    def __init__(self, inputs, outputs):
        self.w = drawn(inputs, outputs) / np.sqrt(inputs)
        self.b = np.zeros(outputs)

    def forward(self, x):
        self.x = x
        return x @ self.w + self.b

    def backward(self, dout):
        self.dw = self.x.T @ dout
        self.db = dout.sum(axis=0)
        return dout @ self.w.T


class Linear:
    """W and grad_W; gradients are added until zero_grad."""

    def __init__(self, inputs, outputs):
        self.W = drawn(inputs, outputs) / np.sqrt(inputs)
        self.bias = drawn(outputs)
        self.zero_grad()

    def zero_grad(self):
        self.grad_W = np.zeros_like(self.W)
        self.grad_bias = np.zeros_like(self.bias)

    def forward(self, x):
        self.input = x
        return np.dot(x, self.W) + self.bias

    def backward(self, grad_output):
        self.grad_W += np.dot(self.input.T, grad_output)
        self.grad_bias += grad_output.sum(axis=0)
        return np.dot(grad_output, self.W.T)


class Affine:
    """Lists params and grads, in the same order."""

    def __init__(self, W, b):
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]
        self.x = None

    def forward(self, x):
        W, b = self.params
        self.x = x
        return np.matmul(x, W) + b

    def backward(self, dout):
        W, b = self.params
        dx = np.matmul(dout, W.T)
        dW = np.matmul(self.x.T, dout)
        db = np.sum(dout, axis=0)
        self.grads[0][...] = dW
        self.grads[1][...] = db
        return dx


class LayerNorm:
    """Dicts params and grads, with the same keys."""

    def __init__(self, width, eps=1e-5):
        self.params = {"gamma": np.ones(width), "beta": np.zeros(width)}
        self.grads = {}
        self.eps = eps

    def forward(self, x):
        mean = x.mean(axis=-1, keepdims=True)
        self.inv_std = 1 / np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + self.eps)
        self.x_hat = (x - mean) * self.inv_std
        return self.params["gamma"] * self.x_hat + self.params["beta"]

    def backward(self, dy):
        self.grads["gamma"] = (dy * self.x_hat).sum(axis=0)
        self.grads["beta"] = dy.sum(axis=0)
        dx_hat = dy * self.params["gamma"]
        mean = dx_hat.mean(axis=-1, keepdims=True)
        along = (dx_hat * self.x_hat).mean(axis=-1, keepdims=True)
        return (dx_hat - mean - self.x_hat * along) * self.inv_std


class Parameter:
    def __init__(self, value):
        self.value = value
        self.grad = np.zeros_like(value)


class ParameterLinear:
    """Objects with a value and a grad."""

    def __init__(self, inputs, outputs):
        self.weight = Parameter(drawn(inputs, outputs) / np.sqrt(inputs))
        self.bias = Parameter(drawn(outputs))

    def __call__(self, x):
        self._x = x
        return x @ self.weight.value + self.bias.value

    def backprop(self, delta):
        self.weight.grad += self._x.T @ delta
        self.bias.grad += delta.sum(axis=0)
        return delta @ self.weight.value.T


class ReLU:
    def forward(self, x):
        self.mask = x > 0
        return np.where(self.mask, x, 0)

    def backward(self, dout):
        return dout * self.mask


class Sigmoid:
    def forward(self, x):
        self.out = 1 / (1 + np.exp(-x))
        return self.out

    def backward(self, dout):
        return dout * self.out * (1 - self.out)


class Softmax:
    def forward(self, x):
        numer = np.exp(x - x.max(axis=-1, keepdims=True))
        self.s = numer / numer.sum(axis=-1, keepdims=True)
        return self.s

    def backward(self, ds):
        return self.s * (ds - (self.s * ds).sum(axis=-1, keepdims=True))


class Dropout:
    def __init__(self, rate):
        self.rate = rate

    def forward(self, x, train=True):
        if not train:
            return x
        self.mask = (np.random.rand(*x.shape) >= self.rate) / (1 - self.rate)
        return x * self.mask

    def backward(self, dout):
        return dout * self.mask


class DrawingDropout:
    """With a generator of its own."""

    def __init__(self, keep):
        self.keep, self.rng = keep, np.random.default_rng(3)

    def forward(self, x):
        self.mask = self.rng.random(x.shape) < self.keep
        return x * self.mask / self.keep

    def backward(self, dout):
        return dout * self.mask / self.keep


class BatchNorm:
    """gamma and dgamma; moving averages that every pass changes."""

    def __init__(self, width, momentum=0.9):
        self.gamma, self.beta = np.ones(width), np.zeros(width)
        self.dgamma, self.dbeta = np.zeros(width), np.zeros(width)
        self.running_mean, self.running_var = np.zeros(width), np.ones(width)
        self.momentum = momentum

    def forward(self, x):
        mean, var = np.mean(x, axis=0), np.var(x, axis=0)
        self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mean
        self.running_var *= self.momentum
        self.running_var += (1 - self.momentum) * var
        self.std = np.sqrt(var + 1e-5)
        self.x_hat = (x - mean) / self.std
        return self.gamma * self.x_hat + self.beta

    def backward(self, dout):
        N = len(dout)
        self.dgamma = np.sum(dout * self.x_hat, axis=0)
        self.dbeta = np.sum(dout, axis=0)
        dx_hat = dout * self.gamma
        total = np.sum(dx_hat, axis=0)
        along = np.sum(dx_hat * self.x_hat, axis=0)
        return (N * dx_hat - total - self.x_hat * along) / (N * self.std)


class Conv1D:
    """kernel and dkernel."""

    def __init__(self, width, filters):
        self.kernel = drawn(width, filters) / width
        self.bias = drawn(filters)
        self.dkernel = self.dbias = None

    def forward(self, x):
        width = len(self.kernel)
        self.windows = np.stack(
            [x[:, i : i + width] for i in range(x.shape[1] - width + 1)], axis=1
        )
        return self.windows @ self.kernel + self.bias

    def backward(self, dout):
        B, places, filters = dout.shape
        width = len(self.kernel)
        self.dkernel = np.einsum("bpw,bpf->wf", self.windows, dout)
        self.dbias = dout.sum(axis=(0, 1))
        dwindows = dout @ self.kernel.T
        dx = np.zeros((B, places + width - 1))
        for i in range(places):
            dx[:, i : i + width] += dwindows[:, i]
        return dx


class Embedding:
    def __init__(self, words, width):
        self.weights = drawn(words, width)
        self.grad_weights = np.zeros_like(self.weights)

    def forward(self, indices):
        self.indices = indices
        return self.weights[indices]

    def backward(self, dout):
        np.add.at(self.grad_weights, self.indices, dout)


class SoftmaxWithLoss:
    """forward(scores, labels) -> loss; backward() without an upstream gradient."""

    def forward(self, scores, labels):
        numer = np.exp(scores - scores.max(axis=1, keepdims=True))
        self.probs, self.labels = numer / numer.sum(axis=1, keepdims=True), labels
        N = len(scores)
        return -np.log(self.probs[np.arange(N), labels]).mean()

    def backward(self):
        N = len(self.probs)
        dscores = self.probs.copy()
        dscores[np.arange(N), self.labels] -= 1
        return dscores / N


class RNNCell:
    """Two inputs, two gradients back."""

    def __init__(self, inputs, width):
        self.Wx = drawn(inputs, width) / np.sqrt(inputs)
        self.Wh = drawn(width, width) / np.sqrt(width)
        self.b = np.zeros(width)
        self.dWx, self.dWh, self.db = map(np.zeros_like, (self.Wx, self.Wh, self.b))

    def forward(self, x, h_prev):
        self.cache = x, h_prev
        self.h_next = np.tanh(x @ self.Wx + h_prev @ self.Wh + self.b)
        return self.h_next

    def backward(self, dh_next):
        x, h_prev = self.cache
        dt = dh_next * (1 - self.h_next**2)
        self.db[...] = dt.sum(axis=0)
        self.dWx[...] = x.T @ dt
        self.dWh[...] = h_prev.T @ dt
        dx = dt @ self.Wx.T
        dh_prev = dt @ self.Wh.T
        return dx, dh_prev


class Attention:
    """weights in a dict, their gradients in attributes of their own."""

    def __init__(self, D):
        self.weights = {name: drawn(D, D) / np.sqrt(D) for name in ("Wq", "Wk", "Wv")}
        self.dWq = self.dWk = self.dWv = None

    def forward(self, x):
        D = x.shape[-1]
        self.x = x
        self.q, self.k, self.v = (x @ self.weights[name] for name in ("Wq", "Wk", "Wv"))
        scores = self.q @ self.k.transpose(0, 2, 1) / np.sqrt(D)
        numer = np.exp(scores - scores.max(axis=-1, keepdims=True))
        self.att = numer / numer.sum(axis=-1, keepdims=True)
        return self.att @ self.v

    def backward(self, dout):
        D = dout.shape[-1]
        dv = self.att.transpose(0, 2, 1) @ dout
        datt = dout @ self.v.transpose(0, 2, 1)
        dscores = self.att * (datt - (datt * self.att).sum(axis=-1, keepdims=True)) / np.sqrt(D)
        dq, dk = dscores @ self.k, dscores.transpose(0, 2, 1) @ self.q
        x = self.x.reshape(-1, D)
        self.dWq, self.dWk, self.dWv = (x.T @ d.reshape(-1, D) for d in (dq, dk, dv))
        w = self.weights
        return dq @ w["Wq"].T + dk @ w["Wk"].T + dv @ w["Wv"].T


class MLP:
    """Layers in layers, by name."""

    def __init__(self, inputs, width, outputs):
        self.fc1, self.act, self.fc2 = Dense(inputs, width), Sigmoid(), Dense(width, outputs)

    def forward(self, x):
        return self.fc2.forward(self.act.forward(self.fc1.forward(x)))

    def backward(self, dout):
        return self.fc1.backward(self.act.backward(self.fc2.backward(dout)))


class Sequential:
    """Layers in a list, their parameters in another."""

    def __init__(self, *layers):
        self.layers = layers
        self.params = [each for layer in layers for each in getattr(layer, "params", [])]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


class Returns:
    """Gradients are returned, not kept."""

    def __init__(self, inputs, outputs):
        self.W, self.b = drawn(inputs, outputs), drawn(outputs)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        dW = self.x.T @ dout
        db = dout.sum(axis=0)
        dx = dout @ self.W.T
        return dx, dW, db


RIGHT = {  # name: (class, its arguments, what gradcheck gets beside it)
    "dense": (Dense, (4, 3), drawn(5, 4)),
    "linear": (Linear, (4, 3), drawn(5, 4)),
    "affine": (Affine, (drawn(4, 3), drawn(3)), drawn(5, 4)),
    "layernorm": (LayerNorm, (6,), drawn(4, 6)),
    "parameter": (ParameterLinear, (4, 3), drawn(5, 4)),
    "relu": (ReLU, (), drawn(5, 4)),
    "sigmoid": (Sigmoid, (), drawn(5, 4)),
    "softmax": (Softmax, (), drawn(3, 5, 4)),
    "dropout": (Dropout, (0.3,), drawn(6, 7) + 9),
    "drawing_dropout": (DrawingDropout, (0.7,), drawn(6, 7) + 9),
    "batchnorm": (BatchNorm, (4,), 2 * drawn(6, 4) + 1),
    "conv1d": (Conv1D, (3, 2), drawn(4, 9)),
    "embedding": (Embedding, (6, 5), RNG.integers(0, 6, (3, 4))),
    "loss": (SoftmaxWithLoss, (), drawn(5, 4), RNG.integers(0, 4, 5)),
    "rnn": (RNNCell, (4, 3), drawn(5, 4), drawn(5, 3)),
    "attention": (Attention, (4,), drawn(2, 5, 4)),
    "mlp": (MLP, (4, 6, 3), drawn(5, 4)),
    "sequential": (
        Sequential,
        (Affine(drawn(4, 6), drawn(6)), ReLU(), Affine(drawn(6, 3), drawn(3))),
        drawn(5, 4),
    ),
    "returns": (Returns, (4, 3), drawn(5, 4)),
}


def call(name, make=None):
    """The arguments of gradcheck."""
    right, arguments, *inputs = RIGHT[name]
    return (make or right)(*arguments), *inputs


# (name, what is changed in the class, into what, what the report must say)
WRONG = [
    ("dense", "self.x.T @ dout", "self.x.T @ dout / len(dout)",
     "w: it is 1/x.shape[0] = 1/5 times"),
    ("dense", "dout.sum(axis=0)", "dout.sum()", "the gradient of b has shape ()"),
    ("dense", "dout @ self.w.T", "dout @ self.w.T * 2", "x: it is 2 times"),
    ("linear", "+= np.dot(self.input.T, grad_output)", "-= np.dot(self.input.T, grad_output)",
     "W: it is −1 times"),
    ("linear", "self.grad_bias += grad_output.sum(axis=0)", "pass", "bias: it is zero where"),
    ("linear", "self.input = x", "self.input = x - x.mean()",
     "W: a term is missing or wrong: a constant along axis 0"),
    ("affine", "db = np.sum(dout, axis=0)", "db = dout[0]",
     "it is the gradient of the first image alone"),
    ("affine", "np.matmul(dout, W.T)", "np.matmul(dout, np.ones_like(W).T)", ""),
    ("layernorm", " - self.x_hat * along", "",
     "x: it lacks the term −inv_std · x_hat · along"),
    ("layernorm", "dy * self.params[\"gamma\"]", "dy",
     "x: it is right where gamma is 1 everywhere"),
    ("layernorm", "(dy * self.x_hat).sum(axis=0)", "(dy * self.x_hat).mean(axis=0)",
     "gamma: it is 1/x.shape[0] = 1/4 times"),
    ("parameter", "self.weight.grad += self._x.T @ delta",
     "self.weight.grad += (self._x.T @ delta)[::-1]",
     "weight: the slices along axis 0 are permuted"),
    ("relu", "dout * self.mask", "dout", "x: the factor (x > 0) is missing"),
    ("relu", "dout * self.mask", "dout * ~self.mask",
     "x: it is dout · (x < 0); it should be dout · (x > 0)"),
    ("sigmoid", "dout * self.out * (1 - self.out)", "dout * self.out",
     "x: the factor (1 − out) is missing"),
    ("softmax", "self.s * (ds - (self.s * ds).sum(axis=-1, keepdims=True))",
     "self.s * ds * (1 - self.s)", "x: it uses only the diagonal of the Jacobian"),
    ("softmax", "* ds).sum(axis=-1", "* ds).sum(axis=-2", "goes over axis 1, not over the last"),
    ("softmax", "self.s * (ds -", "(ds -", "x: the factor s is missing"),
    ("dropout", "dout * self.mask", "dout * (self.mask > 0)", "x: it is 0.7 times"),
    ("dropout", "dout * self.mask", "dout * (np.random.rand(*dout.shape) >= self.rate) / 0.7",
     "forward and backward use different masks"),
    ("drawing_dropout", "dout * self.mask / self.keep", "dout * self.mask",
     "x: it is keep = 0.7 times"),
    ("batchnorm", "dx_hat = dout * self.gamma", "dx_hat = dout", "x: the factor gamma is missing"),
    ("batchnorm", "(N * dx_hat - total - self.x_hat * along) / (N * self.std)",
     "dx_hat / self.std", ""),
    ("conv1d", "dx[:, i : i + width] +=", "dx[:, i : i + width] =", ""),
    ("conv1d", "dout.sum(axis=(0, 1))", "dout.mean(axis=(0, 1))", "bias: it is 0.0357143"),
    ("embedding", "np.add.at(self.grad_weights, self.indices, dout)",
     "self.grad_weights[self.indices] += dout",
     "weights: only the rows that indices has once are right"),
    ("loss", "return dscores / N", "return dscores", "scores: it is N = 5 times"),
    ("loss", "dscores[np.arange(N), self.labels] -= 1", "pass",
     "scores: it is right but for one entry in each row, those of labels"),
    ("rnn", "(1 - self.h_next**2)", "(1 - self.h_next)",
     "b: it is Σ dt; it should be Σ (dh_next · (1 − h_next²))"),
    ("rnn", "dx = dt @ self.Wx.T", "dx = dh_next @ self.Wx.T",
     "x: it is dh_next @ Wxᵀ; it should be dt @ Wxᵀ"),
    ("attention", "dscores.transpose(0, 2, 1) @ self.q", "dscores @ self.q",
     ""),
    ("attention", " / np.sqrt(D)\n        dq", "\n        dq", "Wq, Wk: it is 2 or √D = √4 times"),
    ("attention", " + dk @ w[\"Wk\"].T", "", "x: it lacks the term dk @ Wkᵀ"),
    ("sequential", "reversed(self.layers)", "self.layers[::-2]", ""),
    ("mlp", "self.act.backward(self.fc2.backward(dout))", "self.fc2.backward(dout)", ""),
    ("returns", "db = dout.sum(axis=0)", "db = dout.sum(axis=0) * 0.5", "b: it is ½ times"),
]  # fmt: skip


def wrong(name, old, new):
    """The arguments of gradcheck for a changed class."""
    from .changing import changed

    return call(name, changed(RIGHT[name][0], old, new))
