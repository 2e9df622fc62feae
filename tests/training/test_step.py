import numpy as np
import pytest

import minivit
from minivit.training.step import train_step


def test_is_forward_loss_backward_clip_update():
    rng = np.random.default_rng(0)
    model = minivit.ViT(
        image_size=4, patch_size=2, channels=1, dim=6, depth=1, heads=2, mlp_dim=5, classes=3
    )
    params = minivit.Params(model.init(rng, np.float64))
    params.flat += 0.1 * rng.standard_normal(params.flat.shape)
    images, labels = rng.standard_normal((5, 4, 4, 1)), np.array([0, 1, 2, 2, 1])

    expected = params.astype(np.float64)
    grads = expected.zeros_like()
    logits, cache = model.forward(expected, images)
    loss, dlogits = minivit.cross_entropy(logits, labels, 0.1)
    model.backward(expected, dlogits, cache, grads)
    norm = np.linalg.norm(grads.flat)
    expected.flat -= 0.5 * grads.flat * min(1, 0.01 / norm)

    spoiled = params.zeros_like()
    spoiled.flat += 7  # what an earlier step left behind
    got = train_step(
        model, params, minivit.SGD(params, 0.5), spoiled, images, labels, clip=0.01, smoothing=0.1
    )
    accuracy = np.mean(logits.argmax(axis=-1) == labels)
    assert got == pytest.approx((loss, accuracy, norm), rel=1e-12)
    assert all(type(value) is float for value in got)
    np.testing.assert_allclose(params.flat, expected.flat, atol=1e-7)  # 1e-6 in the clipping
