"""The same model and AdamW as a JAX user writes them, over minivit's nest of parameters.

`tests/demos/test_benchmark.py` holds it equal to minivit's: loss, gradients and steps of AdamW.
"""

import jax
import jax.numpy as jnp


def linear(p, x):
    return x @ p["w"] + p["b"]


def layer_norm(p, x, eps=1e-6):
    centred = x - x.mean(axis=-1, keepdims=True)
    var = (centred**2).mean(axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(var + eps) * p["w"] + p["b"]


def attention(p, x, heads):
    B, T, D = x.shape
    qkv = linear(p["qkv"], x).reshape(B, T, 3, heads, D // heads)
    q, k, v = (qkv[:, :, part] for part in range(3))  # 3 x (B, T, h, d)
    scores = jnp.einsum("bthd,bshd->bhts", q, k) * (D // heads) ** -0.5
    mix = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores), v)
    return linear(p["proj"], mix.reshape(B, T, D))


def mlp(p, x):
    return linear(p["fc2"], jax.nn.gelu(linear(p["fc1"], x), approximate=True))


def patches(x, side):
    """Images (B, H, W, C), cut into patches (B, N, side * side * C)."""
    B, H, W, C = x.shape
    x = x.reshape(B, H // side, side, W // side, side, C).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(B, -1, side * side * C)


def vit(p, images, config):
    """images (B, H, W, C) -> logits (B, K): a mean-pooled ViT with learned positions."""
    x = linear(p["patches"], patches(images, config["patch_size"])) + p["pos"]
    for block in p["blocks"]:
        x = x + attention(block["attn"], layer_norm(block["ln1"], x), config["heads"])
        x = x + mlp(block["mlp"], layer_norm(block["ln2"], x))
    return linear(p["head"], layer_norm(p["ln"], x).mean(axis=1))


def loss_of(p, images, labels, config):
    """Cross-entropy in nats, a mean over the batch."""
    logits = jax.nn.log_softmax(vit(p, images, config))
    return -jnp.take_along_axis(logits, labels[:, None], axis=1).mean()


def adamw(p, grads, state, lr, betas, decay, eps=1e-8):
    """The parameters after a step, and the state (t, m, v); only matrices decay."""
    (t, m, v), (beta1, beta2) = state, betas
    t = t + 1
    m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, grads)
    v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, grads)

    def stepped(path, p, m, v):
        if path[-1].key == "w" and p.ndim == 2:
            p = p - lr * decay * p
        return p - lr * (m / (1 - beta1**t)) / (jnp.sqrt(v / (1 - beta2**t)) + eps)

    return jax.tree.map_with_path(stepped, p, m, v), (t, m, v)


def started(nest):
    """JAX's copies of the parameters, and the state of `adamw` at first."""
    p = jax.tree.map(jnp.array, nest)
    zeros = jax.tree.map(jnp.zeros_like, p)
    return p, (0, zeros, jax.tree.map(jnp.zeros_like, p))


def step_of(config, prepare, lr, betas, decay):
    """A compiled step: (p, state, raw images, labels) -> (p, state, loss)."""

    def step(p, state, images, labels):
        loss, grads = jax.value_and_grad(loss_of)(p, prepare(images), labels, config)
        return *adamw(p, grads, state, lr, betas, decay), loss

    return jax.jit(step, donate_argnums=(0, 1))
