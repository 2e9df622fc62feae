// The lines of the forward and of the backward as formulas of matrices. Every number comes from the
// trace; a formula only says which numbers make which.

/**
 * Each line has
 *   id, group ("attention", "layer norm", "pixels", "output"), phase
 *   formula, words: what it computes, in symbols and in plain words
 *   result:         the matrix that it computes
 *   operands:       what stands on the right: matrices, and texts between them
 *   term(i, j):     the formula of result[i,j]
 *   code:           names of the arrays whose source lines do this
 */
function linesOf(block, head) {
  return [
    ...attentionForward(block, head),
    ...attentionBackward(block, head),
    ...normForward(block),
    ...normBackward(block),
    ...pixelLines(),
    ...outputLines(),
  ];
}

/** Makes the lines of a group and a phase; `path` comes before the names of their code. */
function lineOf(group, phase, path = "") {
  return (id, formula, words, result, operands, term, ...names) => ({
    group, phase, id, formula, words, result, operands, term,
    code: names.map((name) => path + name),
  });
}

function normMatrices(block) {
  const at = (name) => `blocks.${block}.ln1.${name}`;
  const all = (name, of) => tokens(name, at(name), of && at(of));
  const row = (name, of) => columns(name, at(name), of && at(of));
  return {
    x: all("x"), shifted: all("shifted"), mean: all("mean"), centered: all("centered"),
    var: all("var"), rstd: all("rstd"), normed: all("normed"), y: all("y"), w: row("w"), b: row("b"),
    dy: all("dy", "y"), dnormed: all("dnormed", "normed"), dmean: all("dnormed_mean"),
    along: all("along_normed"), dx: all("dx", "x"), dw: row("dw", "w"), db: row("db", "b"),
  };
}

/** The terms of a mean over the D numbers of a token. */
function meanOf(term) {
  const share = constant("1/D", 1 / MODEL.dim);
  return (i) => times(share, sum("c", MODEL.dim, (c) => term(i, c)));
}

function normForward(block) {
  const m = normMatrices(block);
  const line = lineOf("layer norm", "forward", `blocks.${block}.ln1.`);
  return [
    line("ln.shifted", "shifted = x − x[·,0]",
      "Each token counted from its first number: a shift cancels in the next two lines.",
      m.shifted, [m.x, "−", m.x],
      (i, j) => minus(cell(m.x, i, j), cell(m.x, i, 0)), "shifted"),
    line("ln.mean", "mean = mean(shifted)", "The mean of each token's numbers.",
      m.mean, ["mean of", m.shifted], meanOf((i, c) => cell(m.shifted, i, c)), "mean"),
    line("ln.centered", "centered = shifted − mean", "Each token around zero.",
      m.centered, [m.shifted, "−", m.mean],
      (i, j) => minus(cell(m.shifted, i, j), cell(m.mean, i, 0)), "centered"),
    line("ln.var", "var = mean(centered · centered)", "The variance of each token's numbers.",
      m.var, ["mean of", m.centered, "²"],
      meanOf((i, c) => times(cell(m.centered, i, c), cell(m.centered, i, c))), "var"),
    line("ln.rstd", "rstd = 1 / √(var + ε)",
      "The factor that makes the standard deviation 1.",
      m.rstd, ["1 / √ of", m.var],
      (i) => over(constant("1", 1), called("√", Math.sqrt,
        plus(cell(m.var, i, 0), constant("ε", MODEL.eps)))), "rstd"),
    line("ln.normed", "normed = centered · rstd",
      "Every token now has mean 0 and standard deviation 1.",
      m.normed, [m.centered, "·", m.rstd],
      (i, j) => times(cell(m.centered, i, j), cell(m.rstd, i, 0)), "normed"),
    line("ln.y", "y = normed · w + b", "Each feature is rescaled and shifted by learned numbers.",
      m.y, [m.normed, "·", m.w, "+", m.b],
      (i, j) => plus(times(cell(m.normed, i, j), cell(m.w, 0, j)), cell(m.b, 0, j)), "y"),
  ];
}

function normBackward(block) {
  const m = normMatrices(block);
  const line = lineOf("layer norm", "backward", `blocks.${block}.ln1.`);
  const T = MODEL.tokens;
  return [
    line("ln.dw", "dw = Σₜ(dy · normed)", "The scale of each feature, summed over the tokens.",
      m.dw, ["Σₜ of", m.dy, "·", m.normed],
      (_, j) => sum("t", T, (t) => times(cell(m.dy, t, j), cell(m.normed, t, j))), "dw"),
    line("ln.db", "db = Σₜ(dy)", "The shift of each feature, summed over the tokens.",
      m.db, ["Σₜ of", m.dy], (_, j) => sum("t", T, (t) => cell(m.dy, t, j)), "db"),
    line("ln.dnormed", "dnormed = dy · w", "Back through the scale of each feature.",
      m.dnormed, [m.dy, "·", m.w], (i, j) => times(cell(m.dy, i, j), cell(m.w, 0, j)), "dnormed"),
    line("ln.dnormed_mean", "dnormed_mean = mean(dnormed)",
      "The part that shifts all of a token's numbers alike.",
      m.dmean, ["mean of", m.dnormed], meanOf((i, c) => cell(m.dnormed, i, c)), "dnormed_mean"),
    line("ln.along_normed", "along_normed = mean(dnormed · normed)",
      "The part that only stretches a token.",
      m.along, ["mean of", m.dnormed, "·", m.normed],
      meanOf((i, c) => times(cell(m.dnormed, i, c), cell(m.normed, i, c))), "along_normed"),
    line("ln.dx", "dx = rstd · (dnormed − dnormed_mean − normed · along_normed)",
      "Both parts are taken out: layer norm undoes a shift or a stretch of x.",
      m.dx, [m.rstd, "· (", m.dnormed, "−", m.dmean, "−", m.normed, "·", m.along, ")"],
      (i, j) => times(cell(m.rstd, i, 0), inside(minus(cell(m.dnormed, i, j), cell(m.dmean, i, 0),
        times(cell(m.normed, i, j), cell(m.along, i, 0))))), "dx"),
  ];
}

function pixelLines() {
  const rows = (symbol, name, of) => tokens(symbol, name, of, "patch");
  const m = {
    patches: rows("patches", "patches.patches"), y: rows("y", "patches.y"),
    w: columns("w", "patches.w"), b: columns("b", "patches.b"),
    dy: rows("dy", "patches.dy", "patches.y"),
    dpatches: rows("dpatches", "patches.dpatches", "patches.patches"),
    dw: columns("dw", "patches.linear.dw", "patches.w"),
  };
  const xw = product("c", m.patches, m.w);
  const backward = lineOf("pixels", "backward", "patches.");
  return [
    lineOf("pixels", "forward", "patches.")("tokens", "y = patches w + b",
      "Each patch, a row of its pixels, becomes a token.",
      m.y, [m.patches, m.w, "+", m.b], (i, j) => plus(xw(i, j), cell(m.b, 0, j)),
      "linear.out", "y"),
    backward("patches.dw", "dw = patchesᵀ dy", "The weights of the patches, summed over them.",
      m.dw, [m.patches, "ᵀ", m.dy], product("t", m.patches, m.dy, "a"), "linear.dw"),
    backward("dpatches", "dpatches = dy wᵀ",
      "The pixels: where would more ink raise the loss (orange) or lower it (blue)?",
      m.dpatches, [m.dy, m.w, "ᵀ"], product("c", m.dy, m.w, "b"), "linear.drows", "dpatches"),
  ];
}

/** From the logits to the loss, where the backward begins. */
function outputLines() {
  const row = (symbol, name, of) =>
    matrix(symbol, name, 1, MODEL.classes, (i, j) => [0, j], of);
  const [logits, p] = [row("logits", "logits"), row("p", "loss.dlogits@0")];
  const dlogits = row("dlogits", "dlogits", "logits");
  const target = (j) => constant("target", j === DATA.label ? 1 : 0);
  return [
    lineOf("output", "forward")("p", "p = softmax(logits)", "The probability of each class.",
      p, ["softmax of", logits], softmax("k", logits), "loss.dlogits@0"),
    lineOf("output", "backward")("dlogits", "dlogits = p − target",
      "The backward begins here: the probabilities, minus 1 for the class of the label.",
      dlogits, [p, "− target"], (i, j) => minus(cell(p, 0, j), target(j)), "loss.dlogits"),
  ];
}
