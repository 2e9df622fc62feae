"""The engines that classify: raw images (B, H, W, C) in, logits (B, K) out, on all cores.

All have the same model with the same parameters, and normalise the images themselves.
"""

import contextlib
import functools

import minivit
from minivit.threads import cores, threads

from .engines import NORMALIZE, batch_of, start


@contextlib.contextmanager
def minivit_classifier(config, batch_size):
    images, _ = batch_of(config, batch_size)
    classifier = minivit.Classifier(*start(config), NORMALIZE, range(config["classes"]))
    with threads(cores()) as mapper:
        yield lambda: classifier.logits(images, mapper), batch_size


@contextlib.contextmanager
def torch_classifier(config, batch_size, compiled=False):
    import torch

    from .torch_vit import TorchViT, twin

    torch.set_num_threads(cores())
    images = torch.from_numpy(batch_of(config, batch_size)[0])
    mean, std = 255 * NORMALIZE.mean, 255 * NORMALIZE.std
    model = twin(config, start(config)[1], TorchViT).eval()
    forward = torch.compile(model) if compiled else model

    @torch.inference_mode()
    def step():
        return forward((images.float() - mean) / std).numpy()

    yield step, batch_size


@contextlib.contextmanager
def onnx_classifier(config, batch_size):
    import onnxruntime

    from minivit.pretrained.onnx_graph import onnx_model

    images, _ = batch_of(config, batch_size)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(
        onnx_model(*start(config), {}).SerializeToString(), options
    )
    yield lambda: session.run(None, {"images": NORMALIZE(images)})[0], batch_size


CLASSIFIERS = {
    "minivit": minivit_classifier,
    "torch-eager": torch_classifier,
    "torch-compile": functools.partial(torch_classifier, compiled=True),
    "onnxruntime": onnx_classifier,
}
