"""A trained run, ready to be asked."""

import itertools

import numpy as np

from .backend import beside, to_device
from .layers import Softmax
from .models.micro_batch import images_at_once


class Classifier:
    """What is in an image, by a model that was trained.

        classifier = minivit.Classifier.load("runs/mnist")
        probabilities = classifier.predict(images)
        print(classifier.classes[probabilities[0].argmax()])

    It holds no state that changes, so threads may share one.
    """

    def __init__(self, model, params, preparation, classes):
        self.model, self.params, self.preparation = model, params, preparation
        self.classes = list(classes)

    @classmethod
    def load(cls, folder, device="cpu"):
        """The model of a run's folder, such as runs/mnist, on "cpu" or "cuda".

        Errors: those of `load_run` and `Params.to`.
        """
        from .runs import load_run  # here, as it brings safetensors, which few need

        model, params, preparation, classes = load_run(folder)
        return cls(model, params.to(device), preparation, classes)

    def predict(self, images):
        """Return the probability of each class, (n, K).

        images: raw images as the model was trained on, uint8, in an array (n, H, W) or (n, H, W, C)
                or one after another; they may be more than memory holds, as few are taken at once.
                What a run on a folder of images reads is made of a file by
                `minivit.data.images.load_pixels(path, H, W)`
        Errors: ValueError for images of another shape, TypeError for anything but uint8.
        """
        images, probabilities = iter(images), []
        at_once = images_at_once(self.model, self.params)
        while batch := [self._checked(image) for image in itertools.islice(images, at_once)]:
            pixels = beside(np.stack(batch), self.params.flat)  # (B, H, W, C)
            prepared = self.preparation(pixels)  # (B, H, W, C)
            prepared = prepared.astype(self.params.flat.dtype, copy=False)
            logits, _ = self.model.forward(self.params, prepared, keep=False)  # (B, K)
            chances, _ = Softmax().forward(logits)  # (B, K)
            probabilities.append(to_device(chances, "cpu"))
        return np.concatenate([np.empty((0, len(self.classes)), np.float32), *probabilities])

    def _checked(self, image):
        image, expected = np.asarray(image), (*self.model.config["image_size"],)
        C = self.model.config["channels"]
        if image.shape not in ((*expected, C), expected if C == 1 else None):
            raise ValueError(
                f"an image of shape {image.shape}; the model was trained on {(*expected, C)}"
            )
        return image.reshape(*expected, C)
