"""What must hold of layers that read and write sequences, and what no gradient check can see.

A mask that is transposed, off by one or applied too late has the right gradient of the wrong thing.
"""

import numpy as np

from ..layers import CausalBlock, CrossAttention, MaskedAttention, PreNormDecoderBlock, Rotary
from ..losses import sequence_cross_entropy
from . import sequence_formulas
from .numeric import random_params
from .report import Findings

B, T, S, D, h = 3, 6, 5, 12, 2
LENGTHS, OF_MEMORY = np.array([6, 4, 1]), np.array([2, 5, 3])


def sequences(seed=0):
    """Check masks, lengths, rotary positions, steps and the loss; return Findings."""
    rng, findings = np.random.default_rng(seed), Findings()
    x, dy = rng.standard_normal((2, B, T, D))
    memory = rng.standard_normal((B, S, D))
    with np.errstate(all="ignore"):  # of a query that sees nothing
        _masks(findings, rng, x)
        _padding(findings, rng, x, memory, dy)
        _rotary(findings, rng, x)
        _steps(findings, rng, x, memory)
        _loss(findings, rng)
    return findings


def _small(findings, name, error, limit=1e-9):
    findings.add(name, error < limit, f"off by {error:.1e}")


def _moves(f, array, places):
    """(T,) for each place of an array (B, S, D), by how much f changes at each token if it does."""
    before, moves = f(array), []
    for place in range(places):
        changed = array.copy()
        changed[:, place] += 1
        moves.append(abs(f(changed) - before).max(axis=(0, 2)))
    return np.array(moves)  # (S, T)


def _masks(findings, rng, x):
    layer = MaskedAttention(D, h)
    params = random_params(layer, rng)
    moves = _moves(lambda x: layer.forward(params, x)[0], x, T)
    later = np.tril(np.ones((T, T), bool), -1)  # the row is changed, and stands after the column
    _small(findings, "no output depends on a later token", moves[later].max(), 1e-300)
    seen = moves[~later].min() > 1e-9
    findings.add("a token sees itself and all before it", seen, "some do not matter")
    large = params.astype(np.float64)
    large["qkv"]["w"] *= 1e7  # scores of 1e14
    for name, given in (("", params), (", however large the scores", large)):
        _, cache = layer.forward(given, x, LENGTHS)
        hidden = np.triu(np.ones((T, T), bool), 1) | (np.arange(T) >= LENGTHS[:, None, None])
        share = (cache["att"] * hidden[:, None]).max()
        _small(findings, f"a hidden key has no share at all{name}", share, 1e-300)
    _, cache = layer.forward(params, x, LENGTHS)
    sums = abs(cache["att"].sum(axis=-1) - 1).max()
    _small(findings, "the shares of a query sum to one", sums)


def _padding(findings, rng, x, memory, dy):
    layer = PreNormDecoderBlock(D, h, 7)
    params = random_params(layer, rng)
    real = np.arange(T) < LENGTHS[:, None]
    dy = dy * real[..., None]

    def passes(x, memory):
        grads = params.zeros_like()
        y, cache = layer.forward(params, x, memory, LENGTHS, OF_MEMORY)
        dx, dmemory = layer.backward(params, dy, cache, grads)
        return y[real], dx[real], dmemory[of_memory], grads.flat, dx[~real], dmemory[~of_memory]

    of_memory = np.arange(S) < OF_MEMORY[:, None]
    usual = passes(x, memory)
    other = passes(np.where(real[..., None], x, 7), np.where(of_memory[..., None], memory, -5))
    names = ["no output depends on padding", *["no gradient depends on padding"] * 3]
    for name in dict.fromkeys(names):
        pairs = [(a, b) for each, a, b in zip(names, usual, other, strict=False) if each == name]
        _small(findings, name, max(abs(a - b).max() for a, b in pairs))
    _small(findings, "padding gets no gradient", max(abs(a).max() for a in usual[4:]), 1e-300)
    cross = CrossAttention(D, h)
    weights = random_params(cross, rng)
    moves = _moves(lambda memory: cross.forward(weights, x, memory)[0], memory, S)
    findings.add("every token of the memory is heard", moves.min() > 1e-9, "some do not matter")


def _rotary(findings, rng, x):
    q, k = rng.standard_normal((2, B, h, T, D // h))
    turn, scores = Rotary(D // h), []
    for start in (0, 3, 100):
        scores.append(turn.forward(q, start)[0] @ turn.forward(k, start)[0].mT)
    error = max(abs(each - scores[0]).max() for each in scores)
    _small(findings, "scores depend on the difference of places only", error)
    moves = abs(turn.forward(q, 1)[0] @ turn.forward(k)[0].mT - scores[0]).max()
    findings.add("scores depend on the difference of places", moves > 0.01, "they do not")
    layer = MaskedAttention(D, h, causal=False, rotary=True)
    params = random_params(layer, rng)
    params["qkv"]["w"][:, :D] = params["qkv"]["b"][:D] = 0  # no queries: all shares are equal
    y, _ = layer.forward(params, x)
    turned, _ = layer.forward(params, x[:, ::-1])
    _small(findings, "values are not turned", abs(turned - y).max())


def _steps(findings, rng, x, memory):
    for rotary in (False, True):
        block = PreNormDecoderBlock(D, h, 7, rotary=rotary)
        params = random_params(block, rng)
        y, _ = block.forward(params, x, memory, memory_lengths=OF_MEMORY)
        alone = CausalBlock(D, h, 7, rotary=rotary)
        of_alone = random_params(alone, rng)
        expected, _ = alone.forward(of_alone, x)
        past, past_alone, errors = block.begin(params, memory, OF_MEMORY), None, []
        for t in range(T):
            one, past = block.step(params, x[:, t : t + 1], past)
            two, past_alone = alone.step(of_alone, x[:, t : t + 1], past_alone)
            errors.append(abs(one - y[:, t : t + 1]).max())
            errors.append(abs(two - expected[:, t : t + 1]).max())
        kind = " with rotary positions" if rotary else ""
        _small(findings, f"one token at a time gives the same{kind}", max(errors))


def _loss(findings, rng):
    logits, targets = rng.standard_normal((B, T, 4)), rng.integers(0, 4, (B, T))
    loss, dlogits = sequence_cross_entropy(logits, targets, LENGTHS, smoothing=0.1)
    expected = sequence_formulas.sequence_cross_entropy(logits, targets, LENGTHS, 0.1)
    findings.expect("the loss is the mean over the real tokens", float(loss), expected)
    padding = np.arange(T) >= LENGTHS[:, None]
    largest = abs(dlogits[padding]).max()
    _small(findings, "padding gets no gradient from the loss", largest, 1e-300)
    logits[padding], targets[padding] = 1e3, -1
    try:
        again, _ = sequence_cross_entropy(logits, targets, LENGTHS, smoothing=0.1)
    except ValueError:
        again = np.nan
    _small(findings, "the loss does not depend on padding", abs(again - loss))
