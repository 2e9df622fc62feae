"""Linear layer, y = x w + b (its backward: Goodfellow et al., Deep Learning, section 6.5.6)."""

import numpy as np

from .initial import truncated_normal
from .refusals import expect_shape, positive_integers
from .sums import sum_rows


class Linear:
    """Every token goes through the same affine map: y = x w + b.

    Params   w (d_in, d_out)   b (d_out,)
    Forward  x (..., d_in) -> y (..., d_out)
    Cache    x
    Errors   ValueError if x is not d_in wide, or dy not of y's shape

    With one row of x for each of the R tokens, y[r, j] = Σᵢ x[r, i] w[i, j] + b[j]. So

        dw = xᵀ dy          w[i, j] met x[r, i] in every row r: sum over the rows
        db = Σᵣ dy[r]       b was added to every row: sum over the rows
        dx = dy wᵀ          x[r, i] went to every output j through w[i, j]: sum over the outputs

    dw and dx are each dy times the other factor, transposed; unless sizes happen to agree, only one
    order of the two fits.
    """

    def __init__(self, d_in, d_out, gain=1.0):
        """`gain` scales the initial weights.

        It is less than 1 where y is added to the residual stream (block.py), 0 for the head.
        """
        self.d_in, self.d_out = positive_integers("Linear", d_in=d_in, d_out=d_out)
        self.gain = gain

    def init(self, rng, dtype=np.float32):
        """w with std gain / √d_in: with gain 1, outputs start as large as inputs. b zero."""
        w = truncated_normal(rng, (self.d_in, self.d_out), self.gain * self.d_in**-0.5, dtype)
        return {"w": w, "b": np.zeros(self.d_out, dtype)}

    def forward(self, params, x):
        expect_shape("Linear", x, ..., self.d_in)
        rows = x.reshape(-1, self.d_in)  # (R, d_in)
        out = rows @ params["w"]  # (R, d_out)
        out += params["b"]
        y = out.reshape(*x.shape[:-1], self.d_out)  # (..., d_out)
        return y, {"x": x}

    def backward(self, params, dy, cache, grads):
        x = cache["x"]
        expect_shape("Linear", dy, *x.shape[:-1], self.d_out)  # or reshape would regroup it
        rows = x.reshape(-1, self.d_in)  # (R, d_in)
        dout = dy.reshape(-1, self.d_out)  # (R, d_out)
        grads["w"] += rows.T @ dout
        grads["b"] += sum_rows(dout)
        drows = dout @ params["w"].T  # (R, d_in)
        dx = drows.reshape(x.shape)  # (..., d_in)
        return dx
