// The layers. Each function writes the lines of a forward pass and returns [y, back]; back(dy)
// writes those of the backward and returns dx. The lines are computed later, in this order.
// line(name, formula, more) makes the array of one line of the source; more may say
//   symbol   in formulas, if not the name          dSymbol  that of its gradient
//   of       for a gradient, the array that it is the gradient of
//   code     the name in a trace whose source computes it, if not the same
//   part     of the network, if not the layer

const one = number("1", 1), two = number("2", 2), three = number("3", 3), half = number("½", 0.5);

/** x w + b, for each token. */
function linear(net, path, x, symbol, owner = path) {
  const line = linesAt(net, path, "linear"), [w, b] = parametersOf(net, owner);
  const y = line("y", plus(product(x, w), b), { symbol, code: "out" });
  const back = (dy) => {
    line("dw", product(x, dy, "a"), { of: w });
    line("db", sumRows(dy), { of: b });
    return line("dx", product(dy, w, "b"), { of: x, code: "drows" });
  };
  return [y, back];
}

/** normed = (x − mean) / √(var + eps), then y = normed · w + b. */
function layerNorm(net, path, input, symbol, dSymbol) {
  const line = linesAt(net, path, "layerNorm"), [w, b] = parametersOf(net, path);
  const x = line("x", copied(input), { symbol: input.symbol, dSymbol });
  const first = moved(`${x.symbol}[:,0]`, [x], [1, x.shape[1], 1], (s, i) => [x, s, i, 0]);
  const shifted = line("shifted", minus(x, first));
  const average = line("mean", mean(shifted));
  const centered = line("centered", minus(shifted, average));
  const variance = line("var", mean(times(centered, centered)));
  const deviation = called("√", Math.sqrt, plus(variance, number("eps", net.config.eps)));
  const rstd = line("rstd", over(one, deviation));
  const normed = line("normed", times(centered, rstd));
  const y = line("y", plus(times(normed, w), b), { symbol });
  const back = (dy) => {
    const dy_normed = line("dy_normed", times(dy, normed));
    line("dw", sumRows(dy_normed), { of: w });
    line("db", sumRows(dy), { of: b });
    const dnormed = line("dnormed", times(dy, w), { of: normed });
    const dnormed_mean = line("dnormed_mean", mean(dnormed));
    const along_normed = line("along_normed", mean(times(dnormed, normed)));
    const rest = minus(dnormed, dnormed_mean, times(normed, along_normed));
    return line("dx", times(rstd, rest), { of: x });
  };
  return [y, back];
}

/** exp(x) / Σ exp(x): the numbers of a row become shares of 1. */
function softmax(net, path, x, symbol) {
  const line = linesAt(net, path, "softmax");
  const shifted = line("shifted@0", minus(x, largest(x)), { symbol: "shifted" });
  const numer = line("numer@0", called("exp", Math.exp, shifted), { symbol: "numer" });
  const total = line("total", sumColumns(numer, "s"));
  const y = line("y", over(numer, total), { symbol });
  const back = (dy) => {
    const average = line("average", sumColumns(times(dy, y), "s"));
    return line("dx", times(y, minus(dy, average)), { of: x });
  };
  return [y, back];
}

/** A smooth gate: y = x · gate(x), in its tanh form or with the normal distribution Φ. */
function gelu(net, path, x, symbol, activation) {
  const line = linesAt(net, path, "gelu"), exact = activation === "gelu_exact";
  const [rate, cubic] = [number("√(2/π)", Math.sqrt(2 / Math.PI)), number("0.044715", 0.044715)];
  const opening = () => {
    const inner = line("inner", times(rate, plus(x, times(cubic, x, x, x))));
    return times(half, plus(one, called("tanh", Math.tanh, inner)));
  };
  const gate = line("gate", exact ? called("Φ", normalShare, x) : opening());
  const y = line("y", times(x, gate), { symbol });
  const density = () => times(number("1/√(2π)", (2 * Math.PI) ** -0.5),
    called("exp", Math.exp, times(number("−½", -0.5), x, x)));
  const rising = () => times(line("bend", times(two, x, gate, minus(one, gate), rate)),
    plus(one, times(three, cubic, x, x)));
  const back = (dy) => {
    const slope = line("slope", plus(exact ? times(density(), x) : rising(), gate));
    return line("dx", times(dy, slope), { of: x });
  };
  return [y, back];
}

/** Φ(x), the share of a standard normal below x, by its power series. */
function normalShare(x) {
  if (!(Math.abs(x) < 9)) return Number.isNaN(x) ? x : Number(x > 0);
  let [term, total] = [x, 0];
  for (let n = 1; total + term !== total; n++) {
    total += term;
    term *= (x * x) / (2 * n + 1);
  }
  return 0.5 + total * Math.exp((-x * x) / 2) * (2 * Math.PI) ** -0.5;
}

/** fc2(gelu(fc1(x))), each token by itself. */
function mlp(net, path, input, dSymbol, activation = net.config.activation) {
  const line = linesAt(net, path, "mlp");
  const x = line("x", copied(input), { symbol: input.symbol, dSymbol });
  return chained(x, [
    (a) => linear(net, `${path}.fc1`, a, "hidden"),
    (a) => gelu(net, `${path}.act`, a, "gated", activation),
    (a) => linear(net, `${path}.fc2`, a, "mlp_out"),
  ]);
}

/** Each feature times a learned number. */
function layerScale(net, path, x) {
  const line = linesAt(net, path, "layerScale"), w = net.parameters.get(`${path}.w`);
  const y = line("y", times(x, w));
  const back = (dy) => {
    line("dw", sumRows(times(dy, x)), { of: w });
    return line("dx", times(dy, w), { of: x });
  };
  return [y, back];
}

/** Layers one after the other; the backward runs them in reverse. */
function chained(x, layers) {
  const backs = [];
  for (const layer of layers) {
    const [y, back] = layer(x);
    backs.unshift(back);
    x = y;
  }
  return [x, (dy) => backs.reduce((gradient, back) => back(gradient), dy)];
}

/**
 * mid = x + attn(ln1(x)), then y = mid + mlp(ln2(mid)); with norm "post", mid = ln1(x + attn(x))
 * and y = ln2(mid + mlp(mid)). A decoder has one branch more. Of
 * each branch: its name, its layer, and what the stream is called after it.
 */
function block(net, path, input, branches = [["attn", attention, "mid"], ["mlp", mlp, "y"]]) {
  const x = linesAt(net, path, "block")("x", copied(input), { part: `${path}.sum1` });
  const names = ["x", ...branches.map(([, , after]) => after)];
  return chained(x, branches.map(([name, layer], at) => (stream) =>
    residual(net, path, stream, [name, layer, at + 1], ...names.slice(at, at + 2))));
}

/** One branch and its sum, which hands its gradient to both of its terms. */
function residual(net, path, stream, [name, layer, number], before, after) {
  const line = linesAt(net, path, "block"), post = net.config.norm === "post";
  const part = `${path}.sum${number}`;
  const norm = (...symbols) => (a) => layerNorm(net, `${path}.ln${number}`, a, ...symbols);
  const [out, branchBack] = chained(stream, [
    ...(post ? [] : [norm(`${before}_normed`, `d${before}_branch`)]),
    (a) => layer(net, `${path}.${name}`, a, post ? `d${before}_branch` : undefined),
    ...(net.config.layer_scale ? [(a) => layerScale(net, `${path}.ls${number}`, a)] : []),
  ]);
  const sum = line(post ? `sum${number}` : after, plus(stream, out), { part });
  const [y, normBack] = chained(sum, post ? [norm(after)] : []);
  const back = (dy) => {
    const dsum = normBack(dy);
    const dstream = line(`d${before}`, plus(dsum, branchBack(dsum)), { of: stream, part });
    net.gradientOf.set(out, dsum);
    return dstream;
  };
  return [y, back];
}

/** The image, cut into patches, each a row of its pixels; and each becomes a token. */
function patches(net, images) {
  const { image_size: [H, W], channels: C } = net.config, [P, Q] = pairOf(net.config.patch_size);
  const across = W / Q, row = Q * C; // patches side by side, and numbers of a patch's row
  const line = linesAt(net, "patches", "patches"), shape = [1, (H / P) * across, P * row];
  const pixelOf = (n, c) =>
    [Math.floor(n / across) * P + Math.floor(c / row), (n % across) * row + (c % row)];
  const patchOf = (i, j) =>
    [Math.floor(i / P) * across + Math.floor(j / row), (i % P) * row + (j % row)];
  const cut = line("patches", moved("images, cut", [images], shape,
    (s, n, c) => [images, s, ...pixelOf(n, c)]));
  const [y, linearBack] = linear(net, "patches.linear", cut, "tokens", "patches");
  const back = (dy) => {
    const dcut = linearBack(dy);
    return line("dimages", moved("dpatches, joined", [dcut], images.shape,
      (s, i, j) => [dcut, s, ...patchOf(i, j)]), { of: images });
  };
  return [y, back];
}

/** A learned token, put before those of the patches. */
function classToken(net, x) {
  const line = linesAt(net, "cls", "classToken"), cls = net.parameters.get("cls");
  const [, N, D] = x.shape;
  const y = line("y", moved("cls, then tokens", [cls, x], [1, N + 1, D],
    (s, i, j) => (i ? [x, s, i - 1, j] : [cls, 0, 0, j])), { symbol: "tokens" });
  const back = (dy) => {
    const rows = (words, shape, from) =>
      moved(`${words} of ${dy.symbol}`, [dy], shape, (s, i, j) => [dy, s, i + from, j]);
    line("dcls", rows("first", [1, 1, D], 0), { of: cls });
    return line("dx", rows("rest", x.shape, 1), { of: x });
  };
  return [y, back];
}

/** A vector for each place, so that the model can tell where a patch was. */
function positions(net, x) {
  const line = linesAt(net, "pos", "positions"), learned = net.parameters.get("pos");
  const pos = learned ?? array("pos.pos", "pos", x.shape, sinusoids(net.config, x.shape));
  const y = line("y", plus(x, pos), { symbol: "x" });
  const back = (dy) => {
    if (learned) line("dpos", copied(dy), { of: pos });
    return line("dx", copied(dy), { of: x });
  };
  return [y, back];
}

/** Fixed positions: sines and cosines of the patch's number, or of its row and its column. */
function sinusoids(config, [, T, D]) {
  const { positions: kind, image_size: [, W], patch_size } = config;
  const first = hasClassToken(config) ? 1 : 0, across = W / pairOf(patch_size)[1];
  const at = (n, c) => {
    if (n < 0) return 0; // a class token has no position
    if (kind === "sincos1d") return wave(n, c, D);
    return c < D / 2 ? wave(Math.floor(n / across), c, D / 2) : wave(n % across, c - D / 2, D / 2);
  };
  return Float64Array.from({ length: T * D }, (_, n) => at(Math.floor(n / D) - first, n % D));
}

/** A sine or a cosine of a place. */
const wave = (place, c, width) =>
  Math[c % 2 ? "cos" : "sin"](place * 10000 ** (-(c - (c % 2)) / width));

const hasClassToken = ({ pool }) => pool === "cls" || pool === "patch_mean";

/** Many tokens become one vector: the mean of all, of those of patches, or the class token. */
function pooling(net, x) {
  const line = linesAt(net, "pool", "pooling"), [, T] = x.shape;
  const [from, to] = { mean: [0, T], cls: [0, 1], patch_mean: [1, T] }[net.config.pool];
  const share = number("share", (s, i) => (i >= from && i < to ? 1 / (to - from) : 0), [1, T, 1]);
  const y = line("y", sumRows(times(share, x)), { symbol: "pooled" });
  return [y, (dy) => line("dx", times(share, dy), { of: x })];
}

/** A hidden layer before the head: tanh(x w + b). */
function preLogits(net, x) {
  const line = linesAt(net, "pre_logits", "preLogits");
  const [out, linearBack] = linear(net, "pre_logits.linear", x, "out", "pre_logits");
  const y = line("y", called("tanh", Math.tanh, out), { symbol: "features" });
  return [y, (dy) => linearBack(line("dout", times(dy, minus(one, times(y, y))), { of: out }))];
}

/** −log softmax(logits)[label]; its backward is the prediction minus the truth. */
function crossEntropy(net, logits) {
  const line = linesAt(net, "loss", "crossEntropy");
  const target = number("target", (s, i, j) => Number(j === net.label), logits.shape);
  const shifted = line("shifted", minus(logits, largest(logits)));
  const numer = line("numer", called("exp", Math.exp, shifted));
  const total = line("total", sumColumns(numer));
  const p = line("dlogits@0", over(numer, total), { symbol: "p" });
  const surprise = minus(called("log", Math.log, total), sumColumns(times(target, shifted)));
  const loss = line("losses", surprise, { symbol: "loss" });
  return [loss, () => line("dlogits", minus(p, target), { of: logits })];
}
