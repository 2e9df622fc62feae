"""What the scripts here share: the sizes, how a case is drawn and run, and how it is stored.

They run where the libraries are, without minivit; so this file needs NumPy and safetensors alone,
and PyTorch only where a library is built on it.
"""

import json
import math
import re
from pathlib import Path

import numpy as np
from safetensors.numpy import save

FOLDER = Path(__file__).parent
EXPECT = dict(  # the arguments of minivit.ViT that a case must become, where it says nothing else
    image_size=[4, 6], patch_size=2, channels=3, dim=10, depth=2, heads=5, mlp_dim=13, classes=9,
    pool="cls", norm_pooled=False, activation="gelu_exact", layer_scale=False, eps=1e-6,
    pre_logits=None,
)  # fmt: skip
GAIN = re.compile(r"(norm\d?|ln(_\d)?)\.weight$|/scale$")  # the weight of a layer norm


def draw(rng, name, shape, fan_in):
    """A parameter in float32; fan_in is how many numbers go into each output, None if no matrix."""
    noise = rng.standard_normal(shape)
    if GAIN.search(name):
        return np.float32(1 + 0.3 * noise)
    return np.float32(noise * (0.5 if fan_in is None else 1 / math.sqrt(fan_in)))


def write_case(name, weights, passes, expect, rng, **metadata):
    """Draw images and an upstream gradient, run the library's passes on them, and store it all.

    passes: (weights, images, dlogits) in float64 -> logits, and the gradients by name, with that of
            the images as "images"
    """
    images = np.float32(rng.standard_normal((3, *expect["image_size"], expect["channels"])))
    dlogits = np.float32(rng.standard_normal((3, expect["classes"] or expect["dim"])))
    doubles = {leaf: np.float64(array) for leaf, array in weights.items()}
    logits, gradients = passes(doubles, np.float64(images), np.float64(dlogits))
    assert logits.shape == dlogits.shape
    assert gradients.keys() == {*weights, "images"}
    arrays = {f"weights/{leaf}": array for leaf, array in weights.items()}
    arrays |= {f"gradients/{leaf}": np.float32(array) for leaf, array in gradients.items()}
    arrays |= {"images": images, "dlogits": dlogits, "logits": np.float32(logits)}
    write(name, arrays, expect=json.dumps(expect), **metadata)


def write(name, arrays, **metadata):
    """Store arrays as NAME.safetensors, its header sorted, so that the bytes are always the same.

    The library writes metadata in an order that differs from one process to the next.
    """
    arrays = {leaf: np.ascontiguousarray(array) for leaf, array in arrays.items()}
    content = save(arrays, metadata)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    content = len(text).to_bytes(8, "little") + text + content[8 + size :]
    (FOLDER / f"{name}.safetensors").write_bytes(content)
    print(f"{name}: {len(content):,} bytes")


def draw_torch(model, rng):
    """New values for every parameter of a PyTorch module, by name.

    Matrices and kernels are (outputs, ...); positions and class token are (1, T, D).
    """
    weights = {}
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        matrix = len(shape) > 1 and shape[0] > 1
        weights[name] = draw(rng, name, shape, math.prod(shape[1:]) if matrix else None)
    assert weights.keys() == model.state_dict().keys()
    return weights


def torch_passes(model):
    """The forward and backward of a PyTorch module that takes images (B, C, H, W)."""
    import torch

    def passes(weights, images, dlogits):
        model.double().eval()
        model.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
        pixels = torch.tensor(images, requires_grad=True)
        logits = model(pixels.permute(0, 3, 1, 2))
        logits.backward(torch.tensor(dlogits))
        gradients = {name: leaf.grad.numpy() for name, leaf in model.named_parameters()}
        return logits.detach().numpy(), gradients | {"images": pixels.grad.numpy()}

    return passes
