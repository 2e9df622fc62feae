import numpy as np
import pytest

import minivit
from minivit.study.lessons.patch_image import convolve, patch_image


def some(*shape, dtype=np.float32):
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("patch_size, P, Q", [(2, 2, 2), ((2, 4), 2, 4), ((3, 1), 3, 1)])
def test_patches_and_embeddings_of_any_size(patch_size, P, Q):
    images = some(2, 6, 8, 3)
    patches, embeddings, params = patch_image(images, patch_size, 5, np.random.default_rng(0))
    rows, columns = 6 // P, 8 // Q
    assert patches.shape == (2, rows * columns, P * Q * 3)
    assert embeddings.shape == (2, rows * columns, 5)
    assert embeddings.dtype == np.float32
    last = images[1, -P:, -Q:].reshape(-1)
    np.testing.assert_array_equal(patches[1, -1], last)
    np.testing.assert_allclose(
        embeddings[1, -1], last @ params["w"] + params["b"], rtol=1e-5, atol=1e-6
    )

    grid = patch_image(images, patch_size, 5, np.random.default_rng(0), grid=True).embeddings
    assert grid.shape == (2, rows, columns, 5)
    np.testing.assert_array_equal(grid.reshape(embeddings.shape), embeddings)


def test_with_a_norm_each_embedding_has_mean_zero_and_size_one():
    rng = np.random.default_rng(0)
    embeddings = patch_image(some(1, 8, 8, 3), 4, 50, rng, norm=True).embeddings
    np.testing.assert_allclose(embeddings.mean(axis=-1), 0, atol=1e-6)
    np.testing.assert_allclose(embeddings.std(axis=-1), 1, rtol=1e-4)


def test_it_is_what_a_new_model_does():
    model = minivit.ViT(
        image_size=8, patch_size=4, channels=3, dim=6, depth=1, heads=1, mlp_dim=4, classes=2
    )
    images, nest = some(2, 8, 8, 3), model.init(np.random.default_rng(0))
    tokens, _ = model.patches.forward(nest["patches"], images)
    embeddings = patch_image(images, 4, 6, np.random.default_rng(0)).embeddings
    np.testing.assert_array_equal(embeddings, tokens)


def test_the_projection_is_a_convolution_with_stride_equal_to_kernel():
    images, P, Q = some(2, 6, 8, 3, dtype=np.float64), 2, 4
    _, embeddings, params = patch_image(images, (P, Q), 5, np.random.default_rng(0), grid=True)
    bias = some(5, dtype=np.float64)
    kernels = params["w"].reshape(P, Q, 3, 5)
    np.testing.assert_allclose(convolve(images, kernels, bias), embeddings + bias, atol=1e-12)


@pytest.mark.parametrize(
    "shape, patch_size, dim, message",
    [
        ((6, 8, 3), 2, 4, r"images are \(B, H, W, C\), got shape \(6, 8, 3\)"),
        ((1, 6, 8, 3), 4, 4, "6 x 8 pixels cannot be cut into patches of 4 x 4"),
        ((1, 6, 8, 3), 2, 0, "must be at least 1, got 0"),
    ],
)
def test_refuses_what_cannot_be_cut(shape, patch_size, dim, message):
    with pytest.raises(ValueError, match=message):
        patch_image(some(*shape), patch_size, dim, np.random.default_rng(0))
