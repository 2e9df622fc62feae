"""Attention rollout (Abnar and Zuidema 2020, arXiv:2005.00928, section 3)."""

import numpy as np


def attention_rollout(attentions):
    """How much of each input token (column) has reached each token after the last block (row).

    attentions: the attention (B, h, T, T) of each block, first block first
    Returns (B, T, T); each row sums to 1.

    In each block a token keeps itself, past the attention, and takes in what it attends to; both
    count for half. The heads are averaged:

        rollout = mixing[L − 1] ··· mixing[1] mixing[0]     mixing = ½ (mean over heads of att + 1)
    """
    identity = np.eye(attentions[0].shape[-1])  # (T, T)
    rollout = identity
    for att in attentions:
        mixing = 0.5 * (att.mean(axis=1) + identity)  # (B, T, T)
        rollout = mixing @ rollout  # (B, T, T)
    return rollout


def patches_read(model, rollout):
    """How much of each patch the head of a ViT reads, from a rollout (B, T, T): (B, H/P, W/P).

    The head reads the mean of all tokens or of the patches', or the class token. What the class
    token itself contributes is left out, as it is no patch.
    """
    read_by_head = {"mean": slice(None), "cls": slice(1), "patch_mean": slice(1, None)}
    tokens = rollout[:, read_by_head[model.config["pool"]]]  # (B, T, T), (B, 1, T) or (B, N, T)
    read = tokens.mean(axis=1)[:, -model.patches.count :]  # (B, N)
    return read.reshape(-1, model.patches.rows, model.patches.columns)
