"""Every fault here has right gradients, of the wrong thing: only its structure gives it away."""

import numpy as np
import pytest

import minivit
from minivit.layers import Softmax

SMALL = dict(
    image_size=(4, 6), patch_size=2, channels=3, dim=12, depth=2, heads=2, mlp_dim=5, classes=3
)


def failed(model, **options):
    return {finding.name for finding in minivit.structure(model, **options).found if not finding.ok}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pool", ["mean", "cls"])
@pytest.mark.parametrize(
    "positions, norm",
    [("learned", "pre"), (None, "pre"), ("sincos1d", "pre"), ("sincos2d", "post")],
)
def test_right_models_have_every_property(pool, positions, norm, seed):
    model = minivit.ViT(
        **SMALL, pool=pool, positions=positions, norm=norm, dropout=0.1, drop_path=0.1
    )
    findings = minivit.structure(model, seed=seed)
    assert findings.ok, findings
    assert ("positions matter" in {f.name for f in findings.found}) == (positions is not None)


class OverQueries(Softmax):
    """Weights that sum to one over the queries that look at a key."""

    def forward(self, x):
        y, cache = super().forward(x.mT.copy())
        return y.mT, cache

    def backward(self, dy, cache):
        return super().backward(dy.mT, cache).mT


def over_queries(model):
    for block in model.blocks:
        block.attn.softmax = OverQueries()


def no_scale(model):
    for block in model.blocks:
        block.attn.scale = 1.0


def over_heads(model):
    """Attention between the heads of a token in place of the tokens of a head."""
    for block in model.blocks:
        block.attn.__class__ = type("OverHeads", (type(block.attn),), dict(forward=heads_forward))


def heads_forward(self, params, x):
    B, T, D = x.shape
    qkv, cache = self.qkv.forward(params["qkv"], x)
    q, k, v = qkv.reshape(B, T, 3, self.heads, D // self.heads).transpose(2, 0, 1, 3, 4)
    att, _ = self.softmax.forward(q @ k.mT * self.scale)  # (B, T, h, h)
    y, _ = self.proj.forward(params["proj"], (att @ v).reshape(B, T, D))
    return y, {"q": q, "k": k, "v": v, "att": att, "qkv": cache}


def positions_not_added(model):
    model.pos.forward = lambda params, x: (x, {})


def dropout_in_evaluation(model):
    rng, forward = np.random.default_rng(0), model.dropout.forward
    model.dropout.forward = lambda x, _=None: forward(x, rng)
    model.dropout.rate = 0.2


def batch_mixed(model):
    forward = model.pool.forward
    model.pool.forward = lambda x: forward(x - 0.1 * x.mean(axis=0))


def patches_out_of_order(model):
    """Images that are cut by columns for one half and by rows for the other know their order."""
    forward = model.blocks[1].forward
    ramp = np.arange(6.0)[:, None]
    model.blocks[1].forward = lambda params, x, rng=None: forward(params, x * ramp, rng)


def weights_too_large(model):
    model.blocks[0].mlp.fc2.gain = 1e-9
    model.blocks[1].mlp.fc2.gain = 1e5


FAULTS = {
    over_queries: {"attention of a query sums to one", "attention is softmax(q kᵀ / √d)"},
    no_scale: {"attention is softmax(q kᵀ / √d)"},
    positions_not_added: {"positions matter"},
    dropout_in_evaluation: {"evaluation is deterministic"},
    batch_mixed: {"images of a batch do not touch", "equal tokens pool to that token"},
    over_heads: {"every token reaches every token"},
    patches_out_of_order: {"without positions, order does not matter"},
    weights_too_large: {"gradients start at a sane size"},
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_seen(fault):
    model = minivit.ViT(**SMALL)
    fault(model)
    if fault is over_heads:  # its backward is not written here: the forward's properties are enough
        model.backward = lambda *arguments: None
    found = failed(model)
    assert FAULTS[fault] <= found
    assert f"WRONG  {min(FAULTS[fault])} (" in str(minivit.structure(model))
    if fault is not dropout_in_evaluation:  # which spoils every comparison
        assert found <= FAULTS[fault] | {"gradients start at a sane size"}
