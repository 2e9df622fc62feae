// The whole network for one image: its lines, forward and backward, and what can be done with them.

/**
 * A model of `config` with the weights `flat`, a number for each of `names`, [name, shape]. Its
 * kind says what its layers are, and those from the residual stream to the logits, the readout.
 */
function network(config, names, flat, kind = vit) {
  const net = {
    config, kind, flat, gradient: new Float64Array(flat.length), label: 0,
    parameters: new Map(), // name -> array
    arrays: new Map(), // name -> array of a line
    gradientOf: new Map(), // array -> the array of its gradient
    forward: [], backward: [], // lines in order
    stream: [], // the residual stream after each block
  };
  let place = 0;
  for (const [name, shape] of names) {
    const [columns, rows] = [shape.at(-1), shape.length > 1 ? shape[0] : 1];
    const symbol = name.split(".").slice(-2).join(".");
    const ends = [place, (place += rows * columns)];
    const weights = array(name, symbol, [1, rows, columns], flat.subarray(...ends));
    weights.gradient = net.gradient.subarray(...ends);
    weights.dSymbol = symbol.replace(/(\w+)$/, "d$1");
    net.parameters.set(name, weights);
  }
  const { image_size: [height, width], channels } = config;
  net.images = array("images", "images", [1, height, width * channels]);
  net.images.dSymbol = "dimages";
  net.lines = net.forward;
  const [losses, back] = chained(net.images, [...kind.layers(net), (x) => crossEntropy(net, x)]);
  net.lines = net.backward;
  back();
  net.loss = () => losses.data[0];
  return net;
}

/** From the image to the tokens of the last block. */
function encoder(net) {
  return [
    (x) => patches(net, x),
    ...(hasClassToken(net.config) ? [(x) => classToken(net, x)] : []),
    ...(net.config.positions ? [(x) => positions(net, x)] : []),
    ...blocks(net, "blocks", net.config.depth),
  ];
}

function blocks(net, path, depth, ...branches) {
  return range(depth).map((number) => (x) => {
    const [y, back] = block(net, `${path}.${number}`, x, ...branches);
    net.stream.push(y);
    return [y, back];
  });
}

const vit = {
  layers: (net) => [...encoder(net), ...vit.readout(net)],
  readout(net) {
    const { norm, norm_pooled: late, pre_logits: hidden } = net.config;
    return [
      ...(norm === "pre" && !late ? [(x) => layerNorm(net, "ln", x, "tokens")] : []),
      (x) => pooling(net, x),
      ...(norm === "pre" && late ? [(x) => layerNorm(net, "pooled_ln", x, "normed")] : []),
      ...(hidden === null ? [] : [(x) => preLogits(net, x)]),
      (x) => linear(net, "head", x, "logits"),
    ];
  },
};

const parametersOf = (net, path) => ["w", "b"].map((name) => net.parameters.get(`${path}.${name}`));

const PART = /^(decoder\.)?(blocks\.\d+\.)?\w+/; // of the network, at the beginning of a path

/** Writes the lines of a kind of layer at a path, "" for the outermost; see layers.js. */
function linesAt(net, path, kind) {
  return (name, formula, more = {}) => {
    const { of = null, symbol = of?.dSymbol ?? name, dSymbol = `d${symbol}`, code = name } = more;
    const { part = path.match(PART)?.[0] } = more, at = path && `${path}.`;
    const result = array(at + name, symbol, formula.shape, of?.gradient);
    const phase = net.lines === net.forward ? "forward" : "backward";
    const line = { result, formula, kind: `${kind}.${name}`, phase, part, code: at + code };
    Object.assign(result, { dSymbol, of, line });
    net.lines.push(line);
    net.arrays.set(result.name, result);
    for (let a = of; a; a = a.line?.formula.copyOf) net.gradientOf.set(a, result);
    return result;
  };
}

/** The forward pass for an image of normalised numbers. */
function read(net, image) {
  net.images.data.set(image);
  for (const line of net.forward) compute(line.result, line.formula);
}

/** Both passes; without a label the loss is that of the likeliest class. */
function run(net, image, label = null) {
  const p = net.arrays.get("loss.dlogits@0").data;
  net.label = label ?? 0;
  read(net, image);
  if (label === null) {
    net.label = Math.max(0, p.indexOf(Math.max(...p)));
    for (const line of net.forward.slice(-2)) compute(line.result, line.formula);
  }
  for (const line of net.backward) compute(line.result, line.formula);
}

/** The loss with `eps` added to one number, as soon as it is there; everything is put back. */
function lossWith(net, moving, [s, i, j], eps) {
  const place = moving.placeOf(s, i, j), from = moving.line ? net.forward.indexOf(moving.line) : -1;
  const kept = moving.data[place];
  moving.data[place] += eps;
  const later = net.forward.slice(from + 1);
  for (const line of later) compute(line.result, line.formula);
  const loss = net.loss();
  moving.data[place] = kept;
  for (const line of later) compute(line.result, line.formula);
  return loss;
}

/** What the model would read in the stream after each block, if it ended there. */
function lens(net) {
  const reader = { ...net, forward: [], arrays: new Map(), gradientOf: new Map() };
  const input = array("stream", "x", net.stream[0].shape);
  reader.lines = reader.forward;
  const [logits] = chained(input, net.kind.readout(reader));
  return () =>
    net.stream.map(({ data }) => {
      input.data.set(data);
      for (const line of reader.forward) compute(line.result, line.formula);
      return probabilities([...logits.data]);
    });
}

function probabilities(logits) {
  const numer = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
  const total = numer.reduce((a, b) => a + b);
  return numer.map((number) => number / total);
}
