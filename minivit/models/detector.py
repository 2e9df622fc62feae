"""A detector: each patch says what has its middle there (as in YOLO, Redmon et al. 2015)."""

import math
from typing import Any

import numpy as np

from ..backend import Array, array_module
from ..layers import Linear, PatchBoxes
from ..layers.refusals import expect_like, positive_integers
from ..losses import detection
from ..params import Nest, Params
from .encoder import Encoder


class Detector(Encoder):
    """An encoder, each of whose patch tokens answers: is the middle of an object in me, and which?

        images → encoder → tokens → head → scores and places; places → boxes

    Params   those of the encoder, and head {w (D, K + 5), b (K + 5,)}
    Forward  images (B, H, W, C), normalised floats -> answer (B, N, K + 5): K + 1 scores, the last
             for "no object", and a box: left, top, right, bottom in pixels
    Cache    those of the encoder, head and boxes

    Arguments
        classes: K
        and those of the Encoder, but for class_token

    A patch can name one object. If two have their middles in one patch, it is asked for the smaller
    one, which fewer other patches show; the other is not learned and will not be found.

    The head starts at zero, but for the bias of "no object": all classes are as likely, one patch
    of an image has an object (as in focal loss's section 4.1, Lin et al. 2017, arXiv:1708.02002, or
    the first steps would only learn that most patches have none), and each box is its patch.
    """

    def __init__(self, *, classes: int, **encoder: Any) -> None:
        (classes,) = positive_integers("Detector", classes=classes)
        super().__init__(class_token=False, **encoder)
        del self.config["class_token"]
        self.head = Linear(self.config["dim"], classes + 5, gain=0.0)
        self.boxes = PatchBoxes(self.patches.rows, self.patches.columns, self.config["patch_size"])
        self.config |= dict(classes=classes)

    def init(self, rng: "np.random.Generator", dtype: type | np.dtype = np.float32) -> Nest:
        nest = super().init(rng, dtype) | {"head": self.head.init(rng, dtype)}
        nest["head"]["b"][-5] = math.log(self.config["classes"] * max(1, self.patches.count - 1))
        return nest

    def forward(  # type: ignore[override]  # every patch answers, so all tokens are kept
        self,
        params: Params | Nest,
        images: Array,
        rng: "np.random.Generator | None" = None,
        *,
        keep: bool = True,
    ) -> tuple[Array, Any]:
        """Return the answer (B, N, K + 5) and the cache, or None with `keep=False`."""
        tokens, cache = super().forward(params, images, rng, keep=keep)  # (B, N, D)
        out, cache["head"] = self.head.forward(params["head"], tokens)  # (B, N, K + 5)
        boxes, cache["boxes"] = self.boxes.forward(out[..., -4:])  # (B, N, 4)
        answer = array_module(out).concatenate([out[..., :-4], boxes], axis=-1)  # (B, N, K + 5)
        return answer, cache if keep else None

    def backward(
        self, params: Params | Nest, danswer: Array, cache: Any, grads: Params | Nest
    ) -> Array:
        """Add dLoss/dparams to `grads`; return dLoss/dimages (B, H, W, C)."""
        if cache is None:
            raise ValueError("Detector: the cache was not kept; call forward with keep=True")
        expect_like("Detector", "danswer", danswer, params["patches"]["w"])
        dplaces = self.boxes.backward(danswer[..., -4:], cache["boxes"])  # (B, N, 4)
        parts = [danswer[..., :-4], dplaces]
        dout = array_module(danswer).concatenate(parts, axis=-1)  # (B, N, K + 5)
        dtokens = self.head.backward(params["head"], dout, cache["head"], grads["head"])
        dimages = super().backward(params, dtokens, cache, grads)  # (B, H, W, C)
        return dimages

    def grade(
        self, answer: Array, images: Array, targets: Array, smoothing: float = 0.0
    ) -> tuple[Any, Array, Any, Any]:
        """Return the loss, danswer, how many objects are named, and how many there are.

        targets: (B, N, 5), see `targets`; images are not looked at
        An object is named if its patch gives its class the largest score.
        """
        loss, danswer = detection(answer, targets, smoothing=smoothing)
        K = self.config["classes"]
        is_object = targets[..., 0] < K  # (B, N)
        named = answer[..., : K + 1].argmax(axis=-1) == targets[..., 0]  # (B, N)
        return loss, danswer, (named & is_object).sum(), is_object.sum()

    def targets(self, objects: Any) -> np.ndarray:
        """Return what the patches of one image should answer, (N, 5) float32.

        objects: (M, 5), class and box of each, see `data.scenes.Scene`; M may be 0
        A patch with the middle of an object in it has the object's numbers. All others have the
        class K and the box (0, 0, 1, 1), which does not count.
        Errors: ValueError for a class that is not from 0 to K − 1, or a box that is not finite,
        has no area, or has its middle outside of the image.
        """
        H, W = self.config["image_size"]
        K, P = self.config["classes"], self.config["patch_size"]
        targets = np.tile(np.array([K, 0, 0, 1, 1], np.float32), (self.patches.count, 1))
        objects = checked_objects(objects, K, H, W)
        sizes = (objects[:, 3:] - objects[:, 1:3]).prod(axis=1)
        for number in np.argsort(-sizes, kind="stable"):  # smaller ones come later, and stay
            left, top, right, bottom = objects[number, 1:]
            row, column = int((top + bottom) / 2 // P), int((left + right) / 2 // P)
            targets[row * self.patches.columns + column] = objects[number]
        return targets


def checked_objects(objects: Any, classes: int, height: int, width: int) -> np.ndarray:
    """Return objects as an array (M, 5) float64; errors are those of `Detector.targets`."""
    objects = np.asarray(objects, np.float64)
    if objects.size == 0:
        return np.empty((0, 5))
    if objects.ndim != 2 or objects.shape[1] != 5:
        raise ValueError(
            f"objects are (M, 5), class and left, top, right, bottom of each; got {objects.shape}"
        )
    if not np.isfinite(objects).all():
        raise ValueError("an object's class or box is not finite")
    names, boxes = objects[:, 0], objects[:, 1:]
    if (wrong := names[(names < 0) | (names >= classes) | (names % 1 != 0)]).size:
        raise ValueError(
            f"an object has the class {wrong[0]:g}; {classes} classes are numbered 0 to "
            f"{classes - 1}"
        )
    if (wrong := boxes[(boxes[:, 2:] <= boxes[:, :2]).any(axis=1)]).size:
        raise ValueError(
            f"the box {wrong[0].tolist()} has no area; expected left, top, right, bottom with "
            "left < right and top < bottom"
        )
    middles = (boxes[:, 2:] + boxes[:, :2]) / 2
    if (wrong := boxes[((middles < 0) | (middles >= [width, height])).any(axis=1)]).size:
        raise ValueError(
            f"the box {wrong[0].tolist()} has its middle outside of the image of {height} x "
            f"{width} pixels"
        )
    return objects
