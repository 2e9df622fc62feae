"""One training step: forward, loss, backward, clip, update."""

from ..losses import cross_entropy
from ..optim import clip_by_global_norm


def train_step(model, params, optimizer, grads, images, labels, *, clip=1.0, smoothing=0.0):
    """Change `params` by one step on images (B, H, W, C) and labels (B,); overwrite `grads`.

    Returns loss, accuracy and the global norm of the gradients before clipping, as Python floats.
    """
    logits, cache = model.forward(params, images)
    loss, dlogits = cross_entropy(logits, labels, smoothing)
    model.backward(params, dlogits, cache, grads.zero())
    norm = clip_by_global_norm(grads, clip)
    optimizer.step(grads)
    accuracy = (logits.argmax(axis=-1) == labels).mean()
    return float(loss), float(accuracy), float(norm)
