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
# # One head of attention, forward and back
#
# **What does a single head do with a digit, and what comes back through it?** Here you walk through one head of a
# trained network, line by line: first forward, then backward in reverse. Each step shows its formula, the line of the
# source that computes it, and its numbers. At the end it all becomes a page that you can click on.
#
# If attention is new to you, begin with sections 3.8 and 4.8 of
# [`vision_transformer.ipynb`](vision_transformer.ipynb), where three tokens are enough. It also says how to install
# minivit.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import minivit
from minivit.data.digits import Split, hold_out
from minivit.data.normalize import Normalize
from minivit.study import explorer, figures, nudge, trace
from minivit.study.lessons.walk import walk
from minivit.study.matrices import matrices
from minivit.training import Progress, fit

plt.rcParams["figure.dpi"] = 80

# %% [markdown]
# ## 1 A network that has learned a little
#
# Twice through 20,000 digits is enough for a network that is right most of the time. `Muon` is an optimizer that
# learns fast.

# %% tags=["parameters"]
IMAGES = 20_000  # digits to learn from

# %%
digits = minivit.load_digits("mnist")
train, validation = hold_out(digits.train, 2_000, np.random.default_rng(0))
train = Split(train.images[:IMAGES], train.labels[:IMAGES])
model = minivit.ViT(
    image_size=28, patch_size=7, channels=1, dim=64, depth=4, heads=4, mlp_dim=128, classes=10
)
params = minivit.Params(model.init(np.random.default_rng(0)))
classifier = minivit.Classifier(model, params, Normalize.of(train.images), digits.classes)
progress = Progress(classifier, minivit.Muon(params))
rows = fit(progress, train, validation, epochs=2, batch_size=100, shards=2)

# %% [markdown]
# ## 2 A digit, forward and back, array by array
#
# We choose a digit that the network finds hard: among the first 500 test images, the one whose label gets the lowest
# probability.

# %%
probabilities = classifier.predict(digits.test.images[:500])
number = int(probabilities[np.arange(500), digits.test.labels[:500]].argmin())
pixels, label = digits.test.images[number], int(digits.test.labels[number])
record = trace(
    model,
    params.astype(np.float64),
    classifier.normalize(pixels[None]).astype(np.float64),
    np.array([label]),
)
reading = probabilities[number].argmax()
print(f"{model.tokens} tokens; heads of width {64 // 4}")
print(f"It is a {label}. The network reads {reading}. The loss is {record.loss:.2f}.")
figures.patch_grid(1 - pixels[:, :, None] / 255, 7)

# %% [markdown]
# `record` has every array of the forward and the backward pass, with the line that made it. Let us look at one head of the last
# block.

# %%
BLOCK, HEAD = 3, 0
steps = list(walk(record, BLOCK, HEAD))


def show(step):
    """A step: its words, the lines of the source, and the matrix."""
    lines = "\n".join(step.lines)
    code = f"\n\n```python\n{lines}\n```" if lines else ""
    display(Markdown(f"**{step.title}:** {step.formula}\n\n{step.words}{code}"))
    display(matrices({step.formula.split(" ")[0]: step.value}))
    if step.nudged:
        display(Markdown(f"*{step.nudged}*"))


# %% [markdown]
# ## 3 Forward
#
# The letters: $T$ = 16 tokens, one for each patch; $D$ = 64, their width; $d$ = 16, the width of one head. (That $T$
# and $d$ are both 16 is a coincidence.) In the lines of the source $B$ is the number of images, $h$ of heads, $R = B
# · T$ of rows, and `xp` is NumPy. wq, wk and wv are the parts of `qkv.w` that make q, k and v; wo is `proj.w`.
#
# In the pictures red is above zero, blue below, and white is zero.

# %%
for step in steps:
    if step.title.startswith("forward"):
        show(step)

# %% [markdown]
# **Whom does a patch look at?** A row of `att` belongs to the token that asks. Here are four of them, laid back onto
# the digit. The red frame is the patch that asks. Bright patches are those that it takes from.

# %%
att = record[f"blocks.{BLOCK}.attn.att"].value[0, HEAD]  # (T, T)
asking = [5, 6, 9, 10]  # the four in the middle
figure, axes = plt.subplots(1, 4, figsize=(9, 2.4))
for ax, token in zip(axes, asking, strict=True):
    ax.imshow(pixels, cmap="gray_r", extent=(0, 28, 28, 0))
    ax.imshow(att[token].reshape(4, 4), cmap="inferno", alpha=0.6, extent=(0, 28, 28, 0))
    corner = (token % 4 * 7, token // 4 * 7)
    ax.add_patch(plt.Rectangle(corner, 7, 7, fill=False, color=figures.RED, linewidth=2))
    ax.set_title(f"token {token}")
    ax.axis("off")

# %% [markdown]
# ## 4 Backward
#
# Now in reverse. Each product of the forward is answered by two: one for each of its factors. Under each step one
# number is moved a little, the whole network runs again, and the slope of the loss is compared with what the backward
# says.

# %%
for step in steps:
    if step.title.startswith("backward"):
        show(step)

# %% [markdown]
# **What would help?** `dscores` tells us. Blue scores should grow, red ones should shrink, for the loss to fall. Each
# row sums to zero, since softmax hands out a fixed amount.

# %%
dscores = record.versions(f"blocks.{BLOCK}.attn.dscores")[0].value[0, HEAD]
print("largest sum of a row, below 1e-12:", bool(abs(dscores.sum(axis=1)).max() < 1e-12))
place = tuple(int(i) for i in np.unravel_index(abs(dscores).argmax(), dscores.shape))
slope, gradient = nudge(record, f"blocks.{BLOCK}.attn.scores", (0, HEAD, *place))
print(f"the score that matters most is {place}: slope {slope:.6f}, gradient {gradient:.6f}")
matrices({"att": att, "dscores": dscores})

# %% [markdown]
# ## 5 All heads, on a page
#
# The explorer is a page that holds the network and computes both passes itself, in your browser: all blocks and heads
# of this digit, and of others. Click on a number to see the sum that makes it. Move it and compare the loss with the
# gradient. Draw a digit of your own.
#
# If you read this where notebooks are only shown and not run, you see no page under the next cell. Here is what it
# looks like:
#
# ![The explorer: a digit, the map of the network, and the matrices and the sum behind one number of the attention's
# gradient](../docs/explorer.png)

# %%
explorer.show(classifier, digits.test.images[:500], digits.test.labels[:500])

# %% [markdown]
# The digit from above comes first, as no other of the 500 has a larger loss. For a run in a folder,
# `python -m demos.explore RUN` writes the same page as a file, which you can open in a browser or send to somebody.
