// The lines of attention, forward and backward, as formulas over matrices; see lines.js.

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
    pw: columns("w", at("proj.w")), pb: columns("b", at("proj.b")),
    w: columns("w", at("qkv.w")),
    dy: all("dy", "dy", "y"), dmerged: all("dmerged", "dmerged", "merged"),
    dpw: columns("dw", at("proj.dw"), at("proj.w")),
    dmix: of("dmix", "dmix", "mix"), datt: pairs("datt", "datt", "att"),
    dscores: pairs("dscores", "dscores@0", "scores"),
    dscores0: pairs("dscores₀", "dscores", "scores@0"),
    dqkv: all("dqkv", "dqkv", "qkv"), dx: all("dx", "dx", "x"),
    dw: columns("dw", at("qkv.dw"), at("qkv.w")),
  };
  ["q", "k", "v"].forEach((name, place) => {
    m[name] = of(name, name);
    m[`d${name}`] = of(`d${name}`, `d${name}`, name);
    m[`w${name}`] = part(`w_${name}`, "qkv.w", place);
    m[`b${name}`] = part(`b_${name}`, "qkv.b", place);
  });
  return m;
}

function attentionForward(block, head) {
  const m = attentionMatrices(block, head);
  const at = (name) => `blocks.${block}.attn.${name}`;
  const [T, D, d] = [MODEL.tokens, MODEL.dim, MODEL.dim / MODEL.heads];
  const scale = constant("1/√d", d ** -0.5);
  const common = { group: "attention", phase: "forward" };
  const says = {
    q: "Each token asks: what am I looking for?",
    k: "Each token offers a key: what do I have?",
    v: "Each token offers a value: what I would hand over.",
  };
  const projections = ["q", "k", "v"].map((name) => ({
    ...common, id: name, formula: `${name} = x w_${name} + b_${name}`, words: says[name],
    result: m[name], operands: [m.x, "·", m[`w${name}`], "+", m[`b${name}`]],
    term: (i, j) =>
      plus(sum("c", D, (c) => times(cell(m.x, i, c), cell(m[`w${name}`], c, j))),
        cell(m[`b${name}`], 0, j)),
    code: [at("qkv.out"), at(name)],
  }));
  const heaviest = (i) => Math.max(...Array.from({ length: T }, (_, j) => m.scores.at(i, j)));
  const weight = (i, j) =>
    called("exp", Math.exp, minus(cell(m.scores, i, j), constant("max", heaviest(i))));
  const softmax = (i, j) => over(weight(i, j), sum("j", T, (other) => weight(i, other)));
  return [
    ...projections,
    { ...common, id: "scores0", formula: "scores₀ = q kᵀ",
      words: "How well each query (row) fits each key (column).",
      result: m.scores0, operands: [m.q, "·", m.k, "ᵀ"],
      term: (i, j) => sum("c", d, (c) => times(cell(m.q, i, c), cell(m.k, j, c))),
      code: [at("scores@0")] },
    { ...common, id: "scores", formula: "scores = scores₀ / √d",
      words: "Scaled, so that the fit does not grow with the width d of a head.",
      result: m.scores, operands: [m.scores0, "· 1/√d"],
      term: (i, j) => times(cell(m.scores0, i, j), scale), code: [at("scores")] },
    { ...common, id: "att", formula: "att = softmax(scores)",
      words: "Each row becomes shares that add up to 1: how much a token looks at each other one.",
      result: m.att, operands: ["softmax of", m.scores], term: softmax,
      code: [at("softmax.y"), at("att")] },
    { ...common, id: "mix", formula: "mix = att v",
      words: "Each token takes the values of the tokens it looks at, by their shares.",
      result: m.mix, operands: [m.att, "·", m.v],
      term: (i, j) => sum("c", T, (c) => times(cell(m.att, i, c), cell(m.v, c, j))),
      code: [at("mix")] },
    { ...common, id: "y", formula: "y = merged w + b",
      words: "The mixes of all heads, side by side, go back into the token.",
      result: m.y, operands: [m.merged, "·", m.pw, "+", m.pb],
      term: (i, j) =>
        plus(sum("c", D, (c) => times(cell(m.merged, i, c), cell(m.pw, c, j))), cell(m.pb, 0, j)),
      code: [at("proj.out"), at("y")] },
  ];
}

function attentionBackward(block, head) {
  const m = attentionMatrices(block, head);
  const at = (name) => `blocks.${block}.attn.${name}`;
  const [T, D, d] = [MODEL.tokens, MODEL.dim, MODEL.dim / MODEL.heads];
  const scale = constant("1/√d", d ** -0.5);
  const line = (id, formula, words, result, operands, term, ...code) =>
    ({ group: "attention", phase: "backward", id, formula, words, result, operands, term, code });
  return [
    line("dmerged", "dmerged = dy wᵀ", "What the loss wants of the mixes, through the way out.",
      m.dmerged, [m.dy, "·", m.pw, "ᵀ"],
      (i, j) => sum("c", D, (c) => times(cell(m.dy, i, c), cell(m.pw, j, c))), at("dmerged")),
    line("proj.dw", "dw = mergedᵀ dy", "The way out's own weights, summed over the tokens.",
      m.dpw, [m.merged, "ᵀ ·", m.dy],
      (i, j) => sum("c", T, (c) => times(cell(m.merged, c, i), cell(m.dy, c, j))), at("proj.dw")),
    line("datt", "datt = dmix vᵀ", "Would it help to look more (blue) or less (orange) at a token?",
      m.datt, [m.dmix, "·", m.v, "ᵀ"],
      (i, j) => sum("c", d, (c) => times(cell(m.dmix, i, c), cell(m.v, j, c))), at("datt")),
    line("dv", "dv = attᵀ dmix", "Each value hears from all the tokens that looked at it.",
      m.dv, [m.att, "ᵀ ·", m.dmix],
      (i, j) => sum("c", T, (c) => times(cell(m.att, c, i), cell(m.dmix, c, j))), at("dv")),
    line("dscores", "dscores = att · (datt − average)",
      "Through softmax: only what is better or worse than the row's average moves a score.",
      m.dscores, [m.att, "⊙ (", m.datt, "− row's Σ datt · att )"],
      (i, j) => times(cell(m.att, i, j), inside(minus(cell(m.datt, i, j),
        sum("j", T, (c) => times(cell(m.datt, i, c), cell(m.att, i, c)))))),
      at("softmax.dx"), at("dscores@0")),
    line("dscores0", "dscores₀ = dscores / √d",
      "What was scaled on the way there is scaled on the way back.",
      m.dscores0, [m.dscores, "· 1/√d"],
      (i, j) => times(cell(m.dscores, i, j), scale), at("dscores")),
    line("dq", "dq = dscores₀ k", "A query hears from all the keys that it looked at.",
      m.dq, [m.dscores0, "·", m.k],
      (i, j) => sum("c", T, (c) => times(cell(m.dscores0, i, c), cell(m.k, c, j))), at("dq")),
    line("dk", "dk = dscores₀ᵀ q", "A key hears from all the queries that looked at it.",
      m.dk, [m.dscores0, "ᵀ ·", m.q],
      (i, j) => sum("c", T, (c) => times(cell(m.dscores0, c, i), cell(m.q, c, j))), at("dk")),
    line("dw", "dw = xᵀ dqkv", "The weights of q, k and v of all heads, summed over the tokens.",
      m.dw, [m.x, "ᵀ ·", m.dqkv],
      (i, j) => sum("c", T, (c) => times(cell(m.x, c, i), cell(m.dqkv, c, j))), at("qkv.dw")),
    line("dx", "dx = dqkv wᵀ",
      "What every query, key and value wants of the token they were made of.",
      m.dx, [m.dqkv, "·", m.w, "ᵀ"],
      (i, j) => sum("c", 3 * D, (c) => times(cell(m.dqkv, i, c), cell(m.w, j, c))), at("dx")),
  ];
}
