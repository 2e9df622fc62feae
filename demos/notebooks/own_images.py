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
# # Train on your own images
#
# **You have a folder of pictures. Can a Vision Transformer learn them?** Here is the whole path: look at the folder,
# train, test, ask about a new picture, and take the network elsewhere. The folder used here is drawn on the spot, so
# that the notebook runs without any download. Put yours in its place.
#
# [`vision_transformer.ipynb`](vision_transformer.ipynb) says at its top how to install minivit.

# %%
# %matplotlib inline
import json
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np

import minivit
from minivit.data.augment import Augmentation
from minivit.data.folders import image_folder
from minivit.data.normalize import Normalize
from minivit.study import figures
from minivit.training import Progress, fit
from minivit.training.metrics import metrics

plt.rcParams["figure.dpi"] = 80

# %% [markdown]
# ## 1 A folder of pictures
#
# **How must the folder look?** One folder for each class, with its pictures in it: `FOLDER/circle/1.jpg`. JPEG, PNG,
# WebP, BMP and TIFF, of any size. That is all.
#
# The next cell draws three classes, 300 pictures of each: circles, squares and triangles, bright on dark, in random
# colours, sizes and places, turned, and with noise. If you have pictures of your own, write down where they are, and
# nothing is drawn.

# %%
FOLDER = None  # or "path/to/my/pictures"


def draw(shape, rng):
    """A picture (64, 80, 3) uint8 of a shape, turned by any angle."""
    corners = {"circle": 60, "square": 4, "triangle": 3}[shape]
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(corners) / corners
    center, radius = rng.uniform((34, 26), (46, 38)), rng.uniform(14, 22)
    outline = center + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    picture = np.full((64, 80, 3), rng.integers(0, 90, 3), np.uint8)
    cv2.fillPoly(picture, [np.rint(outline).astype(np.int32)], rng.integers(140, 256, 3).tolist())
    return (picture + rng.normal(0, 12, picture.shape)).clip(0, 255).astype(np.uint8)


rng = np.random.default_rng(0)
if FOLDER is None:
    FOLDER = Path("runs/pictures")
    for shape in ("circle", "square", "triangle"):
        (FOLDER / shape).mkdir(parents=True, exist_ok=True)
        for number in range(300):
            cv2.imwrite(str(FOLDER / shape / f"{number}.png"), draw(shape, rng))

# %% [markdown]
# ## 2 Reading it
#
# `image_folder` checks every file, takes the middle of each picture, resizes it, and holds out a tenth of each class for
# validation and a tenth for the test. The files stay where they are; they are read when they are needed.

# %%
HEIGHT, WIDTH, PATCH = 32, 40, 8
images = image_folder(FOLDER, HEIGHT, WIDTH, np.random.default_rng(0))
train, validation, test = images.train, images.validation, images.test
print("classes:", ", ".join(images.classes))
learn, hold, last = (len(split.labels) for split in (train, validation, test))
print(f"{learn} to learn from, {hold} to validate, {last} to test")
print("left out, as damaged:", images.skipped or "none")

figure, axes = plt.subplots(2, 8, figsize=(10, 2.4))
for ax, chosen in zip(axes.flat, rng.permutation(learn), strict=False):
    ax.imshow(train.images[int(chosen)])
    ax.set_title(images.classes[train.labels[chosen]], fontsize=9)
    ax.axis("off")

# %% [markdown]
# Do the labels fit the pictures? This is the moment to look. Most trouble with training is trouble with the data.

# %% [markdown]
# ## 3 Training
#
# **How large a network?** For a few hundred pictures a small one. Patches of 8 × 8 pixels turn each picture into 20
# tokens. Mirroring and shifting stretch the few pictures that we have.

# %% tags=["parameters"]
EPOCHS = 12  # how often each picture is seen

# %%
model = minivit.ViT(
    image_size=(HEIGHT, WIDTH), patch_size=PATCH, channels=3, dim=64, depth=4, heads=4, mlp_dim=128,
    classes=len(images.classes),
)  # fmt: skip
params = minivit.Params(model.init(np.random.default_rng(0)))
print(f"{model.tokens} tokens, {params.flat.size:,} parameters")
classifier = minivit.Classifier(model, params, Normalize.of(train.images), images.classes)
progress = Progress(classifier, minivit.Muon(params, lr=0.02))
rows = fit(
    progress, train, validation, epochs=EPOCHS, batch_size=30, shards=2,
    augment=Augmentation.of(["shift=2", "flip"]),
)  # fmt: skip

# %%
figures.curves(rows)

# %% [markdown]
# Watch the gap. If the training accuracy goes on rising while the validation accuracy falls, the network memorises:
# you need more pictures, more augmentation, or a smaller network. `fit` keeps the weights of the epoch with the
# lowest validation loss.

# %% [markdown]
# ## 4 The test

# %%
best = progress.best_classifier()
_, accuracy, logits = best.evaluate(test)
measured = metrics(test.labels, logits, images.classes)
print(f"test accuracy {accuracy:.1%} of {last} pictures")
for name, numbers in measured["classes"].items():
    print(f"{name:<10} precision {numbers['precision']:.0%}, recall {numbers['recall']:.0%}")
figures.attention_of_predictions(best, test.images[:: max(1, last // 4)][:4])

# %% [markdown]
# The middle column is the attention rollout, an estimate of how much each patch contributed. The right one is the
# gradient of the winning score at the pixels, in a colour scale of its own for each picture. If both point at the
# background, the network has probably learned the wrong thing.

# %% [markdown]
# ## 5 A new picture
#
# **What does it say about a picture that was in no folder?** `read` prepares it as the training pictures were; a file
# or a URL.

# %%
PICTURE = "runs/new.png"  # or one of your own, and without the next two lines
Path(PICTURE).parent.mkdir(exist_ok=True)
cv2.imwrite(PICTURE, draw("triangle", np.random.default_rng(99)))
pixels, _ = best.read(PICTURE)
(probabilities,) = best.predict(pixels[None])
for name, probability in zip(best.classes, probabilities, strict=True):
    print(f"{name:<10}{probability:6.1%}")
figures.patch_grid(pixels / 255, PATCH)

# %% [markdown]
# Keep in mind that it knows three things and nothing else. Show it a cat, and it will name one of the three, perhaps
# with confidence.

# %%
pixels, _ = best.read("samples/cat.jpg")
(probabilities,) = best.predict(pixels[None])
print(f"The cat is a {best.classes[probabilities.argmax()]} ({probabilities.max():.0%}).")

# %% [markdown]
# ## 6 Deployment
#
# ### 6.1 A folder
#
# **What do you have to keep?** Three files. The weights; a description: the arguments of the model, how pictures are
# prepared, the names of the classes; and checksums of both, so that a damaged file is refused. Nothing in them can
# run code.

# %%
RUN = Path("runs/shapes")
RUN.mkdir(parents=True, exist_ok=True)
best.save(RUN)
for file in sorted(RUN.iterdir()):
    print(f"{file.name:<22}{file.stat().st_size / 1e3:7.1f} kB")
again = minivit.Classifier.load(RUN)
print("the same answer:", np.array_equal(again.predict(pixels[None])[0], probabilities))

# %% [markdown]
# With that folder, `minivit predict runs/shapes photo.jpg` answers on the command line, here in the folder `demos`.
# `--json` makes the answer one for programs.

# %% [markdown]
# ### 6.2 ONNX
#
# **What if there is no NumPy?** ONNX is a format that phones, browsers and servers can run. The file holds the
# network alone: a picture must be resized and normalised first, as it says inside. We export the network, run it with
# onnxruntime, and compare.

# %%
import onnxruntime

from minivit.pretrained.onnx_graph import onnx_model

config = json.loads((RUN / "config.json").read_text())
known = {name: config[name] for name in ("classes", "preparation")}  # travels along in the file
data = onnx_model(best.model, best.params, known).SerializeToString()
(RUN / "shapes.onnx").write_bytes(data)
session = onnxruntime.InferenceSession(data)
few = best.normalize(test.images[:5])  # (B, H, W, C) float32
(theirs,) = session.run(None, {"images": few})
ours = best.logits(test.images[:5])
print(f"{len(data) / 1e3:.0f} kB; differences below 1e-4: {abs(theirs - ours).max() < 1e-4}")

# %% [markdown]
# ## Where to go from here
#
# - `python -m demos.train_images FOLDER` does all of this on the command line: it can be stopped and resumed, and writes curves,
#   mistakes and a confusion matrix.
# - With only a few pictures, do not start from nothing: [`python -m demos.finetune`](../docs/pretrained.md) begins with a published
#   network.
# - [Your own images](../docs/images.md): folders that are split already, sizes, and what is done with damaged files.
