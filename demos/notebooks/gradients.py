# ---
# jupyter:
#   jupytext:
#     formats: ipynb,notebooks//py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Check your own gradients
#
# **You have written a backward pass. It runs, the loss falls. Is it right?** Here you learn how to know: with two
# nearby losses, with an imaginary step, with a checker that explains what it finds. At the end you repair three
# layers with typical bugs.
#
# [`vision_transformer.ipynb`](vision_transformer.ipynb) says at its top how to install minivit.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np

import minivit
from minivit import layers
from minivit.checks.numeric import step_sweep
from minivit.study import figures
from minivit.study.lessons.grading import grade_class

plt.rcParams["figure.dpi"] = 80
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1 A gradient is a slope
#
# **What does a gradient claim?** That if you raise a number by a little $h$, the loss rises by $h$ times the
# gradient. A claim like that can be tested. Take a small step to both sides:
#
# $$\frac{\mathrm{loss}(x + h) - \mathrm{loss}(x - h)}{2 h}$$
#
# Here is a layer of our own, the cube $y = x^3$, with the loss $\sum y · dy$ for some fixed $dy$, so that the
# gradient of $y$ is just $dy$.


# %%
def forward(x):
    return x**3


def backward(dy, x):
    return dy * 3 * x**2


x, dy = rng.standard_normal(4), rng.standard_normal(4)
dx = backward(dy, x)
h = 1e-5
for i in range(4):
    step = h * np.eye(4)[i]
    slope = ((forward(x + step) * dy).sum() - (forward(x - step) * dy).sum()) / (2 * h)
    print(f"x[{i}]: slope {slope:.9f}, our gradient {dx[i]:.9f}")

# %% [markdown]
# ## 2 How small should the step be?
#
# **The smaller, the better?** With a large step the curve bends away from its tangent. With a tiny step the two
# losses agree in nearly all of their digits, and the difference is what rounding has left. The best is in between,
# and even there a few digits are lost.
#
# There is a way out. Take the step in the imaginary direction. For a function that is a power series, as all in a ViT
# are,
#
# $$f(x + ih) = f(x) + ih\,f'(x) - \tfrac12 h^2 f''(x) - … \qquad\Rightarrow\qquad f'(x) ≈ \frac{\mathrm{Im}\, f(x + ih)}{h}$$
#
# Nothing is subtracted, so nothing is lost. The step can be 10⁻³⁰, and NumPy computes with complex numbers anyway.

# %%
imaginary = 1e-30
for i in range(4):
    slope = (forward(x + 1j * imaginary * np.eye(4)[i]) * dy).sum().imag / imaginary
    print(f"x[{i}]: equal but for the last digit: {abs(slope / dx[i] - 1) < 1e-15}")

steps = 10.0 ** np.arange(-16, 0.5, 0.5)
errors = step_sweep(layers.GELU(), rng.standard_normal((3, 5)), steps)
two, one = errors["central"].min(), errors["complex"].min()
print(f"GELU: best error {two:.0e} with two losses, {one:.0e} with an imaginary step")
figures.step_sweep(steps, errors, "GELU")

# %% [markdown]
# ## 3 Let the checker do it
#
# **What do I have to write?** A class with two methods. `forward` returns the output and a *cache*, all that the
# backward will need. `backward` returns the gradient of the input. If there are parameters, `init` makes them, and
# the backward adds their gradients to `grads`.


# %%
class Scale:
    """y = x · w, a number w for each feature."""

    def init(self, rng, dtype=np.float32):
        return {"w": rng.standard_normal(5).astype(dtype)}

    def forward(self, params, x):
        return x * params["w"], {"x": x}

    def backward(self, params, dy, cache, grads):
        grads["w"] += (dy * cache["x"]).sum(axis=0)
        return dy * params["w"]


minivit.gradcheck(Scale(), rng.standard_normal((3, 5)))

# %% [markdown]
# Each row is an array: its worst error, where it is, and the two numbers there. Now we make a mistake that is easy to
# make: the mean over the rows in place of the sum.


# %%
class Averaged(Scale):
    def backward(self, params, dy, cache, grads):
        grads["w"] += (dy * cache["x"]).mean(axis=0)
        return dy * params["w"]


report = minivit.gradcheck(Averaged(), rng.standard_normal((3, 5)))
report

# %% [markdown]
# It does not only say that `w` is wrong. It says that it is a third of what it should be, and that three is the
# number of rows. From there it is not far to the line.

# %% [markdown]
# ## 4 Checks that cannot fail
#
# **Can a check pass although the code is wrong?** Easily. Many checks take all `dy` to be one, as if the loss were
# the sum of the outputs. Here are three backward passes of softmax. The first is right. The second treats each weight
# as if it depended on its own score alone. The third returns zeros, whatever comes.


# %%
class Wrong(layers.Softmax):
    def backward(self, dy, cache):
        return dy * cache["y"] * (1 - cache["y"])


class Nothing(layers.Softmax):
    def backward(self, dy, cache):
        return np.zeros_like(dy)


def check_with_ones(layer, x):
    y, cache = layer.forward(x)
    dx = layer.backward(np.ones_like(y), cache)
    slope = layer.forward(x + 1e-30j * np.eye(x.size)[0].reshape(x.shape))[0].sum().imag / 1e-30
    return bool(abs(dx.flat[0] - slope) < 1e-12)


scores = rng.standard_normal((2, 4))
for layer in (layers.Softmax(), Wrong(), Nothing()):
    by_ones, by_random = check_with_ones(layer, scores), minivit.gradcheck(layer, scores).ok
    print(f"{type(layer).__name__:<8} with ones: {by_ones!s:<6} with random dy: {by_random}")

# %% [markdown]
# The weights of a row sum to one, whatever the scores. So with ones the loss cannot change, the right gradient is
# zero, and a backward that does nothing at all passes. Layer norm has the same trap at its initial weights. With a
# square matrix a forgotten transpose raises no error, and a head that starts at zero hides everything below it. So
# draw everything at random, and let all sizes differ. `gradcheck` draws `dy` and the parameters; the sizes of the
# input are up to you.

# %% [markdown]
# ## 5 What no gradient check can see
#
# **If all gradients are right, is the network right?** No. A gradient check compares the backward with the forward.
# If the forward computes the wrong thing, and the backward is its true gradient, then the checker is satisfied.
# Attention that normalises over the wrong axis, for example. Such things need checks of their own: `structure` tests
# properties that a Vision Transformer must have.

# %%
from minivit.checks.faults import faults, planted

model = minivit.ViT(
    image_size=(6, 9), patch_size=3, channels=2, dim=12, depth=2, heads=3, mlp_dim=10, classes=5,
    pool="cls",
)  # fmt: skip
images = rng.random((2, 6, 9, 2))
with planted(faults()["softmax_over_queries"]):
    gradients_right = minivit.gradcheck(model, images).ok
    findings = minivit.structure(model)
print("all gradients right:", gradients_right, "  all properties hold:", findings.ok)
findings

# %% [markdown]
# ## 6 Find the bug
#
# Three layers, each with a bug. Two of them are from public code; the third is made up, but easy to make. Run the
# check, read what it says, repair the class, and run the check again.

# %% [markdown]
# ### 6.1 Layer norm
#
# <details><summary>Hint</summary>
#
# $dy$ reaches the normed numbers through $w$. So $w$ belongs to everything that is averaged, and not only to the result.
#
# </details>


# %% tags=["exercise"]
class MyLayerNorm(layers.LayerNorm):
    def backward(self, params, dy, cache, grads):
        normed, rstd, w = cache["normed"], cache["rstd"], params["w"]
        rows = tuple(range(dy.ndim - 1))
        grads["w"] += (dy * normed).sum(axis=rows)
        grads["b"] += dy.sum(axis=rows)
        mean = dy.mean(axis=-1, keepdims=True)
        along = (dy * normed).mean(axis=-1, keepdims=True)
        return w * rstd * (dy - mean - normed * along)


# %% tags=["check"]
grade_class(MyLayerNorm, "layernorm")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# class MyLayerNorm(layers.LayerNorm):
#     def backward(self, params, dy, cache, grads):
#         normed, rstd, w = cache["normed"], cache["rstd"], params["w"]
#         rows = tuple(range(dy.ndim - 1))
#         grads["w"] += (dy * normed).sum(axis=rows)
#         grads["b"] += dy.sum(axis=rows)
#         dnormed = dy * w
#         mean = dnormed.mean(axis=-1, keepdims=True)
#         along = (dnormed * normed).mean(axis=-1, keepdims=True)
#         return rstd * (dnormed - mean - normed * along)
# ```
#
# </details>

# %% [markdown]
# ### 6.2 A linear layer
#
# <details><summary>Hint</summary>
#
# A parameter may be used more than once in a step. What must then happen to the gradient that is already there?
#
# </details>


# %% tags=["exercise"]
class MyLinear(layers.Linear):
    def backward(self, params, dy, cache, grads):
        x = cache["x"]
        rows, dout = x.reshape(-1, self.d_in), dy.reshape(-1, self.d_out)
        grads["w"][...] = rows.T @ dout
        grads["b"][...] = dout.sum(axis=0)
        return (dout @ params["w"].T).reshape(x.shape)


# %% tags=["check"]
grade_class(MyLinear, "linear")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# class MyLinear(layers.Linear):
#     def backward(self, params, dy, cache, grads):
#         x = cache["x"]
#         rows, dout = x.reshape(-1, self.d_in), dy.reshape(-1, self.d_out)
#         grads["w"] += rows.T @ dout
#         grads["b"] += dout.sum(axis=0)
#         return (dout @ params["w"].T).reshape(x.shape)
# ```
#
# </details>

# %% [markdown]
# ### 6.3 GELU
#
# <details><summary>Hint</summary>
#
# $x$ reaches $y = x · \mathrm{gate}(x)$ in two ways. How many are here?
#
# </details>


# %% tags=["exercise"]
class MyGELU(layers.GELU):
    def backward(self, dy, cache):
        x, gate = cache["x"], cache["gate"]
        return dy * gate


# %% tags=["check"]
grade_class(MyGELU, "gelu")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# class MyGELU(layers.GELU):
#     def backward(self, dy, cache):
#         x, gate = cache["x"], cache["gate"]
#         rise = np.sqrt(2 / np.pi).item() * (1 + 3 * 0.044715 * x * x)
#         return dy * (gate + x * 2 * gate * (1 - gate) * rise)
# ```
#
# </details>

# %% [markdown]
# ## Where to go from here
#
# - `python -m demos.find_the_bug` plants a bug somewhere in the engine and lets you search.
# - `python -m demos.write_backward attention` makes a file with an empty backward and grades it.
# - [Check gradients](../docs/checking.md): all options of `gradcheck`, and how to read its reports.
