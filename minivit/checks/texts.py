"""What must hold of models that write, and what no gradient check can see.

A model that is told the answer, or that forgets where it is, has the right gradient of the wrong
thing.
"""

import numpy as np

from ..models import Decoder, Reader
from ..models.vocabulary import PADDING
from .numeric import random_params
from .report import Findings

B, T, S, V = 3, 5, 4, 7
SIZES = dict(words=V, length=T, dim=12, depth=2, heads=2, mlp_dim=5)
KINDS = {
    "": {},
    ", post-norm": dict(norm="post", shared=False),
    ", rotary": dict(positions="rotary"),
    ", without a memory": dict(memory=False),
}
PICTURES = dict(image_size=(4, 6), patch_size=2, channels=1, dim=8, depth=1, heads=2, mlp_dim=5)
LABELS = np.array([[1, 3, 4, 5, 2], [1, 6, 2, 0, 0], [1, 2, 0, 0, 0]])  # begin, text, end, padding


def texts(seed=0):
    """Check decoders of all kinds, and what a reader is told and asked; return Findings."""
    rng, findings = np.random.default_rng(seed), Findings()
    for kind, changes in KINDS.items():
        _decoder(findings, rng, kind, Decoder(**SIZES | changes))
    _reader(findings, rng)
    return findings


def _decoder(findings, rng, kind, decoder):
    params, tokens = random_params(decoder, rng), rng.integers(0, V, (B, T))
    memory = rng.standard_normal((B, S, 12)) if decoder.memory else None
    logits, _ = decoder.forward(params, tokens, memory)
    state, stepped = decoder.begin(params, memory), []
    for place in range(T):
        one, state = decoder.step(params, tokens[:, place], state)
        stepped.append(one)
    error = abs(np.stack(stepped, axis=1) - logits).max()
    said = f"off by {error:.1e}"
    findings.add(f"a text step by step is the same as all at once{kind}", error < 1e-9, said)
    others = tokens.copy()
    others[:, 2] = (others[:, 2] + 1) % V
    moves = abs(decoder.forward(params, others, memory)[0] - logits).max(axis=(0, 2))
    findings.add(f"no place knows what comes later{kind}", not moves[:2].any(), "some do")
    findings.add(f"every place knows what came before{kind}", moves[2:].all(), "some do not")
    same = np.full((B, T), 4)  # what tells these apart is their places alone, or their number
    alike = decoder.forward(params, same, memory)[0]
    if decoder.positions != "rotary":
        differ = np.ptp(alike, axis=1).min() > 1e-6
        findings.add(f"places matter{kind}", differ, "equal tokens are answered alike")


def _reader(findings, rng):
    reader = Reader(words=V, longest=3, **PICTURES)
    told = reader.told(LABELS)["tokens"]
    right = np.array_equal(told, LABELS[:, :-1])
    findings.add("a reader is told what comes before, not what it is asked", right, "it is not")
    targets = LABELS[:, 1:]
    sure = 40.0 * (np.arange(V) == targets[..., None])
    real = targets != PADDING
    sure[~real] = rng.standard_normal((int((~real).sum()), V))
    loss, dlogits, named, asked = reader.grade(sure, None, LABELS)
    findings.add("who is sure of what is right has no loss", loss < 1e-9, f"it is {loss:.2g}")
    findings.add(
        "a text is right if all before its padding is", named == asked == B, "some are not"
    )
    findings.add("padding is not asked for", not dlogits[~real].any(), "it gets a gradient")
    unsure = rng.standard_normal(sure.shape)
    whole, *_ = reader.grade(unsure, None, LABELS)
    each = [reader.grade(unsure[b : b + 1], None, LABELS[b : b + 1])[0] for b in range(B)]
    findings.expect("parts of a batch add up to its loss", float(whole), float(np.mean(each)))
