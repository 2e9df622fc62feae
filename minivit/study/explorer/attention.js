// The lines of attention, forward and backward, as formulas of matrices; see lines.js.

/** All matrices of one head's attention, under the names of the source. */
function attentionMatrices(block, head) {
  const at = (name) => `blocks.${block}.attn.${name}`;
  const width = MODEL.dim / MODEL.heads;
  const of = (symbol, name, source) => ofHead(symbol, at(name), head, source && at(source));
  const pairs = (symbol, name, source) =>
    ofHead(symbol, at(name), head, source && at(source), "token");
  const all = (symbol, name, source) => tokens(symbol, at(name), source && at(source));
  const part = (symbol, name, place, source) =>
    columns(symbol, at(name), source && at(source), place * MODEL.dim + head * width, width);
  const m = {
    x: all("x", "x"), merged: all("merged", "merged"), y: all("y", "y"),
    scores0: pairs("scores₀", "scores@0"), scores: pairs("scores", "scores"),
    att: pairs("att", "att"), mix: of("mix", "mix"),
    wo: columns("wo", at("proj.w")), bo: columns("bo", at("proj.b")),
    w: columns("w", at("qkv.w")),
    dy: all("dy", "dy", "y"), dmerged: all("dmerged", "dmerged", "merged"),
    dwo: columns("dwo", at("proj.dw"), at("proj.w")),
    dmix: of("dmix", "dmix", "mix"), datt: pairs("datt", "datt", "att"),
    dscores: pairs("dscores", "dscores@0", "scores"),
    dscores0: pairs("dscores₀", "dscores", "scores@0"),
    dqkv: all("dqkv", "dqkv", "qkv"), dx: all("dx", "dx", "x"),
    dw: columns("dw", at("qkv.dw"), at("qkv.w")),
  };
  ["q", "k", "v"].forEach((name, place) => {
    m[name] = of(name, name);
    m[`d${name}`] = of(`d${name}`, `d${name}`, name);
    m[`w${name}`] = part(`w${name}`, "qkv.w", place);
    m[`b${name}`] = part(`b${name}`, "qkv.b", place);
  });
  return m;
}

function attentionForward(block, head) {
  const m = attentionMatrices(block, head);
  const line = lineOf("attention", "forward", `blocks.${block}.attn.`);
  const linear = (x, w, b) => {
    const xw = product("c", x, w);
    return (i, j) => plus(xw(i, j), cell(b, 0, j));
  };
  const words = {
    q: "Each token makes a query: what it looks for.",
    k: "Each token makes a key: what it can be found by.",
    v: "Each token makes a value: what it passes on to tokens that attend to it.",
  };
  const projections = ["q", "k", "v"].map((name) => {
    const [w, b] = [m[`w${name}`], m[`b${name}`]];
    return line(name, `${name} = x w${name} + b${name}`, words[name], m[name],
      [m.x, w, "+", b], linear(m.x, w, b), "qkv.out", name);
  });
  return [
    ...projections,
    line("scores0", "scores₀ = q kᵀ", "How well each query (row) matches each key (column).",
      m.scores0, [m.q, m.k, "ᵀ"], product("c", m.q, m.k, "b"), "scores@0"),
    line("scores", "scores = scores₀ / √d",
      "Scaled, so that scores do not grow with the width d of a head.",
      m.scores, [m.scores0, "/ √d"], scaled(m.scores0), "scores"),
    line("att", "att = softmax(scores)",
      "Each row becomes weights that sum to 1: how much its token attends to each token.",
      m.att, ["softmax of", m.scores], softmax("s", m.scores), "softmax.y", "att"),
    line("mix", "mix = att v", "Each token takes the average of all values, with these weights.",
      m.mix, [m.att, m.v], product("s", m.att, m.v), "mix"),
    line("y", "y = merged wo + bo",
      "The mixes of all heads, side by side, are projected back to the width of a token.",
      m.y, [m.merged, m.wo, "+", m.bo], linear(m.merged, m.wo, m.bo), "proj.out", "y"),
  ];
}

function attentionBackward(block, head) {
  const m = attentionMatrices(block, head);
  const line = lineOf("attention", "backward", `blocks.${block}.attn.`);
  const along = (i) => sum("s", m.att.cols, (s) => times(cell(m.att, i, s), cell(m.datt, i, s)));
  return [
    line("dmerged", "dmerged = dy woᵀ", "The gradient of the mixes, back through the projection.",
      m.dmerged, [m.dy, m.wo, "ᵀ"], product("c", m.dy, m.wo, "b"), "dmerged"),
    line("proj.dw", "dwo = mergedᵀ dy", "The weights of the projection, summed over the tokens.",
      m.dwo, [m.merged, "ᵀ", m.dy], product("t", m.merged, m.dy, "a"), "proj.dw"),
    line("datt", "datt = dmix vᵀ",
      "Would more attention to a token raise the loss (orange) or lower it (blue)?",
      m.datt, [m.dmix, m.v, "ᵀ"], product("c", m.dmix, m.v, "b"), "datt"),
    line("dv", "dv = attᵀ dmix", "Each value collects from all the tokens that attended to it.",
      m.dv, [m.att, "ᵀ", m.dmix], product("t", m.att, m.dmix, "a"), "dv"),
    line("dscores", "dscores = att · (datt − Σ(att · datt))",
      "Back through the softmax: only what differs from the row's average moves a score.",
      m.dscores, [m.att, "· (", m.datt, "− Σ(att · datt) )"],
      (i, j) => times(cell(m.att, i, j), inside(minus(cell(m.datt, i, j), along(i)))),
      "softmax.dx", "dscores@0"),
    line("dscores0", "dscores₀ = dscores / √d",
      "The forward scaled the scores, so the backward scales their gradient.",
      m.dscores0, [m.dscores, "/ √d"], scaled(m.dscores), "dscores"),
    line("dq", "dq = dscores₀ k", "A query collects from all the keys that it met.",
      m.dq, [m.dscores0, m.k], product("s", m.dscores0, m.k), "dq"),
    line("dk", "dk = dscores₀ᵀ q", "A key collects from all the queries that it met.",
      m.dk, [m.dscores0, "ᵀ", m.q], product("t", m.dscores0, m.q, "a"), "dk"),
    line("dw", "dw = xᵀ dqkv", "The weights of q, k and v of all heads, summed over the tokens.",
      m.dw, [m.x, "ᵀ", m.dqkv], product("t", m.x, m.dqkv, "a"), "qkv.dw"),
    line("dx", "dx = dqkv wᵀ",
      "A token collects from its query, key and value, in all heads.",
      m.dx, [m.dqkv, m.w, "ᵀ"], product("c", m.dqkv, m.w, "b"), "dx"),
  ];
}

/** The terms of a matrix divided by √d. */
function scaled(matrix) {
  const scale = constant("1/√d", (MODEL.dim / MODEL.heads) ** -0.5);
  return (i, j) => times(cell(matrix, i, j), scale);
}
