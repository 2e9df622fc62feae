"""Pairs of plain functions as students write them, right; and what makes them wrong."""

# ruff: noqa: RUF059 (unpacked as people do)

import numpy as np

RNG = np.random.default_rng(5)


def drawn(*shape):
    return RNG.standard_normal(shape)


def affine_forward(x, w, b):
    N = x.shape[0]
    out = x.reshape(N, -1).dot(w) + b
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(N, -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


def relu_forward(x):
    out = np.maximum(0, x)
    cache = x
    return out, cache


def relu_backward(dout, cache):
    x = cache
    dx = dout * (x > 0)
    return dx


def affine_relu_forward(x, w, b):
    a, fc_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    return out, (fc_cache, relu_cache)


def affine_relu_backward(dout, cache):
    fc_cache, relu_cache = cache
    da = relu_backward(dout, relu_cache)
    dx, dw, db = affine_backward(da, fc_cache)
    return dx, dw, db


def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps = bn_param["mode"], bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D))
    running_var = bn_param.get("running_var", np.zeros(D))
    assert mode == "train"
    mean, var = x.mean(axis=0), x.var(axis=0)
    std = np.sqrt(var + eps)
    x_hat = (x - mean) / std
    out = gamma * x_hat + beta
    running_mean = momentum * running_mean + (1 - momentum) * mean
    running_var = momentum * running_var + (1 - momentum) * var
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, (x_hat, gamma, std)


def batchnorm_backward(dout, cache):
    x_hat, gamma, std = cache
    N = dout.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    dx = (N * dx_hat - dx_hat.sum(axis=0) - x_hat * (dx_hat * x_hat).sum(axis=0)) / (N * std)
    return dx, dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = x.mean(axis=1, keepdims=True)
    centered = x - mu
    std = np.sqrt((centered**2).mean(axis=1, keepdims=True) + eps)
    x_hat = centered / std
    out = gamma * x_hat + beta
    return out, (x_hat, gamma, std)


def layernorm_backward(dout, cache):
    x_hat, gamma, std = cache
    D = dout.shape[1]
    dgamma = np.sum(dout * x_hat, axis=0)
    dbeta = np.sum(dout, axis=0)
    dx_hat = dout * gamma
    along = np.sum(dx_hat * x_hat, axis=1, keepdims=True)
    dx = (dx_hat - dx_hat.mean(axis=1, keepdims=True) - x_hat * along / D) / std
    return dx, dgamma, dbeta


def dropout_forward(x, dropout_param):
    p = dropout_param["p"]
    mask = (np.random.rand(*x.shape) < p) / p
    out = x * mask
    return out, (dropout_param, mask)


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    dx = dout * mask
    return dx


def conv_forward_naive(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out, W_out = 1 + (H + 2 * pad - HH) // stride, 1 + (W + 2 * pad - WW) // stride
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((N, F, H_out, W_out))
    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    top, left = i * stride, j * stride
                    window = padded[n, :, top : top + HH, left : left + WW]
                    out[n, f, i, j] = np.sum(window * w[f]) + b[f]
    cache = (x, w, b, conv_param)
    return out, cache


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, F, H_out, W_out = dout.shape
    _, C, HH, WW = w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    top, left = i * stride, j * stride
                    window = np.s_[n, :, top : top + HH, left : left + WW]
                    dw[f] += padded[window] * dout[n, f, i, j]
                    dpadded[window] += w[f] * dout[n, f, i, j]
    dx = dpadded[:, :, pad:-pad, pad:-pad]
    return dx, dw, db


def max_pool_forward_naive(x, pool_param):
    N, C, H, W = x.shape
    size = pool_param["size"]
    out = np.zeros((N, C, H // size, W // size))
    for i in range(H // size):
        for j in range(W // size):
            window = x[:, :, i * size : (i + 1) * size, j * size : (j + 1) * size]
            out[:, :, i, j] = window.max(axis=(2, 3))
    return out, (x, pool_param)


def max_pool_backward_naive(dout, cache):
    x, pool_param = cache
    size = pool_param["size"]
    dx = np.zeros_like(x)
    N, C, rows, columns = dout.shape
    for n in range(N):
        for c in range(C):
            for i in range(rows):
                for j in range(columns):
                    window = x[n, c, i * size : (i + 1) * size, j * size : (j + 1) * size]
                    row, column = np.unravel_index(window.argmax(), window.shape)
                    dx[n, c, i * size + row, j * size + column] += dout[n, c, i, j]
    return dx


def softmax_loss(x, y):
    N = x.shape[0]
    shifted = x - x.max(axis=1, keepdims=True)
    probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    loss = -np.log(probs[np.arange(N), y]).sum() / N
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    dx /= N
    return loss, dx


def svm_loss(x, y):
    N = x.shape[0]
    correct = x[np.arange(N), y][:, np.newaxis]
    margins = np.maximum(0, x - correct + 1.0)
    margins[np.arange(N), y] = 0
    loss = margins.sum() / N
    positive = (margins > 0).astype(float)
    dx = positive.copy()
    dx[np.arange(N), y] -= positive.sum(axis=1)
    dx /= N
    return loss, dx


def softmax(scores):
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


def attention_forward(q, k, v):
    d_k = q.shape[-1]
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(d_k)
    att = softmax(scores)
    out = att @ v
    return out, (q, k, v, att)


def attention_backward(dout, cache):
    q, k, v, att = cache
    d_k = q.shape[-1]
    dv = att.transpose(0, 2, 1) @ dout
    datt = dout @ v.transpose(0, 2, 1)
    dscores = att * (datt - (datt * att).sum(axis=-1, keepdims=True))
    dq = dscores @ k / np.sqrt(d_k)
    dk = dscores.transpose(0, 2, 1) @ q / np.sqrt(d_k)
    return dq, dk, dv


def multihead_forward(x, Wq, Wk, Wv, Wo, heads):
    B, T, D = x.shape
    d = D // heads

    def split(a):
        return a.reshape(B, T, heads, d).transpose(0, 2, 1, 3)

    q, k, v = split(x @ Wq), split(x @ Wk), split(x @ Wv)
    att = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(d))
    mixed = (att @ v).transpose(0, 2, 1, 3).reshape(B, T, D)
    out = mixed @ Wo
    return out, (x, Wq, Wk, Wv, Wo, q, k, v, att, mixed, heads)


def multihead_backward(dout, cache):
    x, Wq, Wk, Wv, Wo, q, k, v, att, mixed, heads = cache
    B, T, D = x.shape
    d = D // heads

    def merge(a):
        return a.transpose(0, 2, 1, 3).reshape(B, T, D)

    dWo = np.einsum("btd,bte->de", mixed, dout)
    dmixed = (dout @ Wo.T).reshape(B, T, heads, d).transpose(0, 2, 1, 3)
    datt = dmixed @ v.swapaxes(-1, -2)
    dv = merge(att.swapaxes(-1, -2) @ dmixed)
    dscores = att * (datt - (datt * att).sum(axis=-1, keepdims=True)) / np.sqrt(d)
    dq = merge(dscores @ k)
    dk = merge(dscores.swapaxes(-1, -2) @ q)
    dWq = np.einsum("btd,bte->de", x, dq)
    dWk = np.einsum("btd,bte->de", x, dk)
    dWv = np.einsum("btd,bte->de", x, dv)
    dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
    return dx, dWq, dWk, dWv, dWo


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    cache = x, prev_h, Wx, Wh, next_h
    return next_h, cache


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    dx, dprev_h = da @ Wx.T, da @ Wh.T
    dWx, dWh = x.T @ da, prev_h.T @ da
    db = da.sum(axis=0)
    return dx, dprev_h, dWx, dWh, db


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x @ Wx + prev_h @ Wh + b
    i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    next_c = f * prev_c + i * g
    t = np.tanh(next_c)
    next_h = o * t
    cache = (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)
    return next_h, next_c, cache


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, t = cache
    dc = dnext_c + dnext_h * o * (1 - t**2)
    do, df, di, dg = dnext_h * t, dc * prev_c, dc * g, dc * i
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    dx = da @ Wx.T
    dprev_h = da @ Wh.T
    dprev_c = dc * f
    dWx, dWh, db = x.T @ da, prev_h.T @ da, da.sum(axis=0)
    return dx, dprev_h, dprev_c, dWx, dWh, db


def word_embedding_forward(x, W):
    out = W[x]
    return out, (x, W)


def word_embedding_backward(dout, cache):
    x, W = cache
    dW = np.zeros_like(W)
    np.add.at(dW, x, dout)
    return dW


def gelu(x):
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + np.tanh(inner))


def gelu_backward(dout, x):
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    t = np.tanh(inner)
    dinner = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
    return dout * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * dinner)


def mse_forward(prediction, target):
    difference = prediction - target
    loss = (difference**2).mean()
    return loss, difference


def mse_backward(difference):
    dprediction = 2 * difference / difference.size
    return dprediction


def multiply(a, b):
    return a * b


def multiply_backward(dout, a, b):
    return dout * b, dout * a


def two_layers(params, X):
    hidden = np.tanh(X @ params["W1"] + params["b1"])
    out = hidden @ params["W2"] + params["b2"]
    return out, hidden


def two_layers_backward(dout, params, X, hidden):
    grads = {"W2": hidden.T @ dout, "b2": dout.sum(axis=0)}
    dhidden = dout @ params["W2"].T * (1 - hidden**2)
    grads["W1"], grads["b1"] = X.T @ dhidden, dhidden.sum(axis=0)
    return grads


def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def log_softmax_grad(y, dy):
    return dy - np.exp(y) * dy.sum(axis=1, keepdims=True)


def norm_rows(x):
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / length, length


def norm_rows_backward(dout, x, length):
    unit = x / length
    return (dout - unit * (dout * unit).sum(axis=1, keepdims=True)) / length


def leaky_relu(x, alpha):
    return np.where(x > 0, x, alpha * x)


def leaky_relu_backward(dout, x, alpha):
    return dout * np.where(x > 0, 1, alpha)


W = drawn(4, 4) / 2
LSTM = drawn(5, 4), drawn(5, 3), drawn(5, 3), drawn(4, 12) / 2, drawn(3, 12) / 2, drawn(12)
RNN = drawn(5, 4), drawn(5, 3), drawn(4, 3) / 2, drawn(3, 3) / 2, drawn(3)
PARAMS = {"W1": drawn(4, 6) / 2, "b1": np.zeros(6), "W2": drawn(6, 3) / 2, "b2": np.zeros(3)}
RIGHT = {
    "affine": (affine_forward, affine_backward, drawn(4, 2, 3), drawn(6, 5) / 2, drawn(5)),
    "relu": (relu_forward, relu_backward, drawn(5, 7)),
    "affine_relu": (affine_relu_forward, affine_relu_backward, drawn(4, 6), drawn(6, 5), drawn(5)),
    "batchnorm": (
        batchnorm_forward, batchnorm_backward, 3 * drawn(6, 4) + 2, np.ones(4), np.zeros(4),
        {"mode": "train"},
    ),
    "layernorm": (layernorm_forward, layernorm_backward, drawn(4, 6), np.ones(6), np.zeros(6), {}),
    "dropout": (dropout_forward, dropout_backward, drawn(6, 7) + 10, {"mode": "train", "p": 0.6}),
    "conv": (
        conv_forward_naive, conv_backward_naive, drawn(2, 2, 4, 3), drawn(2, 2, 3, 3) / 3, drawn(2),
        {"stride": 1, "pad": 1},
    ),
    "max_pool": (
        max_pool_forward_naive, max_pool_backward_naive, drawn(2, 1, 4, 6), {"size": 2},
    ),
    "softmax_loss": (softmax_loss, drawn(5, 4), RNG.integers(0, 4, 5)),
    "svm_loss": (svm_loss, drawn(5, 4), RNG.integers(0, 4, 5)),
    "attention": (
        attention_forward, attention_backward, drawn(2, 5, 4), drawn(2, 5, 4), drawn(2, 5, 4),
    ),
    "multihead": (
        multihead_forward, multihead_backward, drawn(2, 5, 6),
        *(drawn(6, 6) / 2 for _ in range(4)), 2,
    ),
    "rnn_step": (rnn_step_forward, rnn_step_backward, *RNN),
    "lstm_step": (lstm_step_forward, lstm_step_backward, *LSTM),
    "embedding": (
        word_embedding_forward, word_embedding_backward, RNG.integers(0, 6, (3, 4)), drawn(6, 5),
    ),
    "gelu": (gelu, gelu_backward, drawn(4, 5)),
    "mse": (mse_forward, mse_backward, drawn(4, 3), drawn(4, 3)),
    "multiply": (multiply, multiply_backward, drawn(4, 3), drawn(4, 3)),
    "two_layers": (two_layers, two_layers_backward, PARAMS, drawn(5, 4)),
    "log_softmax": (log_softmax, log_softmax_grad, drawn(4, 5)),
    "norm_rows": (norm_rows, norm_rows_backward, drawn(4, 5)),
    "leaky_relu": (leaky_relu, leaky_relu_backward, drawn(4, 5), 0.1),
}  # fmt: skip

# (name, what is changed in the backward or, without one, the function, into what, what is said)
WRONG = [
    ("affine", "np.sum(dout, axis=0)", "np.mean(dout, axis=0)", "b: it is 1/N = 1/4 times"),
    ("affine", "db = np.sum(dout, axis=0)", "db = np.zeros(5)", "b: it is zero where"),
    ("affine", "dw = x.reshape(N, -1).T.dot(dout)", "dw = dout.T.dot(x.reshape(N, -1))",
     "the gradient of w has shape (5, 6), but w has shape (6, 5)"),
    ("relu", "dout * (x > 0)", "dout * (x < 0)",
     "x: it is dout · (x < 0); it should be dout · (x > 0)"),
    ("relu", "dx = dout * (x > 0)", "dx = dout", "x: the factor (x > 0) is missing"),
    ("relu", "dx = dout * (x > 0)", "dx = dout; dx[x <= 0] = 0", "backward changes dout in place"),
    ("affine_relu", "da = relu_backward(dout, relu_cache)", "da = dout",
     "b: it is Σ dout; it should be Σ (dout · (out > 0))"),
    ("batchnorm", "dx_hat = dout * gamma", "dx_hat = dout", "x: the factor gamma is missing"),
    ("batchnorm", "(dout * x_hat).sum(axis=0)", "(dout * x_hat).mean(axis=0)",
     "gamma: it is 1/N = 1/6 times"),
    ("batchnorm", " - dx_hat.sum(axis=0)", "", "x: a term is missing or wrong: a constant along"),
    ("batchnorm", "dbeta = dout.sum(axis=0)", "dbeta = (dout * gamma).sum(axis=0)",
     "beta: the factor gamma appears once too often"),
    ("layernorm", " - x_hat * along / D", "",
     "x: a term is missing or wrong: in every row a multiple of centered"),
    ("layernorm", "along / D", "along", "in every row a multiple of centered"),
    ("layernorm", ") / std", ")", "x: the factor std appears once too often"),
    ("dropout", "dout * mask", "dout * (mask > 0)", "x: it is p = 0.6 times"),
    ("dropout", "dout * mask", "dout", "x: the factor mask is missing"),
    ("dropout", "dx = dout * mask", "dx = dout * ((np.random.rand(*dout.shape) < 0.6) / 0.6)",
     "forward and backward use different masks"),
    ("conv", "db = dout.sum(axis=(0, 2, 3))", "db = dout.sum(axis=(2, 3))[0]",
     "b: it is the gradient of the first image alone"),
    ("conv", "dw[f] +=", "dw[f] =", ""),
    ("conv", "w[f] * dout[n", "w[f, :, ::-1, ::-1] * dout[n", ""),
    ("max_pool", "] += dout[n, c, i, j]", "] += 0.3 * dout[n, c, i, j]", "x: it is 0.3 times"),
    ("max_pool", "window.argmax()", "window.argmin()",
     "x: its numbers are right but in the wrong places"),
    ("softmax_loss", "dx /= N", "dx /= 1", "x: it is N = 5 times"),
    ("softmax_loss", "dx[np.arange(N), y] -= 1", "pass",
     "x: it is right but for one entry in each row, those of y"),
    ("svm_loss", "dx[np.arange(N), y] -= positive.sum(axis=1)", "dx[np.arange(N), y] -= 1", ""),
    ("attention", "dscores.transpose(0, 2, 1) @ q", "dscores @ q", "k: it is 0.5 · dscores @ q"),
    ("attention", "dq = dscores @ k / np.sqrt(d_k)", "dq = dscores @ k",
     "q: it is 2 or √d_k = √4 times"),
    ("attention", "att * (datt - (datt * att).sum(axis=-1, keepdims=True))",
     "datt * att * (1 - att)",
     "dscores is the first gradient inside backward that is wrong: it uses only the diagonal"),
    ("multihead", "dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T", "dx = dq @ Wq.T + dk @ Wk.T",
     "x: it lacks the term dv @ Wvᵀ"),
    ("multihead", " / np.sqrt(d)", "", "Wq, Wk: it is √d = √3 times"),
    ("multihead", "a.transpose(0, 2, 1, 3).reshape", "a.reshape",
     "x, Wv: it is right for each token alone: look at what mixes the tokens"),
    ("rnn_step", "(1 - next_h**2)", "(1 - next_h)",
     "b: it is Σ da; it should be Σ (dnext_h · (1 − next_h²))"),
    ("rnn_step", "db = da.sum(axis=0)", "db = dnext_h.sum(axis=0)", "b: it is Σ dnext_h"),
    ("rnn_step", "da @ Wh.T", "da @ Wh", "prev_h: it is da @ Wh; it should be da @ Whᵀ"),
    ("lstm_step", "dc = dnext_c + dnext_h * o * (1 - t**2)", "dc = dnext_h * o * (1 - t**2)",
     "prev_c: it lacks the term f · dnext_c"),
    ("lstm_step", "dprev_c = dc * f", "dprev_c = dnext_c * f", "prev_c: it is f · dnext_c"),
    ("embedding", "np.add.at(dW, x, dout)", "dW[x] += dout",
     "W: only the rows that x has once are right"),
    ("gelu", "3 * 0.044715", "0.044715", ""),
    ("mse", "2 * difference / difference.size", "2 * difference", "prediction: it is 12 times"),
    ("multiply", "dout * b, dout * a", "dout * b, dout + a", ""),
    ("two_layers", " * (1 - hidden**2)", "",
     "b1: it is Σ dhidden; it should be Σ (dhidden · (1 − hidden²))"),
    ("two_layers", '"b2": dout.sum(axis=0)', '"b2": dout.sum(axis=0) / len(dout)',
     "b2: it is 1/X.shape[0] = 1/5 times"),
    ("log_softmax", "np.exp(y) * ", "", ""),
    ("norm_rows", ") / length", ")", "x: the factor length appears once too often"),
    ("leaky_relu", "1, alpha", "1, 0", "x: the factor (x > 0) appears once too often"),
]  # fmt: skip
