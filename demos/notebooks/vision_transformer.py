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
# # A Vision Transformer from scratch
#
# **From a photo to a trained network, with every gradient written by hand.**
#
# A Vision Transformer cuts a picture into squares, lets the squares look at each other, and says what it sees. Here you
# build one in NumPy, step by step. You send a gradient back through each step and check it. You train the network on
# handwritten digits, and at the end you let it compete with a convolutional network.
#
# You need Python, a little NumPy and the chain rule. You need no GPU, no PyTorch and, once it is installed, no
# internet connection. The whole notebook runs in six to eight minutes on two cores.
#
# 1. [Overview](#1-Overview)
# 2. [The training process](#2-The-training-process)
# 3. [Building it](#3-Building-it)
# 4. [Backpropagation](#4-Backpropagation)
# 5. [Training on MNIST](#5-Training-on-MNIST)
# 6. [Notes: convolution or attention?](#6-Notes:-convolution-or-attention?)
# 7. [Exercises](#7-Exercises)

# %% [markdown]
# ### How to install it
#
# On your own machine, in a clone of the repository:
#
# ```sh
# python3 -m venv .venv && .venv/bin/python -m pip install -q -e '.[notebook]'
# .venv/bin/jupyter lab demos/vision_transformer.ipynb
# ```
#
# In Colab, put these lines into a cell of their own and run it first. `ADDRESS` is where the repository is, from which
# you opened this notebook.
#
# ```
# !git clone ADDRESS minivit
# %cd minivit/demos
# %pip install -q .. onnx onnxruntime
# ```
#
# The links to other files do not work in Colab.

# %%
# %matplotlib inline
import cv2
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML

import minivit
from minivit import layers
from minivit.data.images import load_image, resize
from minivit.html import table
from minivit.study import figures, nudge, trace
from minivit.study.architecture import architecture
from minivit.study.matrices import matrices, similarity_maps

np.set_printoptions(precision=3, suppress=True)
plt.rcParams["figure.dpi"] = 80
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1 Overview
#
# ### What is a Vision Transformer?
#
# **How can a network that was made for sentences read a picture?** A transformer reads a sequence of words. Each word
# is a vector, a *token*, and in every layer each token looks at all others and takes over what it needs from them.
# Nothing in this asks for words. Cut a picture into squares, make a vector of each, and the same network reads
# pictures.
#
# Here is the network that we are going to build. The top row is the whole model. The
# middle row is one of its blocks. The bottom row is the attention inside a block, where the tokens look at each other.

# %%
big = minivit.ViT(
    image_size=224, patch_size=16, channels=3, dim=768, depth=12, heads=12, mlp_dim=3072,
    classes=1000, pool="cls",
)  # fmt: skip
cat = load_image("samples/cat.jpg")  # (300, 451, 3), red, green and blue from 0 to 1
print(f"{big.patches.count} patches; {big.tokens} tokens with the class token")
architecture(big, resize(cat[:, 75:375], 224, 224))

# %% [markdown]
# Follow one shape from left to right. A picture of 224 × 224 pixels becomes 196 patches. Each patch becomes a vector
# of 768 numbers. One more vector, the *class token*, joins them. From then on the shape stays 197 × 768, through all
# 12 blocks, until a single vector is picked out and a linear map turns it into 1000 scores, called *logits*, one for
# each class.

# %% [markdown]
# ### Where does it come from?
#
# - **Vaswani et al. (2017)**, [Attention is all you need](https://arxiv.org/abs/1706.03762), made the transformer for
#   translation. A readable implementation:
#   [jadore801120/attention-is-all-you-need-pytorch](https://github.com/jadore801120/attention-is-all-you-need-pytorch).
# - **Dosovitskiy et al. (2020)**, [An image is worth 16x16 words](https://arxiv.org/abs/2010.11929), made it read pictures.
#   The authors' code: [google-research/vision_transformer](https://github.com/google-research/vision_transformer).
#
# **What is different here?** These programs leave the backward pass to a framework. In minivit each layer has its own
# backward, written right under its forward, and every gradient is checked against numbers.

# %% [markdown]
# ## 2 The training process
#
# Every network takes the same path from raw data to use. Here are its ten stages, and the file in which minivit
# handles each.
#
# ### Data preparation
# Pictures come in all sizes; a network takes one. So each is resized, and its pixels are shifted and scaled to mean
# zero and standard deviation (*spread*) one ([`normalize.py`](../minivit/data/normalize.py)). Some images are held
# out, to tell learning from memorising. While training, each image is moved, turned or mirrored a little, so that no
# two epochs look the same ([`augment.py`](../minivit/data/augment.py)).
#
# ### Architecture
# How many tokens, how wide, how many blocks? An encoder turns images into tokens
# ([`encoder.py`](../minivit/models/encoder.py)); a head on top turns tokens into an answer
# ([`vit.py`](../minivit/models/vit.py)).
#
# ### Data encoding
# The picture is cut into patches, and each patch is projected to a vector, by the same linear map
# ([`patches.py`](../minivit/layers/patches.py)).
#
# ### Positional encoding
# Attention does not know where a token stands. So each place gets a vector of its own, which is added to the token
# there: learned ([`positions.py`](../minivit/layers/positions.py)), or made of sines and cosines
# ([`sinusoids.py`](../minivit/layers/sinusoids.py)).
#
# ### Loss function
# One number says how wrong the answer is: the cross-entropy, which is the surprise at the right class
# ([`cross_entropy.py`](../minivit/losses/cross_entropy.py)).
#
# ### Training objective
# What should become small? Here it is the mean loss over labelled images. Transformers can also learn without labels,
# by guessing hidden patches, or the right order of shuffled ones. Or they can learn to find objects, with one loss
# for the place and one for the class.
#
# ### Training
# Again and again: take a few images, run forward, run backward, and move every parameter a little against its gradient
# ([`fit.py`](../minivit/training/fit.py), [`adam.py`](../minivit/optim/adam.py)).
#
# ### Evaluation
# How often is it right on images that it has never seen, and which ones does it confuse?
# ([`metrics.py`](../minivit/training/metrics.py))
#
# ### Hyperparameter tuning
# Learning rate, batch size, depth: these are not learned, but tried. One rule matters: choose on validation images,
# and look at the test images once, at the end. The settings of [`train_mnist.py`](train_mnist.py) were chosen that
# way.
#
# ### Deployment
# A trained model is a folder with its weights and a description ([`classifier.py`](../minivit/classifier.py)). It
# answers from the command line ([`predict.py`](predict.py)), or leaves for other programs as ONNX
# ([`export.py`](export.py)).

# %% [markdown]
# ## 3 Building it
#
# ### 3.1 The arguments
#
# **How many words does a picture have?** Cut $H × W$ pixels into squares with side $P$, and you get
#
# $$N = \frac{H}{P} · \frac{W}{P}$$
#
# patches. With the sizes of the paper's model ViT-B/16:

# %%
H = W = 224  # pixels
C = 3  # red, green, blue
P = 16  # the side of a patch
D = 768  # the width of a token
N = (H // P) * (W // P)
print(f"{N} patches of {P} × {P} × {C} = {P * P * C} numbers, each projected to {D}")

# %% [markdown]
# So a picture is a sentence of 196 words. That a patch has 768 numbers, and that a token has 768 too, is a
# coincidence of these sizes. Do not let it confuse you: the first follows from the patch, the second is our choice.

# %% [markdown]
# ### 3.2 A picture
#
# **What is a picture, for a program?** An array: height, width, and three numbers for each pixel. OpenCV reads it
# from a file. There is one trap: OpenCV puts blue first.

# %%
bgr = cv2.imread("samples/cat.jpg")  # uint8, from 0 to 255
rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
print("shape", bgr.shape, " type", bgr.dtype, " first pixel", bgr[0, 0], "is, in RGB,", rgb[0, 0])

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2))
for ax, picture, title in zip(axes, (bgr, rgb), ("as OpenCV reads it", "red first"), strict=True):
    ax.imshow(picture)
    ax.set_title(title)
    ax.axis("off")

# %% [markdown]
# From here on we read with minivit's `load_image`. It takes a file or a URL, turns photos upright, and gives RGB from
# 0 to 1. Put in the address of a picture of your own.

# %%
SOURCE = "samples/cat.jpg"  # or "https://…"
photo = load_image(SOURCE)
print(photo.shape, photo.dtype, f"from {photo.min():.2f} to {photo.max():.2f}")

# %% [markdown]
# ### 3.3 Resizing
#
# **How does a wide photo become a square?** Either it is squashed, and cats get thin. Or we take the largest square
# in the middle, and lose the edges. For recognising things the second is usual.

# %%
rows, columns = photo.shape[:2]
side = min(rows, columns)
top, left = (rows - side) // 2, (columns - side) // 2
squashed = resize(photo, H, W)
square = resize(photo[top : top + side, left : left + side], H, W)

figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), width_ratios=[columns / rows, 1, 1])
for ax, picture, title in zip(
    axes, (photo, squashed, square), ("the photo", "squashed", "the middle"), strict=True
):
    ax.imshow(picture)
    ax.set_title(f"{title}: {picture.shape[0]} × {picture.shape[1]}")
    ax.axis("off")

# %% [markdown]
# Networks like numbers around zero. So we shift and scale, as the authors' code does, from 0 … 1 to −1 … 1. One
# picture becomes a batch of one: the first axis counts images.

# %%
images = ((square[None] - 0.5) / 0.5).astype(np.float32)  # (1, H, W, C)
print(images.shape, f"from {images.min():.2f} to {images.max():.2f}")

# %% [markdown]
# ### 3.4 Cutting it into patches
#
# **How do you cut without a loop?** Split the height into (rows of patches, pixels in a patch), split the width
# likewise, and bring the two patch axes to the front. ($B$ counts the images of a batch, here one.)
#
# $$(B,\; H,\; W,\; C) → (B,\; \tfrac HP,\; P,\; \tfrac WP,\; P,\; C) → (B,\; \tfrac HP,\; \tfrac WP,\; P,\; P,\; C) → (B,\; N,\; P^2 C)$$

# %%
grid = images.reshape(1, H // P, P, W // P, P, C)
grid = grid.transpose(0, 1, 3, 2, 4, 5)  # (B, H/P, W/P, P, P, C)
patches = grid.reshape(1, N, P * P * C)
print(images.shape, "→", grid.shape, "→", patches.shape)
assert np.array_equal(patches, layers.patches.cut_patches(images, P))

# For the picture only: a white gap of 3 pixels beside each patch, and 16 + 3 = 19.
apart = np.pad(grid[0] / 2 + 0.5, [(0, 0), (0, 0), (0, 3), (0, 3), (0, 0)], constant_values=1)
apart = apart.transpose(0, 2, 1, 3, 4).reshape(14 * 19, 14 * 19, 3)
sentence = np.concatenate(list(apart.reshape(14, 19, 14 * 19, 3)[5:7]), axis=1)
figure, (left_ax, right_ax) = plt.subplots(2, 1, figsize=(10, 5.2), height_ratios=[5, 1])
left_ax.imshow(apart)
left_ax.set_title("196 patches")
right_ax.imshow(sentence)
right_ax.set_title("patches 70 to 97 of the sentence")
for ax in (left_ax, right_ax):
    ax.axis("off")

# %% [markdown]
# **Why not simply reshape?** `images.reshape(1, 196, 768)` has the right shape too, and this is the most common
# mistake. A reshape never moves a number. It cuts the long row of all pixels into pieces of 768, so a "patch" is a
# thin strip that runs on from one row of pixels to the next.

# %%
strips = images.reshape(1, N, P * P * C)
eye = 5 * 14 + 3  # row 5, column 3
figure, axes = plt.subplots(1, 2, figsize=(5, 2.6))
for ax, cut, title in zip(axes, (patches, strips), ("patch 73", "strip 73"), strict=True):
    ax.imshow(cut[0, eye].reshape(P, P, C) / 2 + 0.5)
    ax.set_title(title)
    ax.axis("off")

# %% [markdown]
# The same mistake has a second form. Some programs compute the patches as (D, rows, columns) and need (patches, D).
# It is tempting to reshape, or to write `einsum("ijk -> ijk", …)` and believe that it moves axes. Watch a small
# example: two features of three patches.

# %%
features_first = np.array([[1, 2, 3], [10, 20, 30]])  # (D, N): patch 0 is (1, 10)
print("transposed\n", features_first.T)
print("reshaped\n", features_first.reshape(3, 2))
for letters in ("ij -> ij", "ij -> ji"):
    result = np.einsum(letters, features_first)
    print(f"einsum({letters!r}) transposes:", np.array_equal(result, features_first.T))

# %% [markdown]
# After the reshape, "patch 0" is (1, 2): one feature of two different patches. The shapes fit and training runs; only
# the result is worse, and nobody notices. The letters after the arrow must change their order, or nothing moves.

# %% [markdown]
# ### 3.5 From patches to tokens
#
# **How does a patch become a vector?** By a linear map, the same for all patches:
#
# $$y = x\,w + b, \qquad x: (N,\, P^2C), \quad w: (P^2C,\, D), \quad y: (N,\, D)$$
#
# `patch_image` does all of it: cut, project, and, if you like, normalise or keep the grid.

# %%
from minivit.study.lessons.patch_image import convolve, patch_image

for norm in (False, True):
    for as_grid in (False, True):
        _, embeddings, _ = patch_image(
            images, P, D, np.random.default_rng(0), norm=norm, grid=as_grid
        )
        token = embeddings.reshape(-1, D)[eye]
        print(
            f"norm={norm!s:<6} grid={as_grid!s:<6} {embeddings.shape!s:<16} "
            f"token 73: mean {token.mean():6.3f}, spread {token.std():.3f}"
        )

# %% [markdown]
# `norm` gives each token mean 0 and spread 1. `grid` keeps the 14 × 14 arrangement, for those who want to draw the result or
# to go on with convolutions. A transformer takes the flat list.
#
# **Why do other programs use a convolution here?** Because it is the same. A convolution slides a small window of
# weights, the *kernel*, over the picture, and moves on by the *stride*. If both are as large as a patch, it visits
# each patch once, multiplies it by D kernels, and sums each product up. That is a matrix product. Here are both.

# %%
cut, embeddings, params = patch_image(images, P, D, np.random.default_rng(0))
kernels = params["w"].reshape(P, P, C, D)
convolved = convolve(images, kernels, params["b"])  # (1, 14, 14, D)
difference = abs(convolved.reshape(1, N, D) - embeddings).max()
print(f"largest number {abs(embeddings).max():.2f}; differences below 1e-5: {difference < 1e-5}")

# %% [markdown]
# ### 3.6 The class token
#
# **196 tokens go in, but one answer must come out. Who gives it?** The paper adds one more token at the front, which
# stands for no patch. It is learned, the same for every picture. In the blocks it collects what the answer needs, and
# the head reads it alone. (The other way is to take the mean of all tokens. For digits we will do that.)

# %%
cls = layers.ClassToken(D)
cls_params = cls.init(rng)
tokens, _ = cls.forward(cls_params, embeddings)
print(embeddings.shape, "→", tokens.shape)

# %% [markdown]
# ### 3.7 Positions
#
# **Does the order of the tokens matter?** Not to attention. Shuffle the tokens, and each gets the same result as
# before, only in its new place. Try it:

# %%
small = layers.Attention(dim=8, heads=2)
small_params = small.init(rng, np.float64)
x = rng.standard_normal((1, 5, 8))
order = [3, 1, 4, 0, 2]
y, _ = small.forward(small_params, x)
y_shuffled, _ = small.forward(small_params, x[:, order])
print("shuffled in, shuffled out:", np.allclose(y_shuffled, y[:, order]))

# %% [markdown]
# So for attention a cat and a shuffled cat are the same. To tell them apart, each place gets a vector of its own,
# added to the token that stands there: $y = x + \mathrm{pos}$. There are three usual kinds.
#
# - **Learned**: the numbers start at random and are trained like all others.
# - **Sinusoids, 1-D**: sines and cosines of the place $p$ in the list, fast ones and slow ones, like the hands of many clocks, where $i$ counts the pairs:
#   $$\mathrm{pos}[p, 2i] = \sin(p · 10000^{-2i/D}) \qquad \mathrm{pos}[p, 2i+1] = \cos(p · 10000^{-2i/D})$$
# - **Sinusoids, 2-D**: half of the numbers tell the row of a patch, the other half its column.

# %%
positions = {
    "learned, at the start": layers.Positions(N, D).init(rng)["pos"],
    "sinusoids, 1-D": layers.SinusoidalPositions(N, D).table(np),
    "sinusoids, 2-D": layers.SinusoidalPositions2D(14, 14, D).table(np),
}
figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained", sharey=True)
axes[0].set_ylabel("place")
for ax, (name, pos) in zip(axes, positions.items(), strict=True):
    ax.imshow(pos, aspect="auto", cmap="RdBu_r")
    ax.set(title=name, xlabel="feature")

# %% [markdown]
# What do these stripes say? Compare the places with each other. Each small map below belongs to one patch and shows, in
# yellow, which places have a similar vector (by the cosine).

# %%
similarity_maps(positions, 14, 14, every=3)

# %% [markdown]
# Learned positions know nothing at the start: each place is like itself alone. In 1-D, the neighbours to the left and
# right are alike, but the patch right below is a whole row away. In 2-D, all neighbours are alike. We will see in
# [section 5](#5-Training-on-MNIST) what a network learns when it may choose.

# %% [markdown]
# ### 3.8 Attention, by hand
#
# **How does a token look at others?** Each token makes three vectors of $d$ numbers: a *query*, what it looks for; a
# *key*, what it can be found by; and a *value*, what it has to give. A query and a key that point the same way match
# well. *Softmax* turns the scores of a query into weights: take the exponential of each, and divide by their sum. So
# they are positive and sum to one. The mix is the average of the values with these weights. ($k^T$ is $k$
# transposed.)
#
# $$\mathrm{scores} = \frac{q\,k^T}{\sqrt d} \qquad \mathrm{att} = \mathrm{softmax}(\mathrm{scores}) \qquad \mathrm{mix} = \mathrm{att}\; v$$
#
# Here are three tokens whose numbers a pencil can follow. The keys are multiples of log 2, so that the exponentials
# become powers of two.

# %%
q = 2 * np.eye(3, 4)  # (T, d): three queries
k = np.log(2) * np.array([[1.0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 3, 0]])  # three keys
v = np.array([[8.0, 0, 4, 0], [0, 4, 4, 0], [4, 8, 4, 10]])  # three values

scores = q @ k.T / np.sqrt(4)  # (T, T): a row for each query, a column for each key
powers = np.exp(scores)
att = powers / powers.sum(axis=1, keepdims=True)
mix = att @ v
print("scores / log 2\n", scores / np.log(2))
print("exp(scores)\n", powers)
print("att\n", att)
print("mix\n", mix)

# %%
matrices({"scores": scores, "att": att, "v": v, "mix": mix})

# %% [markdown]
# Red is above zero, blue below, white is zero. Take your pencil and follow the first token. Its scores are log 2, 0
# and 0. The exponentials are 2, 1 and 1. They sum to 4, so it attends with ½, ¼ and ¼. Its mix begins with ½ · 8 + ¼
# · 0 + ¼ · 4 = 5.
#
# Look at the third column of `v`: all three values are 4, and so is every mix. A mix is an average; it never leaves the
# range of what goes in. The third token finds its key by far the best, and keeps mostly its own value.
#
# **Why divide by √d?** Without it, the scores of a wide head are large. Softmax then puts nearly all weight on one
# token, and where it does, almost no gradient comes back.
#
# Now the layer. It makes q, k and v by one linear map, and cuts them into *heads*: each has its own share of the
# numbers, so each can look elsewhere. The mixes of all heads are joined and projected. (The head at the end of the
# model has only the name in common with these.) With weights chosen to give our numbers, it must give our result.

# %%
one_head = layers.Attention(dim=4, heads=1)
w = np.zeros((4, 12))
w[:3] = np.concatenate([q, k, v], axis=1)  # if token t is the t-th unit vector, x w = its q, k, v
hand_params = {"qkv": {"w": w, "b": np.zeros(12)}, "proj": {"w": np.eye(4), "b": np.zeros(4)}}
x = np.eye(3, 4)[None]  # (1, T, D)
y, hand_cache = one_head.forward(hand_params, x)
print("the layer's att is ours:", np.allclose(hand_cache["att"][0, 0], att))
print("the layer's mix is ours:", np.allclose(y[0], mix))

# %% [markdown]
# ### 3.9 The encoder block
#
# **What else is in a block?** Attention lets tokens talk. Then an MLP (*multilayer perceptron*: a linear map to four
# times the width, a gate, and a linear map back) lets each token think by itself. Both are *branches*: what they
# compute is added to what was there.
#
# $$\mathrm{mid} = x + \mathrm{attn}(\mathrm{ln}_1(x)) \qquad y = \mathrm{mid} + \mathrm{mlp}(\mathrm{ln}_2(\mathrm{mid}))$$
#
# Two small parts are new. *Layer norm* gives each token mean 0 and spread 1, and then scales and shifts each feature
# by numbers that are learned. So no branch has to deal with large or tiny numbers. *GELU* is the gate in the middle
# of the MLP: it lets large numbers pass and holds negative ones back.

# %%
block = layers.PreNormBlock(dim=D, heads=12, mlp_dim=4 * D)
block_params = block.init(rng)
y, cache = block.forward(block_params, tokens)
for name, array in {"x": tokens, "ln1(x)": cache["ln1"]["normed"], "y": y}.items():
    token = array[0, 74]  # of patch 73, as the class token is the first
    print(
        f"{name:<7}{array.shape!s:<20}token 74: mean {token.mean():6.3f}, spread {token.std():.3f}"
    )
weights = cache["attn"]["att"]
sums = np.allclose(weights.sum(axis=-1), 1, atol=1e-5)
print(f"att    {weights.shape!s:<20}each row sums to 1: {sums}")
print(f"mlp    {cache['mlp']['act']['x'].shape!s:<20}in its middle")

numbers = np.linspace(-4, 4, 200)
gelu, _ = layers.GELU().forward(numbers)
figure, ax = plt.subplots(figsize=(4.5, 2.6))
ax.plot(numbers, gelu)
ax.set(title="GELU", xlabel="in", ylabel="out")
ax.grid(alpha=0.3)

# %% [markdown]
# ### 3.10 The whole model, on the photo
#
# **How much work is left?** None. Patches, class token, positions, 12 blocks, one last layer norm, and a head that
# reads the class token: `minivit.ViT` calls them in this order. Here is its forward, without the checks:
#
# ```python
# x = patches(images)
# x = class_token(x)
# x = x + pos
# for block in blocks:
#     x = block(x)
# tokens = layer_norm(x)
# logits = tokens[:, 0] @ head_w + head_b
# ```

# %%
params = minivit.Params(big.init(np.random.default_rng(0)))
logits, cache = big.forward(params, images)
print(f"{params.flat.size:,} parameters")
print("logits", logits.shape, "from", logits.min(), "to", logits.max())
loss, _ = minivit.cross_entropy(logits, [285])  # in ImageNet, 285 is a breed of cat
print(f"loss {loss:.3f}, and log 1000 is {np.log(1000):.3f}")

# %% [markdown]
# That is 86,567,656 parameters, as the published ViT-B/16 with 1000 classes has. All logits are zero, because the
# head starts at zero: an untrained network should not claim to know. It gives each class the same probability, so the
# loss is −log (1/1000) = log 1000.
#
# **And where does it look?** Wherever chance has put it. This is the class token's attention in the last block, a map
# of the patches for each of six heads. Some patches get more than their share, others less, and no two heads agree.

# %%
last = cache["blocks"][-1]["attn"]["att"][0, :, 0, 1:].reshape(12, 14, 14)
figure, axes = plt.subplots(1, 6, figsize=(10, 1.9))
for ax, head in zip(axes, last, strict=False):
    ax.imshow(head, cmap="inferno", vmin=0, vmax=2 / 197)
    ax.axis("off")
print(f"an equal share would be {1 / 197:.5f}; it gives from {last.min():.5f} to {last.max():.5f}")

# %% [markdown]
# Training changes that. Here is the same cat, seen by a network of this kind that has learned from millions of
# pictures. minivit reads such published weights; [this page](../docs/pretrained.md) says how.
#
# ![The cat: its patch tokens as colours, the attention of six heads, one of them on the eyes, and a
# gradient](../docs/photo.jpg)

# %% [markdown]
# ### 3.11 Parameters and operations
#
# **Where do the 86,567,656 parameters sit, and where does the time go?** A linear map from $a$ to $b$ numbers has $ab
# + b$ parameters. On $T$ tokens it takes $T a b$ multiplications. Scores and mixes have no parameters, but take $T^2
# D$ multiplications each.

# %%
T, F, L = N + 1, 4 * D, 12  # tokens, width in the middle of an MLP, blocks
costs = {  # name: (parameters, multiplications)
    "patches": (P * P * C * D + D, N * P * P * C * D),
    "class token and positions": (D + T * D, 0),
    f"queries, keys, values, × {L}": (L * (3 * D * D + 3 * D), L * 3 * T * D * D),
    f"scores and mixes, × {L}": (0, L * 2 * T * T * D),
    f"projections, × {L}": (L * (D * D + D), L * T * D * D),
    f"MLPs, × {L}": (L * (2 * D * F + F + D), L * 2 * T * D * F),
    f"layer norms, {2 * L + 1}": ((2 * L + 1) * 2 * D, 0),
    "head": (D * 1000 + 1000, D * 1000),
}
totals = [sum(numbers) for numbers in zip(*costs.values(), strict=True)]
assert totals[0] == params.flat.size
rows = [
    (name, f"{a:,}", f"{a / totals[0]:.1%}", f"{b / 1e6:,.0f}", f"{b / totals[1]:.1%}")
    for name, (a, b) in costs.items()
]
total = ("together", f"{totals[0]:,}", "", f"{totals[1] / 1e6:,.0f}", "")
header = ["layer", "parameters", "share", "million multiplications", "share"]
HTML(table("ViT-B/16, one image of 224 × 224", header, [*rows, total]))

# %% [markdown]
# Two thirds of everything is in the MLPs, not in attention. The famous cost of attention, which grows with the square
# of the number of tokens, is only 4 % here. It would take over for much larger pictures: at twice the side there are
# four times as many tokens, so this share grows 16 times, and all the rest only four times.

# %% [markdown]
# ## 4 Backpropagation
#
# ### 4.1 One rule
#
# **How does a network find out in which direction to move each of its numbers?** It asks, for each number: if I raise
# you a little, how fast does the loss rise? That is the *gradient*. We write $dx$ for $∂\mathrm{loss}/∂x$; it has the
# shape of $x$. All of backpropagation is one rule:
#
# > The gradient of a number is a sum over all places where the number is used: the gradient at that place, times how fast
# > that place changes with the number.
#
# So we start at the loss and go backwards. Each layer is given $dy$, the gradient of what it put out, and returns
# $dx$, the gradient of what it took in. On the way it leaves the gradients of its own parameters.
#
# A small network is enough to see everything: $B = 3$ digits, $T = 17$ tokens (16 patches and the class token) of
# width $D = 16$, two blocks, two heads of width $d = 8$, and $K = 10$ classes. Its parameters are random, since a
# check at special values, such as zeros, can miss errors.

# %%
from minivit.checks.numeric import random_params

digits = minivit.load_digits("mnist")
tiny = minivit.ViT(
    image_size=28, patch_size=7, channels=1, dim=16, depth=2, heads=2, mlp_dim=32, classes=10,
    pool="cls",
)  # fmt: skip
tiny_params = random_params(tiny, np.random.default_rng(0))  # float64
three, labels = digits.test.images[:3, :, :, None] / 255, digits.test.labels[:3]
record = trace(tiny, tiny_params, three, labels)  # runs forward and backward, and keeps it all
print(f"labels {labels}, loss {record.loss:.4f}")

# %% [markdown]
# `record` holds every array of both passes under the name that it has in the source. In each step below we write the gradient
# ourselves, in a line or two. Then we check it in three ways. Is it what the engine's backward computed? If we
# *nudge* one number, that with the largest gradient, and run the network again, does the loss move as fast as our
# formula says? And does it look right? In the pictures, red says: raising this number raises the loss.


# %%
def value(name):
    return record[name].value


def gradient(name):
    return record[name].gradient


def check(name, ours):
    """Compare our gradient of an array with the engine's, and with the loss after a nudge."""
    agrees = np.allclose(ours, gradient(name), rtol=1e-10, atol=1e-15)
    place = tuple(int(i) for i in np.unravel_index(abs(ours).argmax(), ours.shape))
    slope, _ = nudge(record, name, place)  # from the losses with the number 1e-4 higher and lower
    print(f"d {name}: the engine agrees: {agrees}")
    print(f"   nudging {name}{list(place)}: slope {slope:.7f}, our gradient {ours[place]:.7f}")


# %% [markdown]
# ### 4.2 The loss
#
# **What does the loss want from the scores?** Softmax turns scores into probabilities $p$, and the loss is the mean of
# $-\log p_{\mathrm{label}}$ over the $B$ images. The derivative of a logarithm is $1/p$; the derivative of softmax brings the
# factor $p$ back. What is left is the simplest gradient of all:
#
# $$d\mathrm{logits} = \frac{p - \mathrm{target}}{B} \qquad \mathrm{target} = 1 \text{ at the label, else } 0$$
#
# Prediction minus truth. The right score should rise. All others should fall, each in proportion to its probability.

# %%
scores = value("logits")  # (B, K)
p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
target = np.eye(10)[labels]
dlogits = (p - target) / len(labels)
check("logits", dlogits)
matrices({"p": p, "target": target, "dlogits": dlogits})

# %% [markdown]
# ### 4.3 The head: a linear map
#
# **How does a gradient pass through a matrix?** With $y = x\,w + b$, the input $x_i$ goes to every output $j$ through
# $w_{ij}$. So it collects from all outputs. The weight $w_{ij}$ met $x_i$ in every row, and collects from all rows.
# So does the bias.
#
# $$dx = dy\, w^T \qquad dw = x^T dy \qquad db = \sum_{\mathrm{rows}} dy$$

# %%
pooled = value("pooled")  # (B, D): what the head reads
dpooled = dlogits @ tiny_params["head"]["w"].T
check("pooled", dpooled)
check("head.w", pooled.T @ dlogits)
check("head.b", dlogits.sum(axis=0))
matrices({"dlogits": dlogits, "dpooled": dpooled, "dw": pooled.T @ dlogits})

# %% [markdown]
# ### 4.4 The pool
#
# **Which tokens did the head see?** Only the class token, the first. So only the first gets a gradient here; all
# others get zero. (With the mean of all tokens, each would get $1/T$ of it.) Look at the picture: one thin line, the
# first token.

# %%
dtokens = np.zeros_like(value("tokens"))  # (B, T, D)
dtokens[:, 0] = dpooled
check("tokens", dtokens)
matrices({"dtokens of the first digit": dtokens[0]})

# %% [markdown]
# ### 4.5 Layer norm
#
# **What is left of a gradient after normalising?** Each token has its mean taken away and is multiplied by rstd, one
# over its spread:
#
# $$\mathrm{normed} = (x - \mathrm{mean}) · \mathrm{rstd} \qquad y = \mathrm{normed} · w + b$$
#
# Raise all numbers of a token by the same amount, and nothing changes. Stretch them, and nothing changes either. In
# these two directions the gradient must be zero. And so it is: the formula takes both out.
#
# $$d\mathrm{normed} = dy · w \qquad dx = \mathrm{rstd} · \big(d\mathrm{normed} - \overline{d\mathrm{normed}} - \mathrm{normed} · \overline{d\mathrm{normed} · \mathrm{normed}}\,\big)$$
#
# The bars are means over the features of a token.


# %%
def layer_norm_backward(dy, normed, rstd, w):
    dnormed = dy * w
    mean = dnormed.mean(axis=-1, keepdims=True)
    along = (dnormed * normed).mean(axis=-1, keepdims=True)
    return rstd * (dnormed - mean - normed * along)


dx = layer_norm_backward(dtokens, value("ln.normed"), value("ln.rstd"), tiny_params["ln"]["w"])
check("ln.x", dx)
check("ln.w", (dtokens * value("ln.normed")).sum(axis=(0, 1)))
print("the mean of each token's gradient is zero:", np.allclose(dx.mean(axis=-1), 0))

# %% [markdown]
# ### 4.6 The MLP and its gate
#
# **What does a gate do to a gradient?** It lets the gradient through as far as it let the number through, plus a
# correction, because the number also moved the gate. GELU is $y = x · \mathrm{gate}(x)$, so both factors count. The
# rest is two linear maps, which we know.
#
# $$dx = dy · \big(\mathrm{gate}(x) + x · \mathrm{gate}'(x)\big) \qquad \mathrm{gate} = \tfrac12 (1 + \tanh u) \qquad u = \sqrt{2/π}\,(x + 0.044715\,x^3)$$

# %%
mlp = tiny_params["blocks"][1]["mlp"]
dy = gradient("blocks.1.y")  # the dx of 4.5: what the last layer norm hands to the last block
dgated = dy @ mlp["fc2"]["w"].T
check("blocks.1.mlp.gated", dgated)

hidden = value("blocks.1.mlp.hidden")
u = np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)
du = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * hidden**2)
gate = 0.5 * (1 + np.tanh(u))
slope = gate + hidden * 0.5 * (1 - np.tanh(u) ** 2) * du
dhidden = dgated * slope
check("blocks.1.mlp.hidden", dhidden)

figure, ax = plt.subplots(figsize=(4.5, 2.6))
ax.plot(hidden.ravel(), slope.ravel(), ".", markersize=3)
ax.set(title="how much of the gradient passes GELU", xlabel="in", ylabel="slope")
ax.grid(alpha=0.3)

# %% [markdown]
# Far to the right everything passes, far to the left nothing. In between the slope even exceeds one, and dips below
# zero.

# %% [markdown]
# ### 4.7 The sum
#
# **Why can such a deep network be trained at all?** Above all, because of a plus sign. The block computes $y =
# \mathrm{mid} + \mathrm{branch}(\mathrm{mid})$. A sum hands its gradient to both terms, unchanged. So $dy$ runs
# straight through, and the branch adds its share:
#
# $$d\mathrm{mid} = dy + \text{what comes back through the branch}$$
#
# However badly the branches behave, the way past them is always open.

# %%
dmlp_in = dhidden @ mlp["fc1"]["w"].T
ln2 = tiny_params["blocks"][1]["ln2"]["w"]
through = layer_norm_backward(
    dmlp_in, value("blocks.1.ln2.normed"), value("blocks.1.ln2.rstd"), ln2
)
check("blocks.1.mid", dy + through)
matrices({"past the branch": dy[0], "through the branch": through[0], "dmid": (dy + through)[0]})

# %% [markdown]
# So far only the class token has a gradient, since no other token was read. That is about to change: going
# back through attention, it reaches every token that the class token looked at.

# %% [markdown]
# ### 4.8 Attention, by hand
#
# **Who is to blame for a mix?** Everyone who took part. Each product has two factors, so each line of the forward is
# answered by two in the backward:
#
# | forward | backward | |
# |---|---|---|
# | mix = att v | datt = dmix vᵀ | dv = attᵀ dmix |
# | att = softmax(scores) | dscores = att · (datt − Σ(att · datt)), the sum over each row | |
# | scores = q kᵀ / √d | dq = dscores k / √d | dk = dscoresᵀ q / √d |
#
# Back to the three tokens of [section 3.8](#3.8-Attention,-by-hand). Suppose that the loss depends on one number
# only, the first number of the first mix.

# %%
dmix = np.zeros((3, 4))
dmix[0, 0] = 1
datt = dmix @ v.T
average = (att * datt).sum(axis=1, keepdims=True)
dscores = att * (datt - average)
dq = dscores @ k / np.sqrt(4)
dk = dscores.T @ q / np.sqrt(4)
dv = att.T @ dmix
print("datt\n", datt)
print("average", average[:, 0])
print("dscores\n", dscores)
print("dv, first column", dv[:, 0])

# %%
matrices({"datt": datt, "dscores": dscores, "dq": dq, "dk": dk, "dv": dv})

# %% [markdown]
# Take the pencil again. The first row of `datt` is (8, 0, 4): how fast the loss rises with the weight of each value.
# Their average under the weights ½, ¼, ¼ is 5. The first, 8, is 3 above the average, so raising its score raises the
# loss: ½ · 3 = 1.5. The second is 5 below: ¼ · (−5) = −1.25. The third is 1 below: −0.25. The three sum to zero. That
# is what softmax does: what one gains, the others lose.
#
# And `dv` is the first row of `att`: each value counted as much as it was looked at.

# %% [markdown]
# ### 4.9 Attention, in the network
#
# The same formulas, for three digits, two heads and 17 tokens at once:

# %%
attn = "blocks.1.attn."
q2, k2, v2, att2 = (value(attn + name) for name in ("q", "k", "v", "att"))  # (B, h, T, d), …
dmerged = gradient("blocks.1.attn_out") @ tiny_params["blocks"][1]["attn"]["proj"]["w"].T
dmix2 = dmerged.reshape(3, 17, 2, 8).transpose(0, 2, 1, 3)  # each head its 8 of the 16 columns
datt2 = dmix2 @ v2.mT
dscores2 = att2 * (datt2 - (att2 * datt2).sum(axis=-1, keepdims=True))
check(attn + "att", datt2)
check(attn + "scores", dscores2)
check(attn + "q", dscores2 @ k2 / np.sqrt(8))
check(attn + "k", dscores2.mT @ q2 / np.sqrt(8))
check(attn + "v", att2.mT @ dmix2)
matrices({
    "att, first head": att2[0, 0], "dscores": dscores2[0, 0],
    "dv": (att2.mT @ dmix2)[0, 0], "dq": (dscores2 @ k2)[0, 0] / np.sqrt(8),
})  # fmt: skip

# %% [markdown]
# Here is the change that we waited for. Only the first row of `dscores` and of `dq` is coloured: the class token
# alone asked something that mattered. But all rows of `dv` are: every token gave a value, so every token now gets a
# gradient.

# %% [markdown]
# ### 4.10 The class token and the positions
#
# **What if one number is used for many images?** Then it collects from all of them. The same class token and the same
# positions went into each of the three digits, so their gradients are sums over the batch. On the way down, the
# gradient went through the first block as it did through the second; we take what arrives below it from `record`.
# (Taking the mean here, or the last image alone, are two common mistakes.)

# %%
dx = gradient("pos.x")  # (B, T, D): what arrives below the blocks
check("pos", dx.sum(axis=0))
check("cls", dx[:, 0].sum(axis=0))
matrices({"dpos": dx.sum(axis=0), "dcls": dx[:, 0].sum(axis=0)})

# %% [markdown]
# ### 4.11 Down to the pixels
#
# **Where does it end?** At the picture. The projection is a linear map again, and cutting only moved numbers to other
# places, so its backward moves the gradients back: a transpose and a reshape, in reverse.

# %%
dpatches = dx[:, 1:] @ tiny_params["patches"]["w"].T  # (B, N, P·P·C); the class token is no patch
back = dpatches.reshape(3, 4, 4, 7, 7, 1).transpose(0, 1, 3, 2, 4, 5)
dimages = back.reshape(3, 28, 28, 1)
check("images", dimages)

figure, axes = plt.subplots(2, 3, figsize=(6, 4))
for column in range(3):
    axes[0, column].imshow(three[column], cmap="gray_r")
    limit = abs(dimages[column]).max()
    axes[1, column].imshow(dimages[column], cmap="RdBu_r", vmin=-limit, vmax=limit)
for ax in axes.flat:
    ax.axis("off")

# %% [markdown]
# Red: more ink here would raise the loss. Blue: it would lower it. The network is random, so the pictures make no
# sense yet. After training they will.

# %% [markdown]
# ### 4.12 The whole network, checked
#
# **Do we have to check each array by hand?** No. `gradcheck` does it for all parameters and for the input. It does
# not even use two nearby losses: it adds an imaginary step of 10⁻³⁰, which gives the slope to nearly all digits that
# a number has. ([`gradients.ipynb`](gradients.ipynb) explains why.)

# %%
one_block = minivit.ViT(
    image_size=4, patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=3
)
pictures, answers = rng.random((2, 4, 4, 1)), np.array([2, 0])
report = minivit.gradcheck(
    one_block, pictures, loss=lambda logits: minivit.cross_entropy(logits, answers)
)
report

# %% [markdown]
# The worst errors are around 10⁻¹⁴ or below: rounding, and nothing else.

# %% [markdown]
# ### 4.13 A bug, planted and found
#
# **Would you notice a wrong gradient?** Here is one. minivit keeps a catalogue of bugs, most of them found in public
# code. We switch one of them on, and train a small network with it and without it. (You may read its name below. The
# checker will not.)

# %%
from minivit.checks.faults import faults, planted

bug = faults()["keys_not_transposed"]
few = digits.train.images[:500, :, :, None].astype(np.float32) / 255


def losses(steps=40):
    model = minivit.ViT(
        image_size=28, patch_size=7, channels=1, dim=32, depth=2, heads=2, mlp_dim=64, classes=10
    )
    params = minivit.Params(model.init(np.random.default_rng(0)))
    grads, optimizer, found = params.zeros_like(), minivit.Adam(params, lr=3e-3), []
    for _ in range(steps):
        logits, cache = model.forward(params, few)
        loss, dlogits = minivit.cross_entropy(logits, digits.train.labels[:500])
        model.backward(params, dlogits, cache, grads.zero())
        optimizer.step(grads)
        found.append(loss)
    return found


right = losses()
with planted(bug):
    wrong = losses()
figure, ax = plt.subplots(figsize=(5, 2.8))
ax.plot(right, label="without the bug")
ax.plot(wrong, label="with it")
ax.set(xlabel="step", ylabel="loss")
ax.legend()
print(f"after 40 steps: {right[-1]:.2f} without the bug, {wrong[-1]:.2f} with it")

# %% [markdown]
# It learns. With no other curve to compare, you would say that all is well, and perhaps try another learning rate. A
# falling loss proves nothing. Now ask the checker.

# %%
with planted(bug):
    report = minivit.gradcheck(
        one_block, pictures, loss=lambda logits: minivit.cross_entropy(logits, answers)
    )
report

# %% [markdown]
# It finds the wrong arrays, follows them down to the layer that is wrong on its own, and says what is wrong. Here is
# what we had planted:

# %%
print(bug)

# %% [markdown]
# One forgotten transpose. Scores are square, so every shape still fitted.

# %% [markdown]
# ## 5 Training on MNIST
#
# ### 5.1 How long may it take?
#
# These settings decide how long the rest of the notebook runs: as they are, several minutes on two cores. Make them
# smaller for a first look.

# %% tags=["parameters"]
EPOCHS = 5  # how often the network sees each training image
IMAGES = 55_000  # training images, of 55,000
JUDGES = 2_000  # of the validation images, for the experiments of section 6
STEPS = {100: 120, 500: 240, 2500: 400}  # labelled images in these experiments: steps of the CNN
SEEDS = 3  # repetitions of each

# %% [markdown]
# ### 5.2 The data
#
# MNIST has 60,000 handwritten digits to learn from and 10,000 for the test. It comes with minivit. We hold out 5,000
# of the first for validation.

# %%
from minivit.data.digits import Split, hold_out
from minivit.data.normalize import Normalize

train, validation = hold_out(digits.train, 5_000, np.random.default_rng(0))
train = Split(train.images[:IMAGES], train.labels[:IMAGES])
normalize = Normalize.of(train.images)
learn, hold, last = (len(split.labels) for split in (train, validation, digits.test))
print(
    f"{len(digits.train.labels):,} digits, of which {learn:,} to learn from, {hold:,} to validate"
)
print(f"{last:,} to test")
print(f"normalised with mean {normalize.mean:.4f} and spread {normalize.std:.4f}")

figure, axes = plt.subplots(2, 10, figsize=(10, 2.1))
for label in range(10):
    for ax, image in zip(axes[:, label], train.images[train.labels == label], strict=False):
        ax.imshow(image, cmap="gray_r")
        ax.axis("off")

# %% [markdown]
# ### 5.3 The network and its training
#
# Four blocks, four heads, tokens 64 wide. A patch is 7 × 7 pixels, so a digit is a sentence of 16 words. The head
# reads the mean of all tokens.

# %%
SIZE = dict(
    image_size=28, patch_size=7, channels=1, dim=64, depth=4, heads=4, mlp_dim=128, classes=10
)
vit = minivit.ViT(**SIZE)
params = minivit.Params(vit.init(np.random.default_rng(0)))
params

# %% [markdown]
# **What happens in a step?** 125 images are turned and moved a little, so that no two epochs are alike. Forward,
# loss, backward. AdamW moves each parameter against its gradient, by a step that it adapts to that parameter. The
# learning rate rises at first and then falls to zero. `fit` repeats that, and splits each step over two processes.

# %%
from minivit.data.augment import Augmentation
from minivit.training import Progress, fit

classifier = minivit.Classifier(vit, params, normalize, digits.classes)
progress = Progress(classifier, minivit.AdamW(params, lr=3e-3))
rows = fit(
    progress, train, validation, epochs=EPOCHS, batch_size=125,
    augment=Augmentation.of(["shift=2", "rotation=10", "scale=0.1"]), shards=2,
)  # fmt: skip

# %%
figures.curves(rows)

# %% [markdown]
# The training digits are turned and moved, the validation digits are not. That is why the dots do better than the line.

# %% [markdown]
# ### 5.4 The test
#
# **How good is it on digits that it has never seen?** We kept the weights of the best epoch, and look at the test
# images once.

# %%
best = progress.best_classifier()
test_loss, accuracy, test_logits = best.evaluate(digits.test)
mistakes = int((test_logits.argmax(axis=1) != digits.test.labels).sum())
print(f"test accuracy {accuracy:.2%}: {mistakes} mistakes in {len(digits.test.labels):,}")

# %% [markdown]
# Now look at the worst of its mistakes, the largest loss first. Would you have read them?

# %%
figures.worst_mistakes(*digits.test, test_logits, digits.classes, count=16)

# %% [markdown]
# ### 5.5 Where it looks, and what would change its mind
#
# **How do we see through four blocks of attention?** We multiply them. If a token takes half of itself and half of
# what it attends to, in each block, then the product of these matrices says how much of each patch has reached the
# end. That is the *attention rollout* ([Abnar and Zuidema 2020](https://arxiv.org/abs/2005.00928)).
#
# The last column is what no rollout can show: the gradient of the winning score at every pixel. Brighter pixels on
# red would raise that score, on blue lower it. In the rollout, yellow patches count most.

# %%
shown = np.array([np.flatnonzero(digits.test.labels == label)[0] for label in (2, 3, 4, 7, 8)])
figures.attention_of_predictions(best, digits.test.images[shown][..., None])

# %% [markdown]
# In [section 4.11](#4.11-Down-to-the-pixels) the network was random, and its gradients were speckle. They are still
# noisy, but the largest now lie in a few patches, mostly where strokes end, bend or are missing. The second digit is
# a 3 that the network takes for a 9, without being sure.

# %% [markdown]
# ### 5.6 What the positions have learned
#
# In [section 3.7](#3.7-Positions), learned positions started as noise. Here is what training has made of them: 16
# maps, one for each patch.

# %%
similarity_maps(
    {
        "at the start": vit.init(np.random.default_rng(0))["pos"],
        "after training": best.params["pos"],
    },
    4, 4,
)  # fmt: skip

# %% [markdown]
# Many places now resemble a neighbour in their row, and places at the left and right edge, which are often empty,
# resemble each other. It is no tidy grid like the 2-D sinusoids. With 16 places and so little training it need not
# be.

# %% [markdown]
# ### 5.7 Your own digit
#
# **Does it read yours?** Write a digit on paper, take a photo, and put the name of the file below. The digit is
# found, cut out and centred as in MNIST.

# %%
YOURS = "samples/five-photo.jpg"  # or any file or URL
pixels, warnings = best.read(YOURS)
(probabilities,) = best.predict(pixels[None])
ranked = probabilities.argsort()[::-1]
for digit in ranked[:2]:
    print(f"{digit}: {probabilities[digit]:.1%}")
for warning in warnings:
    print("but:", warning)

figure, axes = plt.subplots(1, 2, figsize=(5, 2.5))
axes[0].imshow(load_image(YOURS))
axes[0].set_title("the photo")
axes[1].imshow(pixels[:, :, 0], cmap="gray")
axes[1].set_title("what the network gets")
for ax in axes:
    ax.axis("off")

# %% [markdown]
# To keep the network, save it. Then `minivit predict runs/mine photo.jpg` asks it from the command line, here in the
# folder
# `demos`, and `minivit explore runs/mine` opens a page with every number of both passes.

# %%
from pathlib import Path

RUN = Path("runs/mine")
RUN.mkdir(parents=True, exist_ok=True)
best.save(RUN)
print(*sorted(file.name for file in RUN.iterdir()), sep="\n")

# %% [markdown]
# ## 6 Notes: convolution or attention?
#
# It is often said that convolutions know about pictures, that Vision Transformers must learn it, and that they
# therefore need a lot of data. Let us not take it on trust, but measure.
#
# ### 6.1 The rival
#
# **What does a convolution know?** Two things: that neighbours belong together, and that what holds in one place
# holds in all. A ViT is told less: which pixels share a patch, and that all patches are read by the same weights.
# Which patches are neighbours it must learn. In return, two distant patches can meet in its very first block.
#
# Our rival has three stages. In each, a pixel looks at the 3 × 3 square around it. Between the stages the picture is
# halved. Its backward is written by hand as well, and checked in the same way. It has about as many parameters as our
# ViT.

# %%
from minivit.models import CNN

cnn = CNN(image_size=28, channels=1, classes=10, dims=(16, 56, 256))
sizes = {
    name: minivit.Params(model.init(rng)).flat.size for name, model in (("ViT", vit), ("CNN", cnn))
}
print(", ".join(f"{name} {size:,} parameters" for name, size in sizes.items()))

little = CNN(image_size=4, channels=1, classes=3, dims=(3, 5))
report = minivit.gradcheck(
    little, pictures, loss=lambda logits: minivit.cross_entropy(logits, answers)
)
report

# %% [markdown]
# ### 6.2 How many labels does each need?
#
# Both learn from 100, 500 and 2500 digits, in batches of 20. A step of the ViT is cheaper, so it may take three times as many
# steps; the times are printed below. Each has the better of the two learning rates 0.002 and 0.004. Accuracies are those on 2,000
# of the validation digits, as the test was meant to be looked at once.
#
# Each experiment is repeated with different images, initial weights and order. Each repetition is a dot, and the line is their mean.

# %%
import contextlib
import io
import math
import time

from tqdm.auto import tqdm

ATTENTION = dict(make=lambda: minivit.ViT(**SIZE), rate=0.002, steps=3, shards=1)
CONVOLUTION = dict(
    make=lambda: CNN(image_size=28, channels=1, classes=10, dims=(16, 56, 256)),
    rate=0.004,
    steps=1,
    shards=2,
)
AUGMENT = Augmentation.of(["shift=2", "rotation=10", "scale=0.1"])


def experiment(count, seed, make, rate, steps, shards, augment=None, pixels=None):
    """Train a model on `count` digits; return its accuracy on others, and the seconds it took.

    steps:  how many times as many as the CNN takes
    shards: over how many processes a step is split; one of the ViT is too small for that
    pixels: a permutation, applied to the pixels of all images
    """
    began = time.perf_counter()
    order = np.random.default_rng(seed).permutation(len(train.labels))[:count]
    few = Split(train.images[order], train.labels[order])
    judges = Split(validation.images[:JUDGES], validation.labels[:JUDGES])
    if pixels is not None:
        few, judges = (
            Split(split.images.reshape(-1, 784)[:, pixels].reshape(-1, 28, 28), split.labels)
            for split in (few, judges)
        )
    model = make()
    params = minivit.Params(model.init(np.random.default_rng(seed)))
    learner = minivit.Classifier(model, params, normalize, digits.classes)
    one_batch = Split(few.images[:20], few.labels[:20])  # `fit` wants something to validate
    epochs = math.ceil(steps * STEPS[count] * 20 / count)
    with contextlib.redirect_stdout(io.StringIO()):
        fit(
            Progress(learner, minivit.AdamW(params, rate)), few, one_batch, augment=augment,
            epochs=epochs, batch_size=20, seed=seed, shards=shards,
        )  # fmt: skip
    return learner.evaluate(judges)[1], time.perf_counter() - began


# %%
NETWORKS = {"CNN": CONVOLUTION, "ViT": ATTENTION}
plan = [(name, count, seed) for name in NETWORKS for count in STEPS for seed in range(SEEDS)]
found = {run: experiment(*run[1:], **NETWORKS[run[0]]) for run in tqdm(plan)}


def accuracies(name, count):
    return [found[name, count, seed][0] for seed in range(SEEDS)]


def spread(values):
    return f"{np.mean(values):6.1%}, from {min(values):.1%} to {max(values):.1%}"


for name in NETWORKS:
    for count in STEPS:
        print(f"{name} {count:5} images: {spread(accuracies(name, count))}")
    longest = np.mean([found[name, count, seed][1] for seed in range(SEEDS)])
    print(f"    {longest:.0f} s for {count} images\n")
print(f"ViT of section 5, {IMAGES:,} images: {accuracy:.2%}")

# %%
figure, ax = plt.subplots(figsize=(6, 3.6))
for name, color in zip(NETWORKS, (figures.BLUE, figures.RED), strict=True):
    values = np.array([accuracies(name, count) for count in STEPS])  # (sizes, SEEDS)
    ax.plot(list(STEPS), values.mean(axis=1), color=color, label=f"{name}, mean of {SEEDS}")
    ax.plot(list(STEPS), values, "o", color=color, markersize=4)
ax.set(xscale="log", xlabel="labelled images", ylabel="accuracy", title="Learning from few")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# At every size the CNN is ahead, and most where labels are few: 65.1 % against 46.4 % with 100 digits. With 2500 it is 92.9 %
# against 84.5 %.
#
# **Is "needs a lot of data" true here?** Compared with a CNN, yes: with 2500 digits our ViT (84.5 %) is where the CNN is with 500
# (84.6 %). But "a lot" is relative. In section 5 the same network saw 55,000 digits five times, and read 98.50 % of the test
# digits.

# %% [markdown]
# ### 6.3 Is it data, or is it time?
#
# **What if we let them learn four times as long?** We try it with the fewest digits: once as before, and once with
# *augmentation*, where each digit is turned, moved and scaled a little whenever it is seen, so that the network never sees the
# same picture twice.


# %%
def compare(variants, count, *others):
    """Run variants {name: settings}; print and draw their accuracies, below those of others."""
    plan = [(name, count, seed) for name in variants for seed in range(SEEDS)]
    found.update({run: experiment(*run[1:], **variants[run[0]]) for run in tqdm(plan)})
    names = [*others, *variants]
    figure, ax = plt.subplots(figsize=(7, 0.3 * len(names) + 1))
    for row, name in enumerate(names):
        values = accuracies(name, count)
        print(f"{name:<24}{spread(values)}")
        color = figures.BLUE if name.startswith("CNN") else figures.RED
        ax.plot(values, [row] * SEEDS, "o", color=color, markersize=4)
        ax.plot(np.mean(values), row, "|", color=color, markersize=16)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set(xlabel="accuracy", title=f"{count} labelled images")
    ax.grid(alpha=0.3)


FEWEST = min(STEPS)
longer = {
    "CNN, 4 × as long": CONVOLUTION | dict(steps=4),
    "CNN, 4 ×, augmented": CONVOLUTION | dict(steps=4, augment=AUGMENT),
    "ViT, 4 × as long": ATTENTION | dict(steps=12),
    "ViT, 4 ×, augmented": ATTENTION | dict(steps=12, augment=AUGMENT),
}
compare(longer, FEWEST, "CNN", "ViT")

# %% [markdown]
# The CNN uses the time: from 65.1 % it goes to 84.1 %, and augmentation hardly adds to that (84.3 %). The ViT by itself does not:
# 46.4 % becomes 47.6 %. By then it probably knows its 100 digits by heart. But with augmentation it reaches 78.3 %.
#
# So it is not labels alone that it lacks. That a digit stays the same when it is moved a little is built into a CNN. A ViT must be
# shown, and augmentation shows it. "Needs a lot of data" is better said like this: it needs to see what a CNN takes for granted.

# %% [markdown]
# ### 6.4 What does each rely on?
#
# **What if neighbours are no longer neighbours?** Shuffle the pixels of all images, by one fixed permutation. For us the digits
# turn into noise. Yet no information is lost: whoever knows the permutation can undo it. Only the CNN's assumption, that
# neighbours belong together, is now wrong. What do you expect of the ViT?
#
# And what if the ViT does not know where a patch was? We take its positions away.

# %%
MIDDLE = list(STEPS)[len(STEPS) // 2]  # images
shuffled = np.random.default_rng(1).permutation(784)
changed = {
    "CNN, pixels shuffled": CONVOLUTION | dict(pixels=shuffled),
    "ViT, no positions": ATTENTION | dict(make=lambda: minivit.ViT(**SIZE, positions=None)),
    "ViT, pixels shuffled": ATTENTION | dict(pixels=shuffled),
}
compare(changed, MIDDLE, "CNN", "ViT")

# %% [markdown]
# The CNN falls from 84.6 % to 30.1 %: what it takes for granted no longer holds. Without positions the ViT loses little, from
# 66.4 % to 64.1 %; with so few digits it hardly uses them.
#
# But look at the last line. With shuffled pixels the ViT reads *better*: 78.4 % in place of 66.4 %. We did not expect that.
#
# **Why?** Here is a guess. Cut a shuffled digit into patches, and each patch holds pixels from all over the picture.
# Each token alone then knows something of the whole digit. In a true digit a token sees one corner, and the network
# must first learn to put corners together.
#
# A guess can be tested. If it is right, then the best patches are those that each show the whole digit. So deal the
# pixels out like cards: the first to the first patch, the next to the second, and so on, in both directions. Each
# patch becomes a small, coarse picture of the digit.

# %%
dealt = np.arange(784).reshape(7, 4, 7, 4).transpose(1, 0, 3, 2).reshape(-1)
figure, axes = plt.subplots(1, 3, figsize=(7, 2.4))
seven = digits.test.images[0].reshape(-1)
orders = {"a digit": np.arange(784), "shuffled": shuffled, "dealt out": dealt}
for ax, (title, order) in zip(axes, orders.items(), strict=True):
    ax.imshow(seven[order].reshape(28, 28), cmap="gray_r", extent=(0, 28, 28, 0))
    figures.draw_grid(ax, 28, 28, 7)
    ax.set_title(title)
    ax.axis("off")
cards = {"ViT, pixels dealt out": ATTENTION | dict(pixels=dealt)}
compare(cards, MIDDLE, "CNN", "ViT", "ViT, pixels shuffled")

# %% [markdown]
# 88.1 %, as good as the CNN, and not a line of the network has changed. That fits the guess, though it does not prove
# it.
#
# So it is too simple to say that a ViT knows nothing about pictures. What it has to learn from data, here, is how to
# put corners together. Which pixels share a patch is knowledge about pictures too, and that is for you to choose.
#
# Be careful with it all the same. These are 500 digits of MNIST and three repetitions, an observation, not a law. In
# photos the texture inside a patch matters, and dealing it out would destroy it. You have the code: try.

# %% [markdown]
# ## 7 Exercises
#
# You learn backpropagation by writing it. Each exercise has a cell to change and a cell that checks it. If you are
# stuck, open the hint. A solution is under each check.
#
# Where an exercise asks for a backward, the grader compares your gradients with the loss itself, number by number,
# for several shapes. If something is wrong, it often knows what.

# %% [markdown]
# ### 7.1 Cut a picture
#
# Complete `cut` so that it returns patches, row by row. As it stands, it gives strips. No loops.
#
# <details><summary>Hint</summary>
#
# Split each side into two axes, (rows of patches, pixels) and (columns of patches, pixels). Which axes have to change
# places before you join them?
#
# </details>


# %% tags=["exercise"]
def cut(images, P):
    """(B, H, W, C) -> (B, N, P·P·C)"""
    B, H, W, C = images.shape
    return images.reshape(B, (H // P) * (W // P), P * P * C)


# %% tags=["check"]
some = np.random.default_rng(0).random((2, 6, 10, 3))
if np.array_equal(cut(some, 2), layers.patches.cut_patches(some, 2)):
    print("Right.")
else:
    print("Not right yet: the numbers are not where they should be.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def cut(images, P):
#     """(B, H, W, C) -> (B, N, P·P·C)"""
#     B, H, W, C = images.shape
#     grid = images.reshape(B, H // P, P, W // P, P, C)
#     return grid.transpose(0, 1, 3, 2, 4, 5).reshape(B, (H // P) * (W // P), P * P * C)
# ```
#
# </details>

# %% [markdown]
# ### 7.2 The gradient of the positions
#
# One array of positions was added to every image of the batch. What is its gradient?
#
# <details><summary>Hint</summary>
#
# The gradient of a number is a sum over all places where it was used. In how many images was it used?
#
# </details>

# %% tags=["exercise"]
from minivit.study.lessons.grading import grade_class


class MyPositions(layers.Positions):
    def backward(self, params, dy, cache, grads):
        grads["pos"] += dy.mean(axis=0)
        return dy.copy()


# %% tags=["check"]
grade_class(MyPositions, "positions")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# from minivit.study.lessons.grading import grade_class
#
#
# class MyPositions(layers.Positions):
#     def backward(self, params, dy, cache, grads):
#         grads["pos"] += dy.sum(axis=0)
#         return dy.copy()
# ```
#
# </details>

# %% [markdown]
# ### 7.3 Softmax
#
# The line below would be right if each weight depended on its own score alone. What is missing?
#
# <details><summary>Hint</summary>
#
# The weights of a row sum to one. If one grows, the others shrink. So a score only matters by how far its `dy`
# differs from an average. Which average?
#
# </details>


# %% tags=["exercise"]
class MySoftmax(layers.Softmax):
    def backward(self, dy, cache):
        y = cache["y"]
        return y * dy


# %% tags=["check"]
grade_class(MySoftmax, "softmax")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# class MySoftmax(layers.Softmax):
#     def backward(self, dy, cache):
#         y = cache["y"]
#         average = (dy * y).sum(axis=-1, keepdims=True)
#         return y * (dy - average)
# ```
#
# </details>

# %% [markdown]
# ### 7.4 Layer norm
#
# Write all three gradients: of `w`, of `b` and of the input.
#
# <details><summary>Hint</summary>
#
# [Section 4.5](#4.5-Layer-norm) has the formula of dx. The two parameters met every token of every image, so their
# gradients are sums over all axes but the last: `tuple(range(dy.ndim - 1))`.
#
# </details>


# %% tags=["exercise"]
class MyLayerNorm(layers.LayerNorm):
    def backward(self, params, dy, cache, grads):
        normed, rstd, w = cache["normed"], cache["rstd"], params["w"]
        return dy * w * rstd


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
# ### 7.5 Attention
#
# The two linear maps are done. Write the five lines between them.
#
# <details><summary>Hint</summary>
#
# The table in [section 4.8](#4.8-Attention,-by-hand) has all five. `.mT` transposes the last two axes, and
# `self.scale` is 1/√d.
#
# </details>


# %% tags=["exercise"]
class MyAttention(layers.Attention):
    def backward(self, params, dy, cache, grads):
        B, T, D = dy.shape
        h, d = self.heads, D // self.heads
        q, k, v, att = cache["q"], cache["k"], cache["v"], cache["att"]
        dmerged = self.proj.backward(params["proj"], dy, cache["proj"], grads["proj"])
        dmix = dmerged.reshape(B, T, h, d).transpose(0, 2, 1, 3)  # (B, h, T, d)

        datt = np.zeros_like(att)
        dscores = np.zeros_like(att)
        dq = np.zeros_like(q)
        dk = np.zeros_like(k)
        dv = np.zeros_like(v)

        dqkv = np.stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4).reshape(B, T, 3 * D)
        return self.qkv.backward(params["qkv"], dqkv, cache["qkv"], grads["qkv"])


# %% tags=["check"]
grade_class(MyAttention, "attention")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# class MyAttention(layers.Attention):
#     def backward(self, params, dy, cache, grads):
#         B, T, D = dy.shape
#         h, d = self.heads, D // self.heads
#         q, k, v, att = cache["q"], cache["k"], cache["v"], cache["att"]
#         dmerged = self.proj.backward(params["proj"], dy, cache["proj"], grads["proj"])
#         dmix = dmerged.reshape(B, T, h, d).transpose(0, 2, 1, 3)  # (B, h, T, d)
#
#         datt = dmix @ v.mT
#         dscores = att * (datt - (att * datt).sum(axis=-1, keepdims=True))
#         dscores *= self.scale  # here, so not in dq and dk
#         dq = dscores @ k
#         dk = dscores.mT @ q
#         dv = att.mT @ dmix
#
#         dqkv = np.stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4).reshape(B, T, 3 * D)
#         return self.qkv.backward(params["qkv"], dqkv, cache["qkv"], grads["qkv"])
# ```
#
# </details>

# %% [markdown]
# ### 7.6 A layer of your own
#
# Now without an example to follow. Write a gate that some newer networks use in place of GELU: $y = x · σ(x)$ with
# $σ(x) = 1 / (1 + e^{-x})$, called *swish*. Write both directions. minivit has no such layer to compare with: the check uses the formula and the numeric gradient.
#
# <details><summary>Hint</summary>
#
# $σ' = σ (1 - σ)$. And x reaches y in two ways, directly and through the gate: their gradients add.
#
# </details>


# %% tags=["exercise"]
class Swish:
    def forward(self, x):
        y = x
        return y, {"x": x}

    def backward(self, dy, cache):
        x = cache["x"]
        return dy * x


# %% tags=["check"]
x = np.random.default_rng(0).normal(size=(3, 5))
report = minivit.gradcheck(Swish(), x)
print(report)
forward_right = np.allclose(Swish().forward(x)[0], x / (1 + np.exp(-x)))
if forward_right and report.ok:
    print("Right.")
else:
    print(f"Not right yet: the {'backward' if forward_right else 'forward'} differs.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# class Swish:
#     def forward(self, x):
#         gate = 1 / (1 + np.exp(-x))
#         y = x * gate
#         return y, {"x": x, "gate": gate}
#
#     def backward(self, dy, cache):
#         x, gate = cache["x"], cache["gate"]
#         return dy * (gate + x * gate * (1 - gate))
# ```
#
# </details>

# %% [markdown]
# ## Where to go from here
#
# - [`gradients.ipynb`](gradients.ipynb): check the gradients of your own code, and find bugs.
# - [`attention.ipynb`](attention.ipynb): one head of attention, forward and back, and a page with every number.
# - [`own_images.ipynb`](own_images.ipynb): train on a folder of your own pictures, and use the result.
# - [The derivations](../docs/derivations/README.md): each backward from the chain rule to the lines of the source.
# - [The reading guide](../docs/reading.md): the source, file by file.
