"""What practitioners look at, in a few numbers: where attention flows, and how large gradients are.

All but `update_ratios` read a Trace of a `ViT`. Shapes: B images, L blocks, h heads, T tokens.
"""

import numpy as np

from ..optim import is_matrix


def attention_of(record):
    """The Records of the attention (B, h, T, T) of each block, first block first."""
    blocks = range(len(record.layer.blocks))
    return [record[f"blocks.{block}.attn.att"] for block in blocks]


def attention_rollout(record):
    """How much of each input token (column) has come to each token after the last block (row).

    Abnar and Zuidema 2020, arXiv:2005.00928, section 3. In each block a token keeps itself, past
    the attention, and takes in what it looks at; both count for half. The heads are averaged:

        rollout = mixing_L ··· mixing_2 mixing_1          mixing = ½ (mean over heads of att + 1)

    Returns (B, T, T); each row sums to 1.
    """
    flow = np.eye(record.layer.tokens)  # (T, T)
    for att in attention_of(record):
        mixing = 0.5 * (att.value.mean(axis=1) + np.eye(record.layer.tokens))  # (B, T, T)
        flow = mixing @ flow  # (B, T, T)
    return flow


def gradient_weighted_attention(record):
    """The same flow, counting of each weight of attention only what speaks for the answer.

    Chefer, Gur and Wolf 2021, arXiv:2103.15679, equations 5 and 6. The gradient says how much a
    weight matters, its sign whether for or against; only what is for it is kept:

        relevance ← relevance + (mean over heads of max(0, datt · att)) relevance,    at first 1

    The answer is what the trace went backward from. To ask for a class, trace with dy = 1 at its
    logit, else 0. Of a trace with labels it is the labels: what lowers the loss speaks for them.
    Returns (B, T, T), with rows and columns as in `attention_rollout`.
    """
    # The loss is a mean over the batch: B times its gradient is that of an image's own loss.
    sign = 1 if record.labels is None else -len(record.labels)
    relevance = np.eye(record.layer.tokens)  # (T, T)
    for att in attention_of(record):
        speaking_for = np.maximum(0, sign * att.gradient * att.value)  # (B, h, T, T)
        relevance = relevance + speaking_for.mean(axis=1) @ relevance  # (B, T, T)
    return relevance


def read_by_the_head(record, flow):
    """Of a flow (B, T, T), what reaches the head, as a map of the patches (B, H/P, W/P).

    The head reads the mean of all tokens, or the class token; the class token has no place.
    """
    patches = record.layer.patches
    tokens = flow[:, :1] if record.layer.config["pool"] == "cls" else flow
    read = tokens.mean(axis=1)[:, -patches.count :]  # (B, N)
    P = patches.patch_size
    return read.reshape(len(read), patches.height // P, patches.width // P)


def attention_entropy(record):
    """How widely each head looks: (L, h), in nats, the mean over images and queries.

    −Σ att log att over the keys is 0 for a head that looks at one token, log T at all alike.
    """
    entropies = []
    for att in attention_of(record):
        logs = np.log(np.where(att.value > 0, att.value, 1))  # 0 log 0 is 0
        entropies.append(-(att.value * logs).sum(axis=-1).mean(axis=(0, 2)))  # (h,)
    return np.array(entropies)


def layer_gradient_norms(record):
    """{path of a layer with parameters: the norm of the gradient of all of them}."""
    squares = {}
    for parameter in record.parameters:
        path = parameter.path or parameter.variable  # the class token and positions have no layer
        squares[path] = squares.get(path, 0.0) + float((parameter.gradient**2).sum())
    return {path: square**0.5 for path, square in squares.items()}


def head_gradient_norms(record):
    """The norm of the gradient of each head's own parameters: (L, h).

    They are its columns of qkv, (3, h, d), and its rows of proj, (h, d); proj's bias is common.
    """
    norms = []
    for number, block in enumerate(record.layer.blocks):
        heads, path = block.attn.heads, f"blocks.{number}.attn"
        ways_in = [record[f"{path}.qkv.{name}"].gradient for name in ("w", "b")]
        squares = sum(
            (way.reshape(-1, 3, heads, way.shape[-1] // (3 * heads)) ** 2).sum((0, 1, 3))
            for way in ways_in
        )
        way_out = record[f"{path}.proj.w"].gradient
        squares = squares + (way_out.reshape(heads, -1) ** 2).sum(axis=1)
        norms.append(np.sqrt(squares))
    return np.array(norms)


def update_ratios(before, after):
    """{name of a matrix: |after − before| / |before|}, the share by which a step changed it.

    About 1e-3 is usual (Stanford CS231n, "Ratio of weights:updates"): much more is restless, much
    less learns slowly. Infinite for a matrix that was zero, as the head's is at first.

    before, after: Params, such as params.astype(params.flat.dtype) from before optimizer.step
    """
    ratios = {}
    for (name, old), (_, new) in zip(before.named(), after.named(), strict=True):
        if is_matrix(name, old):
            size = np.linalg.norm(old)
            ratios[name] = float(np.linalg.norm(new - old) / size) if size else np.inf
    return ratios
