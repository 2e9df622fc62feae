"""Scalar functions and their gradients, as scipy.optimize takes them."""

# ruff: noqa: RUF059 (unpacked as people do)

import numpy as np

RNG = np.random.default_rng(7)


def drawn(*shape):
    return RNG.standard_normal(shape)


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_grad(x):
    grad = np.zeros_like(x)
    grad[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    grad[1:] += 200 * (x[1:] - x[:-1] ** 2)
    return grad


def logistic_loss(w, X, y, reg):
    margins = y * (X @ w)
    return np.mean(np.log(1 + np.exp(-margins))) + 0.5 * reg * w @ w


def logistic_grad(w, X, y, reg):
    margins = y * (X @ w)
    weights = -y / (1 + np.exp(margins))
    return X.T @ weights / len(y) + reg * w


def quadratic(x, A, b):
    return 0.5 * x @ A @ x - b @ x


def quadratic_grad(x, A, b):
    return 0.5 * (A + A.T) @ x - b


def logsumexp(x):
    top = x.max()
    return top + np.log(np.exp(x - top).sum())


def logsumexp_grad(x):
    p = np.exp(x - x.max())
    return p / p.sum()


def least_squares(theta, X, y):
    residual = X @ theta - y
    return residual @ residual / (2 * len(y))


def least_squares_grad(theta, X, y):
    residual = X @ theta - y
    return X.T @ residual / len(y)


def huber(r, delta):
    small = np.abs(r) <= delta
    return np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta)).sum()


def huber_grad(r, delta):
    return np.clip(r, -delta, delta)


def poisson(beta, X, counts):
    eta = X @ beta
    return np.sum(np.exp(eta) - counts * eta)


def poisson_grad(beta, X, counts):
    mu = np.exp(X @ beta)
    return X.T @ (mu - counts)


def softmax_regression(W, X, labels):
    W = W.reshape(X.shape[1], -1)
    scores = X @ W
    scores = scores - scores.max(axis=1, keepdims=True)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(X)), labels].mean()


def softmax_regression_grad(W, X, labels):
    shape = W.shape
    scores = X @ W.reshape(X.shape[1], -1)
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(X)), labels] -= 1
    return (X.T @ p / len(X)).reshape(shape)


def himmelblau(p):
    x, y = p
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def himmelblau_grad(p):
    x, y = p
    return [
        4 * x * (x**2 + y - 11) + 2 * (x + y**2 - 7),
        2 * (x**2 + y - 11) + 4 * y * (x + y**2 - 7),
    ]


def hinge(w, X, y, C):
    return 0.5 * w @ w + C * np.maximum(0, 1 - y * (X @ w)).sum()


def hinge_grad(w, X, y, C):
    active = y * (X @ w) < 1
    return w - C * X[active].T @ y[active]


def log_determinant(A):
    sign, value = np.linalg.slogdet(A)
    return value


def log_determinant_grad(A):
    return np.linalg.inv(A).T


def distance(x, centre):
    return np.linalg.norm(x - centre)


def distance_grad(x, centre):
    difference = x - centre
    return difference / np.linalg.norm(difference)


def gaussian(params, data):
    mu, log_sigma = params
    return np.sum(0.5 * ((data - mu) / np.exp(log_sigma)) ** 2 + log_sigma)


def gaussian_grad(params, data):
    mu, log_sigma = params
    z = (data - mu) / np.exp(log_sigma)
    return np.array([-z.sum() / np.exp(log_sigma), (1 - z**2).sum()])


X, SIGNS = drawn(8, 5), RNG.choice([-1.0, 1.0], 8)
RIGHT = {
    "rosenbrock": (rosenbrock, rosenbrock_grad, np.array([-1.2, 1.0, 0.7, 1.9])),
    "rosenbrock_of_integers": (rosenbrock, rosenbrock_grad, [2, -1, 3]),
    "logistic": (logistic_loss, logistic_grad, drawn(5), X, SIGNS, 0.1),
    "logistic_at_zero": (logistic_loss, logistic_grad, np.zeros(5), X, SIGNS, 0.1),
    "quadratic": (quadratic, quadratic_grad, drawn(4), drawn(4, 4), drawn(4)),
    "logsumexp": (logsumexp, logsumexp_grad, 3 * drawn(6)),
    "least_squares": (least_squares, least_squares_grad, drawn(5), X, drawn(8)),
    "huber": (huber, huber_grad, 2 * drawn(9), 1.0),
    "poisson": (poisson, poisson_grad, drawn(5) / 3, X, RNG.poisson(2, 8).astype(float)),
    "softmax_regression": (
        softmax_regression, softmax_regression_grad, drawn(15), X, RNG.integers(0, 3, 8),
    ),
    "himmelblau": (himmelblau, himmelblau_grad, drawn(2)),
    "hinge": (hinge, hinge_grad, drawn(5), X, SIGNS, 2.0),
    "log_determinant": (log_determinant, log_determinant_grad, drawn(4, 4) + 4 * np.eye(4)),
    "distance": (distance, distance_grad, drawn(5), drawn(5)),
    "gaussian": (gaussian, gaussian_grad, np.array([0.3, -0.2]), drawn(7)),
}  # fmt: skip

# (name, what is changed in the gradient, into what, what the report must say)
WRONG = [
    ("rosenbrock", "-400 *", "400 *",
     "x: only 1 of 4 slices along axis 0 are right; the wrong ones are [0, 1, 2]"),
    ("rosenbrock", "grad[1:] +=", "grad[1:] =",
     "x: only 2 of 4 slices along axis 0 are right; the wrong ones are [1, 2]"),
    ("rosenbrock", " - 2 * (1 - x[:-1])", "", ""),
    ("logistic", " / len(y)", "", "w: it lacks -0.875 · Xᵀ @ weights"),
    ("logistic", " + reg * w", "", "w: it lacks 0.1 · w"),
    ("logistic", "reg * w", "2 * reg * w", "w: it lacks -0.1 · w"),
    ("logistic", "np.exp(margins)", "np.exp(-margins)", ""),
    ("quadratic", "0.5 * (A + A.T) @ x", "A @ x", "x: it lacks 0.5 · (Aᵀ − A) @ x"),
    ("quadratic", " - b", " + b", "x: the term b has the wrong sign: plus instead of minus"),
    ("logsumexp", "p / p.sum()", "p", "x: its direction is right and its size is not"),
    ("logsumexp", "p / p.sum()", "np.log(p / p.sum())", ""),
    ("least_squares", " / len(y)", "", "theta: it is X.shape[0] = 8"),
    ("least_squares", " / len(y)", " * 2 / len(y)", "theta: it is 2 times"),
    ("least_squares", "X @ theta - y", "y - X @ theta", "theta: it is −1 times"),
    ("huber", "np.clip(r, -delta, delta)", "r", "r: it is right where |r| ≤"),
    ("huber", "np.clip(r, -delta, delta)", "np.sign(r) * delta", "r: it is right where −|r| ≤"),
    ("poisson", "(mu - counts)", "mu", "beta: it lacks the term −Xᵀ @ counts"),
    ("poisson", "np.exp(X @ beta)", "X @ beta", ""),
    ("softmax_regression", " / len(X)", "", "W: it is X.shape[0] = 8 or labels.shape[0] = 8 times"),
    ("softmax_regression", "p[np.arange(len(X)), labels] -= 1", "pass", ""),
    ("himmelblau", "+ 4 * y *", "+ 2 * y *",
     "p: only 1 of 2 slices along axis 0 are right; the wrong ones are [1]"),
    ("hinge", "w - C *", "w + C *", "w: all of it but the term in w has the wrong sign"),
    ("hinge", "return w - C * X", "return -C * X", "w: it lacks the term w"),
    ("log_determinant", ".T", "", "A: it is the transpose of what it should be"),
    ("distance", " / np.linalg.norm(difference)", "",
     "x: its direction is right and its size is not"),
    ("distance", "difference / np", "-difference / np", "x: it is −1 times"),
    ("gaussian", "(1 - z**2).sum()", "(-(z**2)).sum()",
     "params: only 1 of 2 slices along axis 0 are right; the wrong ones are [1]"),
]  # fmt: skip
