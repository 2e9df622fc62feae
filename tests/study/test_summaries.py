import math

import numpy as np
import pytest

import minivit
from minivit.study import nudge, summaries, trace
from tests.study.cases import traced_vit

POOLS = pytest.mark.parametrize("pool", ["mean", "cls"])


def attention(record, block):
    return record[f"blocks.{block}.attn.att"]


def naive_product(a, b):
    T = len(a)
    return [[sum(a[i][k] * b[k][j] for k in range(T)) for j in range(T)] for i in range(T)]


@POOLS
def test_rollout_equals_naive_loops(pool):
    record = traced_vit(pool=pool)
    found = summaries.attention_rollout(record)
    T = record.layer.tokens
    for image in range(3):
        flow = [[float(i == j) for j in range(T)] for i in range(T)]
        for block in range(2):
            att = attention(record, block).value[image]
            mixing = [
                [(sum(att[h][i][j] for h in range(2)) / 2 + (i == j)) / 2 for j in range(T)]
                for i in range(T)
            ]
            flow = naive_product(mixing, flow)
        np.testing.assert_allclose(found[image], flow, rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-12)


def test_gradient_weighted_attention_equals_naive_loops():
    record = traced_vit()
    found = summaries.gradient_weighted_attention(record)
    T = record.layer.tokens
    for image in range(3):
        relevance = [[float(i == j) for j in range(T)] for i in range(T)]
        for block in range(2):
            att, datt = (
                attention(record, block).value[image],
                attention(record, block).gradient[image],
            )
            kept = [
                [
                    sum(max(0.0, -3 * datt[h][i][j] * att[h][i][j]) for h in range(2)) / 2
                    for j in range(T)
                ]
                for i in range(T)
            ]
            added = naive_product(kept, relevance)
            relevance = [[relevance[i][j] + added[i][j] for j in range(T)] for i in range(T)]
        np.testing.assert_allclose(found[image], relevance, rtol=1e-12)


def test_gradient_weighted_attention_of_an_image_does_not_depend_on_its_neighbours():
    record = traced_vit()
    of_all = summaries.gradient_weighted_attention(record)
    alone = trace(record.layer, record.params, record.x[1:2], record.labels[1:2])
    found = summaries.gradient_weighted_attention(alone)
    np.testing.assert_allclose(found[0], of_all[1], rtol=1e-9)


def test_what_speaks_for_a_class_is_what_raises_its_logit():
    labelled = traced_vit(batch=1)
    dy = np.zeros((1, 5))
    dy[0, labelled.labels[0]] = 1
    asked = trace(labelled.layer, labelled.params, labelled.x, dy=dy)
    assert asked.loss == asked["logits"].value[0, labelled.labels[0]]
    kept = summaries.gradient_weighted_attention(asked)
    att = attention(asked, 1)
    slope = nudge(asked, "blocks.1.attn.att", (0, 1, 0, 3)).slope
    assert att.gradient[0, 1, 0, 3] == pytest.approx(slope, rel=1e-6)
    assert (kept >= np.eye(labelled.layer.tokens)).all()
    assert kept.max() > 1e-3


@POOLS
def test_what_the_head_reads_of_a_flow(pool):
    record = traced_vit(pool=pool)
    T = record.layer.tokens
    flow = np.random.default_rng(0).random((3, T, T))
    maps = summaries.read_by_the_head(record, flow)
    assert maps.shape == (3, 2, 5)
    for image, row, column in np.ndindex(maps.shape):
        token = row * 5 + column
        if pool == "cls":
            expected = flow[image, 0, 1 + token]
        else:
            expected = sum(flow[image, t, token] for t in range(T)) / T
        assert maps[image, row, column] == pytest.approx(expected)


def test_entropy_equals_naive_loops():
    record = traced_vit()
    found = summaries.attention_entropy(record)
    assert found.shape == (2, 2)
    for block, head in np.ndindex(2, 2):
        att = attention(record, block).value[:, head]
        rows = [-sum(p * math.log(p) for p in row) for image in att for row in image]
        assert found[block, head] == pytest.approx(sum(rows) / len(rows), rel=1e-12)


def test_entropy_of_one_token_is_zero_and_of_all_alike_log_t():
    record = traced_vit(pool="mean")
    attention(record, 0).value[...] = np.eye(10)
    attention(record, 1).value[...] = 1 / 10
    entropy = summaries.attention_entropy(record)
    np.testing.assert_allclose(entropy, [[0, 0], [math.log(10)] * 2], atol=1e-12)


def test_norms_of_the_layers_make_up_the_norm_of_all():
    record = traced_vit()
    norms = summaries.layer_gradient_norms(record)
    assert list(norms)[:4] == ["patches", "cls", "pos", "blocks.0.ln1"]
    qkv = [record[f"blocks.1.attn.qkv.{name}"].gradient for name in ("w", "b")]
    expected = math.sqrt(sum(float(g) ** 2 for gradient in qkv for g in gradient.flat))
    assert norms["blocks.1.attn.qkv"] == pytest.approx(expected, rel=1e-12)
    total = sum(float((r.gradient**2).sum()) for r in record.parameters)
    assert sum(norm**2 for norm in norms.values()) == pytest.approx(total, rel=1e-12)


def test_norms_of_the_heads_equal_naive_loops():
    record = traced_vit()
    found = summaries.head_gradient_norms(record)
    D, d = 14, 7
    for block, head in np.ndindex(2, 2):
        square = 0.0
        qkv = record[f"blocks.{block}.attn.qkv.w"].gradient
        bias = record[f"blocks.{block}.attn.qkv.b"].gradient
        proj = record[f"blocks.{block}.attn.proj.w"].gradient
        for column in range(head * d, (head + 1) * d):
            for part in range(3):  # q, k, v
                square += bias[part * D + column] ** 2
                square += sum(qkv[row, part * D + column] ** 2 for row in range(D))
            square += sum(proj[column, out] ** 2 for out in range(D))
        assert found[block, head] == pytest.approx(math.sqrt(square), rel=1e-12)


def test_a_head_whose_way_out_is_closed_gets_a_gradient_only_there():
    record = traced_vit()
    record.params["blocks"][0]["attn"]["proj"]["w"][7:] = 0  # of the second head
    closed = trace(record.layer, record.params, record.x, record.labels)
    of_v = closed["blocks.0.attn.v"].gradient
    assert not of_v[:, 1].any()
    assert of_v[:, 0].any()
    way_out = closed["blocks.0.attn.proj.w"].gradient[7:]
    norm = summaries.head_gradient_norms(closed)[0, 1]
    assert norm == pytest.approx(np.linalg.norm(way_out), rel=1e-12)


def test_update_ratios_are_those_of_a_step():
    before = traced_vit().params
    after = before.astype(np.float64)
    grads = before.zeros_like()
    grads.flat[...] = 1
    minivit.SGD(after, 0.01, momentum=0).step(grads)
    before["head"]["w"][...] = 0
    ratios = summaries.update_ratios(before, after)
    w = before["blocks"][0]["mlp"]["fc1"]["w"]
    expected = 0.01 * math.sqrt(w.size) / math.sqrt(sum(float(v) ** 2 for v in w.flat))
    assert ratios["blocks.0.mlp.fc1.w"] == pytest.approx(expected, rel=1e-9)
    assert ratios["head.w"] == math.inf
    assert len(ratios) == 2 + 2 * 4
