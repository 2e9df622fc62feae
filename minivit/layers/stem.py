"""A convolutional stem (Xiao et al. 2021, arXiv:2106.14881, "Early Convolutions …", section 4)."""

import numpy as np

from .convolution import gather_squares, scatter_squares
from .gelu import GELU
from .linear import Linear
from .refusals import expect_shape, positive_integers


class StridedConvolution:
    """Each square of pixels, some pixels from the next, becomes one pixel, which is gated.

        y = gelu(squares(x) w + b)

    Params   w (K·K·C, D)   b (D,)
    Forward  x (B, H, W, C) -> y (B, R, S, D), R = (H − K) / stride + 1 and S alike
    Cache    linear, act: those of the affine map and the gate
    Errors   ValueError if the squares leave pixels over at the edge, or x is not (B, H, W, C)

    A pixel is in all squares that overlap it, so its gradients come back from these, and add up.
    """

    def __init__(self, height, width, channels, kernel, stride, dim):
        """`kernel` is K, the side of a square, and `stride` how far the next is, in pixels."""
        sizes = dict(height=height, width=width, channels=channels, kernel=kernel, stride=stride)
        height, width, channels, kernel, stride = positive_integers("StridedConvolution", **sizes)
        if min(height, width) < kernel or (height - kernel) % stride or (width - kernel) % stride:
            raise ValueError(
                f"StridedConvolution: squares of {kernel} pixels, {stride} from one to the next, "
                f"leave some of {height} x {width} over; choose other sizes"
            )
        self.height, self.width, self.channels = height, width, channels
        self.kernel, self.stride = kernel, stride
        self.linear, self.act = Linear(kernel**2 * channels, dim), GELU()
        self.rows, self.columns = (height - kernel) // stride + 1, (width - kernel) // stride + 1

    def init(self, rng, dtype=np.float32):
        return self.linear.init(rng, dtype)

    def forward(self, params, x):
        expect_shape("StridedConvolution", x, "B", self.height, self.width, self.channels)
        cache = {}
        squares = gather_squares(x, self.kernel, self.stride)
        seen, cache["linear"] = self.linear.forward(params, squares)  # (B, R, S, D)
        y, cache["act"] = self.act.forward(seen)  # (B, R, S, D)
        return y, cache

    def backward(self, params, dy, cache, grads):
        dseen = self.act.backward(dy, cache["act"])  # (B, R, S, D)
        dsquares = self.linear.backward(params, dseen, cache["linear"], grads)
        dx = scatter_squares(dsquares, self.kernel, self.stride)
        return dx


class Stem:
    """Strided convolutions, one after the other, on whose last result patches are cut.

        x ← convolution(x), for each of them

    Params   convs, one {w, b} for each
    Forward  x (B, H, W, C) -> y (B, rows, columns, dim), of the attributes of these names
    Cache    convs: those of the convolutions
    Errors   ValueError or TypeError for a list of anything but (kernel, stride, dim), for squares
             that leave pixels over, or if x is not (B, H, W, C)

    A patch of a plain Vision Transformer knows nothing of its neighbours until the first attention.
    Here neighbouring pixels meet first, by the same weights wherever they are.
    """

    def __init__(self, height, width, channels, convolutions):
        """`convolutions` is a list of (kernel, stride, dim)."""
        if not isinstance(convolutions, (tuple, list)):
            raise ValueError(f"Stem: expected a list of convolutions, got {convolutions!r}")
        self.convs, self.numbers = [], 0
        for each in convolutions:
            if not isinstance(each, (tuple, list)) or len(each) != 3:
                raise ValueError(
                    f"Stem: a convolution is (kernel, stride, dim), three numbers, got {each!r}"
                )
            conv = StridedConvolution(height, width, channels, *each)
            height, width, channels = conv.rows, conv.columns, conv.linear.d_out
            self.convs.append(conv)
            self.numbers = max(self.numbers, height * width * channels)
        self.rows, self.columns, self.dim = height, width, channels

    def init(self, rng, dtype=np.float32):
        return {"convs": [conv.init(rng, dtype) for conv in self.convs]}

    def forward(self, params, x):
        cache = {"convs": []}
        for conv, conv_params in zip(self.convs, params["convs"], strict=True):
            x, conv_cache = conv.forward(conv_params, x)
            cache["convs"].append(conv_cache)
        return x, cache

    def backward(self, params, dy, cache, grads):
        of_convs = zip(self.convs, params["convs"], cache["convs"], grads["convs"], strict=True)
        dx = dy
        for conv, conv_params, conv_cache, conv_grads in reversed(list(of_convs)):
            dx = conv.backward(conv_params, dx, conv_cache, conv_grads)
        return dx  # (B, H, W, C)
