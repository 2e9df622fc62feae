import numpy as np
import pytest

import minivit
from minivit.backend import device_of, to_device
from minivit.checks.numeric import random_params
from minivit.layers import Softmax
from minivit.losses import detection
from minivit.models import Detector
from tests.numeric import relative_error
from tests.samples import sample

SIZES = dict(image_size=(6, 8), patch_size=2, channels=3, dim=12, depth=2, heads=3, mlp_dim=7)
OBJECTS = [  # of three images: one, none, three
    [[2, 0.5, 0.5, 4, 5]],
    np.zeros((0, 5)),
    [[0, 0, 0, 8, 6], [1, 1, 1, 3, 3], [3, 4.5, 2, 8, 3]],
]


def case(seed=0, **changes):
    rng = np.random.default_rng(seed)
    model = Detector(**SIZES | dict(classes=4) | changes)
    targets = np.stack([model.targets(objects) for objects in OBJECTS])
    return model, random_params(model, rng), rng.standard_normal((3, 6, 8, 3)), targets


@pytest.mark.parametrize(
    "changes", sample([dict(norm="post", positions="sincos1d", dropout=0.2), {}], 2)
)
def test_gradients_equal_the_complex_step(changes):
    model, _, images, targets = case(**changes)
    report = minivit.gradcheck(model, images, loss=lambda answer: detection(answer, targets))
    assert report.ok, report
    assert max(row.error for row in report.rows if row.verdict == "ok") <= 1e-12


def test_equals_pytorch():
    torch = pytest.importorskip("torch")
    from tests import torch_reference as ref

    model, params, images, targets = case()
    grads = params.zeros_like()
    answer, cache = model.forward(params, images)
    loss, danswer = detection(answer, targets)
    dimages = model.backward(params, danswer, cache, grads)
    nest, twin = ref.tensors(params.nest), torch.tensor(images, requires_grad=True)
    x = ref.patches(nest["patches"], twin, 2) + nest["pos"]
    for block in nest["blocks"]:
        x = ref.block(block, x, 3)
    out = ref.linear(nest["head"], ref.layer_norm(nest["ln"], x))
    twin_answer = torch.cat([out[..., :-4], ref.patch_boxes(out[..., -4:], 3, 4, 2)], dim=-1)
    expected = ref.detection(twin_answer, torch.tensor(targets).double())
    expected.backward()
    assert relative_error(answer, twin_answer.detach().numpy()) <= 1e-10
    assert loss == pytest.approx(expected.item(), rel=1e-10)
    assert relative_error(dimages, twin.grad.numpy()) <= 1e-10
    of_twin = ref.gradients(nest)
    for name, leaf in grads.named():
        if not name.endswith("qkv.b"):  # the key bias has gradient zero
            assert relative_error(leaf, of_twin[name]) <= 1e-10, name


def test_a_new_detector_answers_alike_everywhere_with_its_patches_as_boxes():
    model, _, images, _ = case()
    params = minivit.Params(model.init(np.random.default_rng(0)))
    answer, cache = model.forward(params, images.astype(np.float32), keep=False)
    assert cache is None and answer.shape == (3, 12, 9) and answer.dtype == np.float32
    assert not answer[..., :4].any()
    probabilities, _ = Softmax().forward(answer[..., :5])
    np.testing.assert_allclose(probabilities[..., 4], 11 / 12, rtol=1e-6)
    assert answer[0, 5, 5:].tolist() == [2, 2, 4, 4]
    with pytest.raises(ValueError, match="Detector: the cache was not kept"):
        model.backward(params, answer, cache, params.zeros_like())


def test_the_repr_is_the_call_that_makes_the_same_model():
    model, *_ = case(dropout=0.1)
    assert eval(repr(model), {"Detector": Detector}).config == model.config


def test_targets_stand_in_the_patch_of_the_middle():
    model, *_ = case()
    targets = model.targets(OBJECTS[2]).reshape(3, 4, 5)
    assert targets[1, 2].tolist() == [0, 0, 0, 8, 6]
    assert targets[1, 1].tolist() == [1, 1, 1, 3, 3]
    assert targets[1, 3].tolist() == [3, 4.5, 2, 8, 3]
    assert (targets[[0, 2]] == [4, 0, 0, 1, 1]).all()
    assert (model.targets([]) == [4, 0, 0, 1, 1]).all()


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_objects_in_a_patch_the_smaller_one_is_asked_for(order):
    model, *_ = case()
    large, small = [0, 0, 0, 6, 6], [1, 2.5, 2, 4, 5]
    targets = model.targets([large, small][::order])
    assert (targets[:, 0] < 4).sum() == 1
    assert targets[5].tolist() == small


@pytest.mark.parametrize(
    "objects, message",
    [
        ([[0, 1, 1, 5]], r"objects are \(M, 5\).*got \(1, 4\)"),
        ([[4, 1, 1, 5, 5]], "the class 4; 4 classes are numbered 0 to 3"),
        ([[-1, 1, 1, 5, 5]], "the class -1"),
        ([[0.5, 1, 1, 5, 5]], "the class 0.5"),
        ([[0, 1, np.nan, 5, 5]], "not finite"),
        ([[0, 1, 1, np.inf, 5]], "not finite"),
        ([[0, 1, 1, 1, 5]], "no area"),
        ([[0, 5, 1, 1, 5]], "no area"),
        ([[0, 7, 1, 9, 5]], "its middle outside of the image of 6 x 8 pixels"),
        ([[0, -3, 1, 1, 5]], "its middle outside"),
    ],
)
def test_refuses_objects_that_do_not_fit(objects, message):
    model, *_ = case()
    with pytest.raises(ValueError, match=message):
        model.targets(objects)


def test_it_learns_to_find_a_bright_spot():
    model = Detector(image_size=8, patch_size=2, channels=1, dim=16, depth=2, heads=2, mlp_dim=16,
                     classes=2)  # fmt: skip
    rng = np.random.default_rng(0)
    params = minivit.Params(model.init(rng))
    optimizer, grads = minivit.AdamW(params, 1e-2), params.zeros_like()
    losses = []
    for _ in range(60):
        left, top = rng.integers(0, 5, (2, 30))
        images, targets = np.zeros((30, 8, 8, 1), np.float32), []
        for image, x, y in zip(images, left, top, strict=True):
            image[y : y + 3, x : x + 3] = 1
            targets.append(model.targets([[1, x, y, x + 3, y + 3]]))
        answer, cache = model.forward(params, images)
        loss, danswer = detection(answer, np.stack(targets))
        model.backward(params, danswer, cache, grads.zero())
        optimizer.step(grads)
        losses.append(loss)
    assert losses[-1] < 0.2 * losses[0]


def test_a_pass_is_the_same_on_every_backend(device):
    model, params, images, targets = case()
    results = []
    for place in ("cpu", device):
        there = params.to(place)
        grads = there.zeros_like()
        answer, cache = model.forward(there, to_device(images, place))
        loss, danswer, right, _ = model.grade(answer, images, to_device(targets, place))
        dimages = model.backward(there, danswer, cache, grads)
        arrays = [answer, loss, right, dimages, grads.flat]
        assert {device_of(array) for array in arrays} == {place}
        results.append([to_device(array, "cpu") for array in arrays])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
