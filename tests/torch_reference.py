"""The same mathematics in PyTorch, from its own building blocks, differentiated by its autograd.

Parameters come as nests of tensors in minivit's layout. Nothing here shares code with minivit:
patches are a convolution, attention is `multi_head_attention_forward`.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F


def linear(p, x):
    return F.linear(x, p["w"].T, p["b"])


def layer_norm(p, x, eps=1e-6):
    return F.layer_norm(x, x.shape[-1:], p["w"], p["b"], eps)


def gelu(p, x):
    return F.gelu(x, approximate="tanh")


def gelu_exact(p, x):
    return F.gelu(x)


def layer_scale(p, x):
    return x * p["w"] if p else x


def pre_logits(p, x):
    return torch.tanh(linear(p, x)) if p else x


def softmax(p, x):
    return F.softmax(x, dim=-1)


ACTIVATIONS = {"gelu_tanh": gelu, "gelu_exact": gelu_exact}


def mlp(p, x, activation="gelu_tanh"):
    return linear(p["fc2"], ACTIVATIONS[activation]({}, linear(p["fc1"], x)))


def attention(p, x, heads, **masks):
    return attend(p, x, x, heads, p["qkv"]["w"].T, p["qkv"]["b"], **masks)


def causal_attention(p, x, heads, **masks):
    return attention(p, x, heads, attn_mask=later(x.shape[1]), **masks)


def cross_attention(p, x, memory, heads, **masks):
    w = torch.cat([p["q"]["w"], p["kv"]["w"]], dim=1).T
    return attend(p, x, memory, heads, w, torch.cat([p["q"]["b"], p["kv"]["b"]]), **masks)


def later(T):
    return torch.ones(T, T, dtype=torch.bool).triu(1)


def attend(p, x, memory, heads, w, b, attn_mask=None, key_padding_mask=None):
    queries, keys = x.transpose(0, 1), memory.transpose(0, 1)  # (T, B, D)
    y, _ = F.multi_head_attention_forward(
        queries,
        keys,
        keys,
        x.shape[-1],
        heads,
        w,
        b,
        attn_mask=attn_mask,
        key_padding_mask=key_padding_mask,
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=p["proj"]["w"].T,
        out_proj_bias=p["proj"]["b"],
        need_weights=False,
    )
    return y.transpose(0, 1)


def block(p, x, heads, eps=1e-6, activation="gelu_tanh", attention=attention):
    attn_out = attention(p["attn"], layer_norm(p["ln1"], x, eps), heads)
    x = x + layer_scale(p["ls1"], attn_out)
    return x + layer_scale(p["ls2"], mlp(p["mlp"], layer_norm(p["ln2"], x, eps), activation))


def post_norm_block(p, x, heads, eps=1e-6, activation="gelu_tanh", attention=attention):
    x = layer_norm(p["ln1"], x + attention(p["attn"], x, heads), eps)
    return layer_norm(p["ln2"], x + mlp(p["mlp"], x, activation), eps)


def rotary(x):
    """Pairs of features as complex numbers."""
    T, d = x.shape[-2:]
    rates = torch.exp(-math.log(10000) * torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = torch.outer(torch.arange(T, dtype=torch.float64), rates)
    pairs = torch.view_as_complex(x.unflatten(-1, (d // 2, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


def rotary_attention(p, x, heads, causal=True):
    """By PyTorch's own product of the three."""
    q, k, v = linear(p["qkv"], x).chunk(3, dim=-1)
    q, k, v = (each.unflatten(-1, (heads, -1)).transpose(1, 2) for each in (q, k, v))
    mix = F.scaled_dot_product_attention(rotary(q), rotary(k), v, is_causal=causal)
    return linear(p["proj"], mix.transpose(1, 2).flatten(2))


def causal_block(p, x, heads):
    x = x + causal_attention(p["attn"], layer_norm(p["ln1"], x), heads)
    return x + mlp(p["mlp"], layer_norm(p["ln2"], x))


def decoder_block(p, x, memory, heads):
    x = x + causal_attention(p["attn"], layer_norm(p["ln1"], x), heads)
    x = x + cross_attention(p["cross"], layer_norm(p["ln2"], x), memory, heads)
    return x + mlp(p["mlp"], layer_norm(p["ln3"], x))


def post_norm_decoder(p, x, memory, heads):
    x = layer_norm(p["ln1"], x + causal_attention(p["attn"], x, heads))
    x = layer_norm(p["ln2"], x + cross_attention(p["cross"], x, memory, heads))
    return layer_norm(p["ln3"], x + mlp(p["mlp"], x))


def embedding(p, x, tokens):
    return x + F.embedding(torch.tensor(tokens), p["w"]) * x.shape[-1] ** 0.5


def patches(p, images, patch_size):
    dim = p["w"].shape[1]
    kernel = p["w"].reshape(patch_size, patch_size, -1, dim).permute(3, 2, 0, 1)  # (D, C, P, P)
    grid = F.conv2d(images.permute(0, 3, 1, 2), kernel, p["b"], stride=patch_size)
    return grid.flatten(2).transpose(1, 2)  # (B, N, D)


def convolution(p, x, kernel=3):
    channels, dim = x.shape[-1], p["w"].shape[1]
    w = p["w"].reshape(kernel, kernel, channels, dim).permute(3, 2, 0, 1)  # (D, C, K, K)
    return F.conv2d(x.permute(0, 3, 1, 2), w, p["b"], padding="same").permute(0, 2, 3, 1)


def strided(p, x, kernel, stride):
    channels, dim = x.shape[-1], p["w"].shape[1]
    w = p["w"].reshape(kernel, kernel, channels, dim).permute(3, 2, 0, 1)  # (D, C, K, K)
    seen = F.conv2d(x.permute(0, 3, 1, 2), w, p["b"], stride=stride).permute(0, 2, 3, 1)
    return gelu({}, seen)


def stem(p, x, sizes):
    for conv_params, (kernel, stride, _) in zip(p["convs"], sizes, strict=True):
        x = strided(conv_params, x, kernel, stride)
    return x


def halve(x):
    return F.avg_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def stage(p, x):
    return gelu({}, layer_norm(p["ln"], convolution(p["conv"], x)))


def cnn(p, x):
    for number, stage_params in enumerate(p["stages"]):
        x = stage(stage_params, halve(x) if number else x)
    return linear(p["head"], x.mean(dim=(1, 2)))


def patch_boxes(x, rows, columns, patch_size):
    down, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = torch.stack([across, down], dim=-1).flatten(0, 1) + 0.5 + x[..., :2]
    half = x[..., 2:].exp() / 2
    return patch_size * torch.cat([places - half, places + half], dim=-1)


def generalized_box_iou(boxes, truth):
    """GIoU of pairs of boxes, from the paper's algorithm 1, by PyTorch's own max and min."""
    low, high = (
        torch.maximum(boxes[..., :2], truth[..., :2]),
        torch.minimum(boxes[..., 2:], truth[..., 2:]),
    )
    inter = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(dim=-1) for each in (boxes, truth)]
    union = areas[0] + areas[1] - inter
    around = torch.maximum(boxes[..., 2:], truth[..., 2:]) - torch.minimum(
        boxes[..., :2], truth[..., :2]
    )
    hull = around.prod(dim=-1)
    return inter / union - (hull - union) / hull


def detection(answer, targets, smoothing=0.0):
    """The loss of a detector, image by image and object by object."""
    losses = []
    for row, wanted in zip(answer, targets, strict=True):
        scores, boxes, classes = row[:, :-4], row[:, -4:], wanted[:, 0].long()
        loss = F.cross_entropy(scores, classes, label_smoothing=smoothing, reduction="sum")
        for patch in (classes < scores.shape[1] - 1).nonzero()[:, 0]:
            box, truth = boxes[patch], wanted[patch, 1:]
            sizes = (truth[2:] - truth[:2]).repeat(2)
            loss = loss + 2 * (1 - generalized_box_iou(box, truth))
            loss = loss + F.l1_loss(box / sizes, truth / sizes, reduction="sum")
        losses.append(loss)
    return torch.stack(losses).mean()


def class_token(p, x):
    return torch.cat([p["cls"].expand(len(x), 1, -1), x], dim=1)


def positions(p, x):
    return x + p["pos"]


def twice(x, placed):
    return torch.cat([x, placed], dim=1)


def sinusoids_1d(places, features):
    """Pairs (sin, cos) as the parts of a complex exponential."""
    place = torch.arange(places, dtype=torch.float64)
    exponents = torch.arange(0, features, 2, dtype=torch.float64) / features
    angles = torch.outer(place, torch.exp(-math.log(10000) * exponents))
    turned = torch.polar(torch.ones_like(angles), angles)
    return torch.stack([turned.imag, turned.real], dim=2).flatten(1)


def sinusoids_2d(rows, columns, features):
    of_row = sinusoids_1d(rows, features // 2)[:, None].expand(-1, columns, -1)
    of_column = sinusoids_1d(columns, features // 2)[None].expand(rows, -1, -1)
    return torch.cat([of_row, of_column], dim=2).flatten(0, 1)


def all_positions(p, config, dim):
    """What is added to all tokens; sinusoids have a row of zeros for the class token."""
    if config["positions"] in (None, "rotary"):
        return 0
    if config["positions"] == "learned":
        return p["pos"]
    rows, columns = (side // config["patch_size"] for side in config["image_size"])
    table = (
        sinusoids_1d(rows * columns, dim)
        if config["positions"] == "sincos1d"
        else sinusoids_2d(rows, columns, dim)
    )
    return torch.cat([torch.zeros(int(config["pool"] != "mean"), dim), table])


def vit(p, images, config):
    seen = stem(p["stem"], images, config["stem"]) if config["stem"] else images
    x = patches(p["patches"], seen, config["patch_size"])
    if config["pool"] != "mean":
        x = class_token(p, x)
    x = x + all_positions(p, config, x.shape[-1])
    one_block = block if config["norm"] == "pre" else post_norm_block
    if config["positions"] == "rotary":
        one_block = partial(one_block, attention=partial(rotary_attention, causal=False))
    for block_params in p["blocks"]:
        x = one_block(block_params, x, config["heads"], config["eps"], config["activation"])
    if p["ln"]:
        x = layer_norm(p["ln"], x, config["eps"])
    first, last = {"mean": (0, None), "cls": (0, 1), "patch_mean": (1, None)}[config["pool"]]
    pooled = x[:, first:last].mean(dim=1)
    if p["pooled_ln"]:
        pooled = layer_norm(p["pooled_ln"], pooled, config["eps"])
    features = pre_logits(p["pre_logits"], pooled)
    return linear(p["head"], features) if p["head"] else features


def through(p, x, heads, eps=1e-6):
    """Blocks and the last layer norm."""
    for block_params in p["blocks"]:
        x = block(block_params, x, heads, eps)
    return layer_norm(p["ln"], x, eps)


def permutation(p, images, config, places, asked):
    """The logits of the first `asked` tokens; a place from N on is shown with its position."""
    x = patches(p["patches"], images, config["patch_size"])
    count = x.shape[1]
    shown = torch.tensor(places >= count)[..., None]
    pos = (p["pos"] if "pos" in p else table_2d(config, x.shape[2]))[torch.tensor(places % count)]
    shuffled = torch.stack([x[b, torch.tensor(row % count)] for b, row in enumerate(places)])
    tokens = through(p, torch.where(shown, shuffled + pos, shuffled), config["heads"])
    return linear(p["head"], tokens[:, :asked])


def masked(p, images, config, places):
    """What is painted when only the patches at the places are seen."""
    x = patches(p["patches"], images, config["patch_size"])
    x = x + (p["pos"] if "pos" in p else table_2d(config, x.shape[2]))
    tokens = torch.stack([x[b, torch.tensor(row)] for b, row in enumerate(places)])
    narrow = linear(p["decoder"]["narrow"], through(p, tokens, config["heads"]))
    whole = []
    for b, row in enumerate(places.tolist()):
        given = dict(zip(row, narrow[b], strict=True))
        mask = p["decoder"]["fill"]["mask"]
        whole.append(torch.stack([given.get(n, mask) for n in range(x.shape[1])]))
    whole = torch.stack(whole) + table_2d(config, config["decoder_dim"])
    out = through(p["decoder"], whole, config["decoder_heads"])
    return linear(p["decoder"]["head"], out)


def table_2d(config, dim):
    rows, columns = (side // config["patch_size"] for side in config["image_size"])
    return sinusoids_2d(rows, columns, dim)


def reconstruction(painted, patches, missing):
    """The mean square error over the missing patches, a boolean (B, N)."""
    std = torch.sqrt(patches.var(dim=2, correction=0, keepdim=True) + 1e-2)
    mean = patches.mean(dim=2, keepdim=True)
    target = torch.cat([(patches - mean) / std, mean, std], dim=2)
    return F.mse_loss(painted[missing], target[missing])


def passes(params, images, labels, config, smoothing=0.0):
    """The twin of `numeric.passes`: (loss, logits, {"images": dimages, name: gradient, …})."""
    nest, images = tensors(params.nest), torch.tensor(images, requires_grad=True)
    logits = vit(nest, images, config)
    loss = F.cross_entropy(logits, torch.tensor(labels), label_smoothing=smoothing)
    loss.backward()
    found = {"images": images.grad.numpy(), **gradients(nest)}
    return loss.item(), logits.detach().numpy(), found


def tensors(nest):
    """The nest of arrays as leaf tensors that collect gradients."""
    if isinstance(nest, dict):
        return {key: tensors(value) for key, value in nest.items()}
    if isinstance(nest, list):
        return [tensors(value) for value in nest]
    return torch.tensor(nest, requires_grad=True)


def gradients(nest, prefix=""):
    """{dotted name: gradient} of a nest of tensors after backward()."""
    found = {}
    for key, value in nest.items() if isinstance(nest, dict) else enumerate(nest):
        if isinstance(value, (dict, list)):
            found |= gradients(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value.grad.numpy()
    return found
