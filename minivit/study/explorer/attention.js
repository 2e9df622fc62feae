// Attention: to each other, to those before, to another sequence. As in layers.js.

/** One head's columns after the other: those of q, k or v, `part` times D into a matrix. */
function byHeads(symbol, a, h, d, part = 0) {
  return moved(symbol, [a], [h, a.shape[1], d], (s, i, j) => [a, 0, i, (part * h + s) * d + j]);
}

/** The heads of all parts, side by side in each row. */
function sideBySide(symbol, parts) {
  const [h, T, d] = parts[0].shape, D = h * d;
  return moved(symbol, parts, [1, T, parts.length * D],
    (_, i, j) => [parts[Math.floor(j / D)], Math.floor((j % D) / d), i, j % d]);
}

/**
 * Heads: scores = q kᵀ / √d, att = softmax(scores), mix = att v, and the way out; with `causal`,
 * the scores of later keys are hidden first. back(dy) returns [dq, dk, dv].
 */
function attend(net, path, [q, k, v], symbol, causal = false) {
  const line = linesAt(net, path, "attention"), [h, , d] = q.shape;
  const scale = number("1/√d", d ** -0.5);
  const scores0 = line("scores@0", product(q, k, "b"), { symbol: "scores₀" });
  const scaled = times(scores0, scale), all = { symbol: "scores₁" };
  const scores1 = causal ? line("scores@1", scaled, all) : null;
  const scores = line("scores", causal ? hideLater(scores1) : scaled);
  const [att, softmaxBack] = softmax(net, `${path}.softmax`, scores, "att");
  const mix = line("mix", product(att, v, "", "s"));
  const merged = line("merged", sideBySide("mix, heads side by side", [mix]));
  const [y, projBack] = linear(net, `${path}.proj`, merged, symbol);
  const back = (dy) => {
    const dmerged = projBack(dy);
    const dmix = line("dmix", byHeads("dmerged, by heads", dmerged, h, d), { of: mix });
    const datt = line("datt", product(dmix, v, "b"), { of: att });
    const dscores = softmaxBack(datt);
    if (causal) net.gradientOf.set(scores1, dscores); // 0 where it was hidden
    const dscores0 = line("dscores", times(dscores, scale), { of: scores0 });
    const dq = line("dq", product(dscores0, k, "", "s"), { of: q });
    const dk = line("dk", product(dscores0, q, "a"), { of: k });
    return [dq, dk, line("dv", product(att, dmix, "a"), { of: v })];
  };
  return [y, back];
}

/** Attention of tokens to each other; with `causal`, of each to those up to itself. */
function attention(net, path, input, dSymbol, causal = false) {
  const line = linesAt(net, path, "attention"), { dim: D, heads: h } = net.config;
  const x = line("x", copied(input), { symbol: input.symbol, dSymbol });
  const [qkv, qkvBack] = linear(net, `${path}.qkv`, x, "qkv");
  const parts = ["q", "k", "v"].map((name, part) =>
    line(name, byHeads(`${name}'s columns of qkv`, qkv, h, D / h, part)));
  const [y, back] = attend(net, path, parts, "attn_out", causal);
  return [y, (dy) =>
    qkvBack(line("dqkv", sideBySide("dq, dk and dv side by side", back(dy)), { of: qkv }))];
}

/** Letters ask (q) the memory, which has keys and values; back(dy) returns [dx, dmemory]. */
function crossAttention(net, path, input, dSymbol, memory) {
  const line = linesAt(net, path, "attention"), { dim: D, heads: h } = net.config;
  const x = line("x", copied(input), { symbol: input.symbol, dSymbol });
  const ofBlock = `dmemory${subscript(path.match(/\d+/)[0])}`; // its share in the gradient
  const seen = line("memory", copied(memory), { symbol: "memory", dSymbol: ofBlock });
  const [asked, qBack] = linear(net, `${path}.q`, x, "asked");
  const [kv, kvBack] = linear(net, `${path}.kv`, seen, "kv");
  const q = line("q", byHeads("asked, by heads", asked, h, D / h));
  const [k, v] = ["k", "v"].map((name, part) =>
    line(name, byHeads(`${name}'s columns of kv`, kv, h, D / h, part)));
  const [y, attendBack] = attend(net, path, [q, k, v], "cross_out");
  const back = (dy) => {
    const [dq, dk, dv] = attendBack(dy);
    const dx = qBack(line("dasked", sideBySide("dq, heads side by side", [dq]), { of: asked }));
    const dkv = line("dkv", sideBySide("dk and dv side by side", [dk, dv]), { of: kv });
    return [dx, kvBack(dkv)];
  };
  return [y, back];
}
