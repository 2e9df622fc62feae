// The lines of the forward and of the backward as formulas over matrices. Every number in them
// comes from the trace; a formula only says which numbers make which, and the page's tests hold
// each of them to what the engine computed.

/**
 * Each line has
 *   id, group ("attention", "layer norm", "pixels", "answer"), phase
 *   formula, words: what it says in symbols and plainly
 *   result:         the matrix that it makes
 *   operands:       what stands at the right: matrices, and texts between them
 *   term(i, j):     the sum that makes result[i,j]
 *   code:           names of the arrays whose source lines do this
 */
function linesOf(block, head) {
  return [
    ...attentionForward(block, head),
    ...attentionBackward(block, head),
    ...normForward(block),
    ...normBackward(block),
    ...pixelLines(),
    ...answerLines(),
  ];
}

function normForward(block) {
  const m = normMatrices(block);
  const D = MODEL.dim;
  const share = constant("1/D", 1 / D);
  const line = (id, formula, words, result, operands, term, ...code) => ({
    group: "layer norm", phase: "forward", id: `ln.${id}`, formula, words, result, operands, term,
    code: code.map((name) => `blocks.${block}.ln1.${name}`),
  });
  return [
    line("mean", "mean = (1/D) Σ x", "The mean of each token's numbers.", m.mean, ["mean of", m.x],
      (i) => times(share, sum("c", D, (c) => cell(m.x, i, c))), "mean"),
    line("centered", "centered = x − mean", "Each token around zero.",
      m.centered, [m.x, "−", m.mean],
      (i, j) => minus(cell(m.x, i, j), cell(m.mean, i, 0)), "centered"),
    line("var", "var = (1/D) Σ centered²", "How far each token's numbers spread.",
      m.var, ["mean of", m.centered, "²"],
      (i) => times(share,
        sum("c", D, (c) => times(cell(m.centered, i, c), cell(m.centered, i, c)))),
      "var"),
    line("rstd", "rstd = 1 / √(var + ε)", "The factor that brings the spread to 1.",
      m.rstd, ["1 / √ of", m.var],
      (i) => over(constant("1", 1), called("√", Math.sqrt,
        plus(cell(m.var, i, 0), constant("ε", MODEL.eps)))), "rstd"),
    line("normed", "normed = centered · rstd", "Every token now has mean 0 and spread 1.",
      m.normed, [m.centered, "⊙", m.rstd],
      (i, j) => times(cell(m.centered, i, j), cell(m.rstd, i, 0)), "normed"),
    line("y", "y = normed · w + b", "Each feature is rescaled and shifted by what was learnt.",
      m.y, [m.normed, "⊙", m.w, "+", m.b],
      (i, j) => plus(times(cell(m.normed, i, j), cell(m.w, 0, j)), cell(m.b, 0, j)), "y"),
  ];
}

function normMatrices(block) {
  const at = (name) => `blocks.${block}.ln1.${name}`;
  const all = (name, of) => tokens(name, at(name), of && at(of));
  const row = (name, of) => columns(name, at(name), of && at(of));
  return {
    x: all("x"), mean: all("mean"), centered: all("centered"), var: all("var"), rstd: all("rstd"),
    normed: all("normed"), y: all("y"), w: row("w"), b: row("b"),
    dy: all("dy", "y"), dmean: all("dnormed_mean"), along: all("along_normed"),
    dx: all("dx", "x"), dw: row("dw", "w"), db: row("db", "b"),
  };
}

function normBackward(block) {
  const m = normMatrices(block);
  const [T, D] = [MODEL.tokens, MODEL.dim];
  const share = constant("1/D", 1 / D);
  const line = (id, formula, words, result, operands, term) => ({
    group: "layer norm", phase: "backward", id: `ln.${id}`, formula, words, result, operands, term,
    code: [`blocks.${block}.ln1.${id}`],
  });
  return [
    line("dw", "dw = Σ dy · normed", "The scale of each feature, summed over the tokens.",
      m.dw, ["Σ over tokens of", m.dy, "⊙", m.normed],
      (i, j) => sum("c", T, (c) => times(cell(m.dy, c, j), cell(m.normed, c, j)))),
    line("db", "db = Σ dy", "The shift of each feature, summed over the tokens.",
      m.db, ["Σ over tokens of", m.dy], (i, j) => sum("c", T, (c) => cell(m.dy, c, j))),
    line("dnormed_mean", "dnormed_mean = (1/D) Σ dy · w",
      "The part that moves all of a token alike.",
      m.dmean, ["mean of", m.dy, "⊙", m.w],
      (i) => times(share, sum("c", D, (c) => times(cell(m.dy, i, c), cell(m.w, 0, c))))),
    line("along_normed", "along_normed = (1/D) Σ dy · normed · w",
      "The part that only stretches the token.",
      m.along, ["mean of", m.dy, "⊙", m.normed, "⊙", m.w],
      (i) => times(share, sum("c", D,
        (c) => times(cell(m.dy, i, c), cell(m.normed, i, c), cell(m.w, 0, c))))),
    line("dx", "dx = rstd · (dy · w − dnormed_mean − normed · along_normed)",
      "Without those two parts: they change nothing, as the layer takes them away.",
      m.dx, [m.rstd, "⊙ (", m.dy, "⊙", m.w, "−", m.dmean, "−", m.normed, "⊙", m.along, ")"],
      (i, j) => times(cell(m.rstd, i, 0), inside(minus(times(cell(m.dy, i, j), cell(m.w, 0, j)),
        cell(m.dmean, i, 0), times(cell(m.normed, i, j), cell(m.along, i, 0)))))),
  ];
}

/** From pixels to tokens and back. */
function pixelLines() {
  const [N, D, size] = [MODEL.patches, MODEL.dim, PATCH * PATCH];
  const rows = (symbol, name, of) => tokens(symbol, name, of, "patch");
  const m = {
    pixels: rows("patches", "patches.patches"), y: rows("y", "patches.y"),
    w: columns("w", "patches.w"), b: columns("b", "patches.b"),
    dy: rows("dy", "patches.dy", "patches.y"),
    dpixels: rows("dpatches", "patches.dpatches", "patches.patches"),
    dw: columns("dw", "patches.linear.dw", "patches.w"),
  };
  const common = { group: "pixels" };
  return [
    { ...common, id: "tokens", phase: "forward", formula: "y = patches w + b",
      words: "Each patch, a row of its pixels, becomes a token.",
      result: m.y, operands: [m.pixels, "·", m.w, "+", m.b],
      term: (i, j) =>
        plus(sum("c", size, (c) => times(cell(m.pixels, i, c), cell(m.w, c, j))), cell(m.b, 0, j)),
      code: ["patches.linear.out", "patches.y"] },
    { ...common, id: "patches.dw", phase: "backward", formula: "dw = patchesᵀ dy",
      words: "The patches' weights, summed over the patches.",
      result: m.dw, operands: [m.pixels, "ᵀ ·", m.dy],
      term: (i, j) => sum("c", N, (c) => times(cell(m.pixels, c, i), cell(m.dy, c, j))),
      code: ["patches.linear.dw"] },
    { ...common, id: "dpatches", phase: "backward", formula: "dpatches = dy wᵀ",
      words: "At last the pixels: where would more ink raise (orange) or lower (blue) the loss?",
      result: m.dpixels, operands: [m.dy, "·", m.w, "ᵀ"],
      term: (i, j) => sum("c", D, (c) => times(cell(m.dy, i, c), cell(m.w, j, c))),
      code: ["patches.linear.drows", "patches.dpatches"] },
  ];
}

/** From the logits to the loss, where the backward begins. */
function answerLines() {
  const K = MODEL.classes;
  const row = (symbol, name, of) => matrix(symbol, name, 1, K, (i, j) => [0, j], of);
  const logits = row("logits", "logits");
  const p = row("p", "loss.dlogits@0");
  const dlogits = row("dlogits", "dlogits", "logits");
  const highest = Math.max(...Array.from({ length: K }, (_, j) => logits.at(0, j)));
  const weight = (j) =>
    called("exp", Math.exp, minus(cell(logits, 0, j), constant("max", highest)));
  return [
    { group: "answer", id: "p", phase: "forward", formula: "p = softmax(logits)",
      words: "How sure the model is of each class.",
      result: p, operands: ["softmax of", logits],
      term: (i, j) => over(weight(j), sum("j", K, (other) => weight(other))),
      code: ["loss.dlogits@0"] },
    { group: "answer", id: "dlogits", phase: "backward", formula: "dlogits = p − target",
      words: "Where the backward begins: what the model said, less what is true.",
      result: dlogits, operands: [p, "− target"],
      term: (i, j) => minus(cell(p, 0, j), constant("target", j === DATA.label ? 1 : 0)),
      code: ["loss.dlogits"] },
  ];
}
