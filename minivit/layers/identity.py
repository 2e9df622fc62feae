"""A layer that does nothing, for a place that a model may leave empty."""


class Identity:
    """y = x. A post-norm model has it where a pre-norm one has its last layer norm.

    Params   none
    Forward  x (any shape) -> y, x itself
    Cache    nothing
    """

    def init(self, rng, dtype=None):
        return {}

    def forward(self, params, x):
        return x, {}

    def backward(self, params, dy, cache, grads):
        dx = dy.copy()
        return dx
