import numpy as np
import pytest

import minivit
from minivit.backend import device_of, to_device
from minivit.checks.numeric import random_params
from minivit.checks.one_input import WritingDecoder
from minivit.layers.sinusoids import sinusoids
from minivit.losses import sequence_cross_entropy
from minivit.models import Decoder
from tests.numeric import relative_error
from tests.samples import sample

SIZES = dict(words=7, length=6, dim=12, depth=2, heads=3, mlp_dim=5)
KINDS = [
    {},
    dict(norm="post", shared=False),
    dict(positions="rotary"),
    dict(memory=False, shared=False),
    dict(memory=False, positions="rotary"),
]
B, T, S = 3, 5, 4


def case(seed=0, **changes):
    rng = np.random.default_rng(seed)
    decoder = Decoder(**SIZES | changes)
    tokens = rng.integers(0, decoder.words, (B, T))
    memory = rng.standard_normal((B, S, 12)) if decoder.memory else None
    return decoder, random_params(decoder, rng), tokens, memory


def loss_of(logits):
    targets = np.random.default_rng(1).integers(0, 7, logits.shape[:2])
    return sequence_cross_entropy(logits, targets, np.arange(len(logits)) + 1)


class Of:
    """A decoder as a layer of its memory alone, or of nothing, with its tokens."""

    def __init__(self, decoder, tokens, lengths=None):
        self.decoder, self.tokens, self.lengths = decoder, tokens, lengths
        self.init = decoder.init

    def forward(self, params, memory, rng=None):
        return self.decoder.forward(params, self.tokens, memory, self.lengths, rng)

    def backward(self, params, dlogits, cache, grads):
        return self.decoder.backward(params, dlogits, cache, grads)


@pytest.mark.parametrize("changes", sample(KINDS[:3], 3))
def test_gradients_equal_the_complex_step(changes):
    decoder, _, tokens, memory = case(**changes, dropout=0.2)
    layer = Of(decoder, tokens, np.array([4, 2, 1]))
    report = minivit.gradcheck(layer, memory, loss=loss_of)
    assert report.ok, report


@pytest.mark.parametrize("changes", KINDS[3:])
def test_gradients_without_a_memory_equal_the_complex_step(changes):
    decoder, params, tokens, _ = case(**changes)
    logits, cache = decoder.forward(params, tokens)
    _, dlogits = loss_of(logits)
    grads = params.zeros_like()
    assert decoder.backward(params, dlogits, cache, grads) is None
    direction = np.random.default_rng(2).standard_normal(params.flat.size)
    shifted = params.astype(complex)
    shifted.flat += 1e-30j * direction
    moved, _ = loss_of(decoder.forward(shifted, tokens)[0])
    assert relative_error(grads.flat @ direction, moved.imag / 1e-30) <= 1e-12


@pytest.mark.parametrize("changes", KINDS)
def test_later_tokens_change_nothing_before_them_and_get_no_gradient(changes):
    decoder, params, tokens, memory = case(**changes)
    logits, _ = decoder.forward(params, tokens, memory)
    for place in range(1, T):
        others = tokens.copy()
        others[:, place:] = (others[:, place:] + 1) % 7
        again, cache = decoder.forward(params, others, memory)
        np.testing.assert_array_equal(again[:, :place], logits[:, :place])
        assert (again[:, place:] != logits[:, place:]).all()
        dlogits = np.zeros_like(logits)
        dlogits[:, :place] = 1
        dx = {}

        def keep(params, dy, cache, grads, dx=dx):
            dx["words"] = dy

        decoder.embed.backward = keep
        decoder.backward(params, dlogits, cache, params.zeros_like())
        assert not dx["words"][:, place:].any() and dx["words"][:, :place].any()
        del decoder.embed.backward


@pytest.mark.parametrize("changes", KINDS)
def test_step_by_step_it_says_the_same_as_all_at_once(changes):
    decoder, params, tokens, memory = case(**changes)
    lengths = np.array([4, 2, 1]) if decoder.memory else None
    logits, _ = decoder.forward(params, tokens, memory, lengths)
    state = decoder.begin(params, memory, lengths)
    for place in range(T):
        stepped, state = decoder.step(params, tokens[:, place], state)
        assert relative_error(stepped, logits[:, place]) <= 1e-12


def test_padding_of_the_memory_never_matters():
    decoder, params, tokens, memory = case()
    lengths = np.array([4, 2, 1])
    logits, cache = decoder.forward(params, tokens, memory, lengths)
    dmemory = decoder.backward(params, np.ones_like(logits), cache, params.zeros_like())
    padding = np.arange(S) >= lengths[:, None]
    assert not dmemory[padding].any() and dmemory[~padding].all()
    memory[padding] = 1e6
    np.testing.assert_array_equal(decoder.forward(params, tokens, memory, lengths)[0], logits)


def test_equals_pytorch():
    torch = pytest.importorskip("torch")
    from tests import torch_reference as ref

    decoder, params, tokens, memory = case(norm="post", shared=False)
    logits, cache = decoder.forward(params, tokens, memory)
    dlogits = np.random.default_rng(1).standard_normal(logits.shape)
    grads = params.zeros_like()
    dmemory = decoder.backward(params, dlogits, cache, grads)
    layer = torch.nn.TransformerDecoderLayer(
        12, 3, 5, dropout=0.0, activation=torch.nn.GELU("tanh"), layer_norm_eps=1e-6,
        batch_first=True, dtype=torch.float64,
    )  # fmt: skip
    nest, twin = ref.tensors(params.nest), torch.tensor(memory, requires_grad=True)
    places = torch.tensor(sinusoids(np, T, 12))
    x = nest["embed"]["w"][torch.tensor(tokens)] * 12**0.5 + places
    mask = torch.nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
    for block in nest["blocks"]:
        x = torch.func.functional_call(layer, _of_torch(torch, block), (x, twin, mask))
    out = ref.linear(nest["head"], x)
    assert relative_error(logits, out.detach().numpy()) <= 1e-10
    out.backward(torch.tensor(dlogits))
    assert relative_error(dmemory, twin.grad.numpy()) <= 1e-10
    of_twin = ref.gradients(nest)
    for name, leaf in grads.named():
        if not name.endswith(("qkv.b", "kv.b")):  # the key bias has gradient zero
            assert relative_error(leaf, of_twin[name]) <= 1e-10, name


def _of_torch(torch, block):
    """A block's parameters under the names of nn.TransformerDecoderLayer."""
    cross = block["cross"]
    named = {
        "self_attn.in_proj_weight": block["attn"]["qkv"]["w"].T,
        "self_attn.in_proj_bias": block["attn"]["qkv"]["b"],
        "multihead_attn.in_proj_weight": torch.cat([cross["q"]["w"], cross["kv"]["w"]], dim=1).T,
        "multihead_attn.in_proj_bias": torch.cat([cross["q"]["b"], cross["kv"]["b"]]),
    }
    rest = {
        "self_attn.out_proj": block["attn"]["proj"], "multihead_attn.out_proj": cross["proj"],
        "linear1": block["mlp"]["fc1"], "linear2": block["mlp"]["fc2"],
        "norm1": block["ln1"], "norm2": block["ln2"], "norm3": block["ln3"],
    }  # fmt: skip
    for name, leaf in rest.items():
        named |= {f"{name}.weight": leaf["w"].t(), f"{name}.bias": leaf["b"]}
    return named


def test_a_shared_embedding_learns_as_what_is_read_and_as_what_is_written():
    decoder, params, tokens, memory = case()
    assert "w" not in params["head"] and params["embed"]["w"].shape == (7, 12)
    logits, cache = decoder.forward(params, tokens, memory)
    grads = params.zeros_like()
    decoder.backward(params, loss_of(logits)[1], cache, grads)
    unread = sorted(set(range(7)) - set(tokens.ravel().tolist()))
    assert grads["embed"]["w"].any(axis=1).all() and len(unread) < 7


def test_it_learns_to_repeat_the_memory():
    rng = np.random.default_rng(0)
    decoder = Decoder(**SIZES | dict(words=6, length=4, dim=16, heads=2, mlp_dim=32))
    params = minivit.Params(decoder.init(rng))
    optimizer, grads = minivit.AdamW(params, 1e-2), params.zeros_like()
    vectors = rng.standard_normal((6, 16)).astype(np.float32)
    losses = []
    for _ in range(120):
        told = rng.integers(1, 6, (32, 4))
        tokens = np.concatenate([np.zeros((32, 1), int), told[:, :-1]], axis=1)
        memory = vectors[told] + vectors[np.arange(4)]
        logits, cache = decoder.forward(params, tokens, memory)
        loss, dlogits = sequence_cross_entropy(logits, told, np.full(32, 4))
        decoder.backward(params, dlogits, cache, grads.zero())
        optimizer.step(grads)
        losses.append(loss)
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("changes", [{}, dict(memory=False, positions="rotary")])
def test_a_pass_is_the_same_on_every_backend(changes, device):
    decoder, params, tokens, memory = case(**changes)
    results = []
    for place in ("cpu", device):
        there = params.to(place)
        grads = there.zeros_like()
        its_memory = None if memory is None else to_device(memory, place)
        logits, cache = decoder.forward(there, tokens, its_memory)
        dmemory = decoder.backward(there, logits, cache, grads)
        state = decoder.begin(there, its_memory)
        stepped, _ = decoder.step(there, tokens[:, 0], state)
        arrays = [logits, grads.flat, stepped, *([] if memory is None else [dmemory])]
        assert {device_of(array) for array in arrays} == {place}
        results.append([to_device(array, "cpu") for array in arrays])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_float32_stays_float32_and_the_repr_makes_the_same_decoder():
    decoder = Decoder(**SIZES, dropout=0.1)
    params = minivit.Params(decoder.init(np.random.default_rng(0)))
    memory = np.ones((2, 4, 12), np.float32)
    tokens = np.array([[1, 2, 3], [4, 5, 6]])
    logits, cache = decoder.forward(params, tokens, memory, rng=np.random.default_rng(1))
    assert logits.dtype == np.float32
    assert decoder.backward(params, logits, cache, params.zeros_like()).dtype == np.float32
    assert decoder.forward(params, tokens, memory, keep=False)[1] is None
    with pytest.raises(ValueError, match="the cache was not kept"):
        decoder.backward(params, logits, None, params)
    assert eval(repr(decoder), {"Decoder": Decoder}).config == decoder.config


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(words=0), "words must be at least 1"),
        (dict(norm="none"), 'norm must be "pre" or "post"'),
        (dict(positions="learned"), 'positions must be "sincos1d" or "rotary"'),
        (dict(norm="post", memory=False), 'norm="post" is for a decoder with a memory'),
    ],
)
def test_refuses_sizes_that_cannot_work(changes, message):
    with pytest.raises(ValueError, match=message):
        Decoder(**SIZES | changes)


def test_refuses_what_does_not_fit():
    decoder, params, tokens, memory = case()
    with pytest.raises(ValueError, match="made for 6 tokens, got 7"):
        decoder.forward(params, np.zeros((3, 7), int), memory)
    with pytest.raises(ValueError, match="it looks at a memory .* got none"):
        decoder.forward(params, tokens)
    alone, its_params, *_ = case(memory=False)
    with pytest.raises(ValueError, match="it has no memory to look at, got one"):
        alone.forward(its_params, tokens, memory)
    state = alone.begin(its_params)
    for _ in range(6):
        _, state = alone.step(its_params, np.array([1, 2]), state)
    with pytest.raises(ValueError, match="made for 6 tokens, this is one more"):
        alone.step(its_params, np.array([1, 2]), state)


class Doubled(WritingDecoder):
    """A decoder whose gradient at the memory is twice what it should be."""

    def backward(self, params, dlogits, cache, grads):
        return 2 * super().backward(params, dlogits, cache, grads)


def test_a_wrong_gradient_is_reported_though_the_first_layer_reads_integers():
    memory = np.random.default_rng(0).standard_normal((B, S, 12))
    report = minivit.gradcheck(Doubled(**SIZES), memory)
    assert not report.ok
    assert "it is 2 times what it should be, in every entry" in str(report)
