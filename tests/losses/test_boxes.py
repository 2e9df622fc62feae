import numpy as np
import pytest

from minivit.backend import device_of, to_device
from minivit.losses import detection, giou, relative_l1
from tests.numeric import central_differences, complex_step, relative_error

TRUTH = [2.0, 3.0, 6.0, 9.0]
PLACES = {  # a box, as it lies to TRUTH; no side of one is level with a side of the other
    "overlapping": [1.0, 4.0, 5.0, 11.0],
    "nested inside": [3.0, 4.0, 5.0, 6.0],
    "around it": [0.0, 1.0, 7.0, 10.0],
    "beside it": [8.0, 4.0, 9.0, 8.0],
    "above it": [3.0, 0.0, 5.0, 2.0],
    "apart": [10.0, 12.0, 13.0, 13.5],
    "a cross": [1.0, 4.0, 8.0, 6.0],
}
KINKS = {  # where a side of one touches a side of the other
    "equal": TRUTH,
    "touching": [6.0, 4.0, 8.0, 8.0],
    "inside, two sides level": [2.0, 3.0, 5.0, 7.0],
    "beside, two sides level": [8.0, 3.0, 10.0, 9.0],
}
LOSSES = {"giou": giou, "relative_l1": relative_l1}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def pairs(seed=0, count=(3, 40)):
    """Boxes and truths, (..., 4), of which some overlap and some do not."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-5, 5, (2, *count, 2))
    return np.concatenate([corners, corners + rng.uniform(0.5, 6, corners.shape)], axis=-1)


def slopes(loss, box, step):
    """The slope of a loss of one box towards each side's larger values, and smaller, (4, 2)."""
    box, truth = np.array(box), np.array(TRUTH)
    value, _ = loss(box, truth)
    moved = [[loss(box + sign * step * side, truth)[0] for sign in (1, -1)] for side in np.eye(4)]
    return (np.array(moved) - value) / [step, -step]


@pytest.mark.parametrize("place", PLACES)
@every_loss
def test_gradients_equal_differences(loss, place):
    box, truth = np.array(PLACES[place]), np.array(TRUTH)
    _, dbox = loss(box, truth)
    numeric = central_differences(lambda: loss(box, truth)[0], box)
    assert relative_error(dbox, numeric) <= 1e-7
    box = box.astype(complex)
    assert relative_error(dbox, complex_step(lambda: loss(box, truth)[0], box)) <= 1e-12


@pytest.mark.parametrize(
    "loss, place",
    [(giou, place) for place in KINKS]
    + [(relative_l1, place) for place in KINKS if place != "touching"],
)
def test_at_a_kink_the_slope_is_one_between_those_of_both_sides(loss, place):
    _, dbox = loss(np.array(KINKS[place]), np.array(TRUTH))
    around = slopes(loss, KINKS[place], 1e-7)
    assert (dbox >= around.min(axis=1) - 1e-6).all()
    assert (dbox <= around.max(axis=1) + 1e-6).all()
    assert (np.ptp(around, axis=1) > 1e-3).any(), "there is no kink"


@every_loss
def test_equal_boxes_are_where_it_rests(loss):
    best, slope = loss(np.array(TRUTH), np.array(TRUTH))
    assert best == (1 if loss is giou else 0)
    assert not slope.any()


def test_where_boxes_touch_they_do_not_meet():
    box, truth = np.array(KINKS["touching"]), np.array(TRUTH)
    apart, _ = giou(box + np.array([1e-9, 0, 0, 0]), truth)
    score, slope = giou(box, truth)
    assert score == pytest.approx(apart)
    further = slopes(giou, box, 1e-7)[0, 0]  # the left side moves to the right
    assert slope[0] == pytest.approx(further, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_giou_equals_pytorch(seed):
    torch = pytest.importorskip("torch")
    from tests import torch_reference

    boxes, truth = pairs(seed)
    twin = torch.tensor(boxes, requires_grad=True)
    expected = torch_reference.generalized_box_iou(twin, torch.tensor(truth))
    expected.sum().backward()
    score, dboxes = giou(boxes, truth)
    assert relative_error(score, expected.detach().numpy()) <= 1e-12
    assert relative_error(dboxes, twin.grad.numpy()) <= 1e-10


def test_giou_of_boxes_that_one_can_count():
    # 2 of 4 + 4 − 2 squares, in a hull of 3 x 2; then two of 4 squares with 3 empty columns between
    assert giou(np.array([0.0, 0, 2, 2]), np.array([1.0, 0, 3, 2]))[0] == pytest.approx(1 / 3)
    apart, _ = giou(np.array([0.0, 0, 2, 2]), np.array([5.0, 0, 7, 2]))
    assert apart == pytest.approx(-6 / 14)


@every_loss
def test_it_does_not_change_with_the_place_nor_with_the_scale(loss):
    boxes, truth = pairs()
    value, slope = loss(boxes, truth)
    by = np.array([7, -3, 7, -3])
    moved, same_slope = loss(boxes + by, truth + by)
    larger, smaller_slope = loss(8 * boxes, 8 * truth)
    np.testing.assert_allclose(moved, value, atol=1e-12)
    np.testing.assert_allclose(same_slope, slope, atol=1e-12)
    np.testing.assert_allclose(larger, value, atol=1e-12)
    np.testing.assert_allclose(8 * smaller_slope, slope, atol=1e-12)


@every_loss
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_are_kept_and_nothing_is_changed(loss, dtype):
    boxes, truth = pairs().astype(dtype)
    boxes.flags.writeable = truth.flags.writeable = False
    value, slope = loss(boxes, truth)
    assert (value.dtype, slope.dtype) == (np.dtype(dtype), np.dtype(dtype))
    assert (value.shape, slope.shape) == (boxes.shape[:-1], boxes.shape)


def answers(seed=0, B=3, N=6, K=4):
    """Answers, and targets with two objects, one and none."""
    rng = np.random.default_rng(seed)
    boxes, truth = pairs(seed, (B, N))
    answer = np.concatenate([rng.standard_normal((B, N, K + 1)), boxes], axis=-1)
    targets = np.concatenate([np.full((B, N, 1), K), truth], axis=-1)
    targets[0, [1, 4], 0], targets[1, 3, 0] = [2, 0], 3
    return answer, targets


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_detection_equals_pytorch(smoothing):
    torch = pytest.importorskip("torch")
    from tests import torch_reference

    answer, targets = answers()
    twin = torch.tensor(answer, requires_grad=True)
    expected = torch_reference.detection(twin, torch.tensor(targets), smoothing)
    expected.backward()
    loss, danswer = detection(answer, targets, smoothing=smoothing)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    assert relative_error(danswer, twin.grad.numpy()) <= 1e-10


def test_detection_equals_differences():
    answer, targets = answers(1)
    _, danswer = detection(answer, targets)
    numeric = central_differences(lambda: detection(answer, targets)[0], answer)
    assert relative_error(danswer, numeric) <= 1e-7
    answer = answer.astype(complex)
    numeric = complex_step(lambda: detection(answer, targets)[0], answer)
    assert relative_error(danswer, numeric) <= 1e-12


def test_boxes_of_patches_without_object_do_not_count():
    answer, targets = answers()
    loss, danswer = detection(answer, targets)
    empty = targets[..., 0] == 4
    assert not danswer[empty][:, -4:].any()
    assert danswer[~empty][:, -4:].all()
    targets[empty, 1:] = [0, 0, 1, 1]
    assert detection(answer, targets)[0] == loss


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_however_large_the_boxes_are_that_do_not_count(dtype):
    answer, targets = answers()
    loss, danswer = detection(answer.astype(dtype), targets.astype(dtype))
    answer[targets[..., 0] == 4, -4:] = [-np.inf, -np.inf, np.inf, np.inf]
    again, danswer_again = detection(answer.astype(dtype), targets.astype(dtype))
    assert again == loss and loss.dtype == danswer.dtype == dtype
    np.testing.assert_array_equal(danswer_again, danswer)


def test_refuses_targets_of_another_shape():
    answer, targets = answers()
    with pytest.raises(ValueError, match=r"expected targets \(3, 6, 5\) for .*, got \(3, 6, 4\)"):
        detection(answer, targets[..., :4])


def test_the_same_on_every_backend(device):
    boxes, truth = pairs()
    answer, targets = answers()
    arguments = {giou: (boxes, truth), relative_l1: (boxes, truth), detection: (answer, targets)}
    for loss, arrays in arguments.items():
        expected = loss(*arrays)
        there = loss(*(to_device(array, device) for array in arrays))
        for one, other in zip(there, expected, strict=True):
            assert device_of(one) == device
            np.testing.assert_allclose(to_device(one, "cpu"), other, rtol=1e-12, atol=1e-12)
