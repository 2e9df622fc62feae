"""A layer that does nothing, for a place that a model may leave empty."""


class Identity:
    """y = x. A model without class token or positions has it in their place.

    So has a post-norm model in place of the last layer norm. It stands in for layers that have
    parameters, and so takes the same arguments.

    Params   none
    Forward  x (any shape) -> y, x itself
    Cache    nothing

    dx is dy itself.
    """

    def init(self, rng, dtype=None):
        return {}

    def forward(self, params, x):
        return x, {}

    def backward(self, params, dy, cache, grads):
        return dy
