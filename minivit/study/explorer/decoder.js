// The decoder of a Reader: letters look back at each other, then at the patches. As in layers.js.

/** A table of learned vectors: w[tokens] · √D. back returns nothing, as a token has no slope. */
function embedding(net, path) {
  const line = linesAt(net, path, "embedding"), { words: V, dim: D } = net.config;
  const w = net.parameters.get(`${path}.w`), T = lettersOf(net), root = number("√D", Math.sqrt(D));
  const rows = picked("w[tokens]", w, [1, T, D], (s, i, j) => [w, 0, net.told.tokens[i], j]);
  const y = line("y", times(rows, root), { symbol: "words" });
  const back = (dy, dw_head) => {
    const there = (s, i, j) => (net.told.tokens[i] === j ? Math.sqrt(D) : 0);
    const onehot = line("onehot", number("√D where its token is", there, [1, T, V]));
    line("dw", plus(dw_head, product(onehot, dy, "a")), { of: w });
    net.gradientOf.set(y, dy);
  };
  return [y, back];
}

/** How many letters are asked for: all that there is room for, and the end. */
const lettersOf = ({ config }) => config.longest + 1;

/** Numbers of an array, from places that may change between two passes. */
const picked = (symbol, a, shape, from) => ({ ...moved(symbol, [a], shape, from), fill: null });

/** The memory, and arrive(dseen), which adds what a block sends back and returns the sum so far. */
function remembered(net, tokens) {
  const part = "decoder.memory", depth = net.config.decoder_depth;
  const same = moved("the encoder's tokens", [tokens], tokens.shape,
    (...place) => [tokens, ...place]);
  const memory = linesAt(net, "", "decoder")("memory", same, { part });
  let sum = null, toCome = depth; // blocks; the last one is the first
  const arrive = (dseen) => {
    const name = `dmemory@${depth - toCome--}`;
    const soFar = toCome ? `arrived${subscript(toCome)}` : "dmemory";
    const more = { symbol: sum ? soFar : dseen.symbol, of: memory, part };
    sum = linesAt(net, "decoder", "decoder")(name, sum ? plus(sum, dseen) : copied(dseen), more);
    net.gradientOf.set(tokens, sum);
    return sum;
  };
  return [memory, arrive];
}

/**
 * From the encoder's tokens to the logits of the asked letter. Every block looks at the memory, and
 * back returns the sum of what comes back to it from them all.
 */
function decoder(net, tokens) {
  const line = linesAt(net, "decoder", "decoder"), T = lettersOf(net), { dim: D } = net.config;
  const [memory, arrive] = remembered(net, tokens);
  let dmemory = null;
  const look = (net, path, x, dSymbol) => {
    const [y, back] = crossAttention(net, path, x, dSymbol, memory);
    return [y, (dy) => {
      const [dx, dseen] = back(dy);
      dmemory = arrive(dseen);
      return dx;
    }];
  };
  const lookBack = (...all) => attention(...all, true);
  const think = (...all) => mlp(...all, "gelu_tanh"); // whatever the encoder's is
  const branches = [["attn", lookBack, "seen"], ["cross", look, "mid"], ["mlp", think, "y"]];

  const [words, wordsBack] = embedding(net, "decoder.embed");
  const places = Float64Array.from({ length: T * D }, (_, n) => wave(Math.floor(n / D), n % D, D));
  const pos = array("decoder._places.return", "pos", [1, T, D], places);
  const placed = line("placed", plus(words, pos), { part: "decoder.pos", symbol: "x" });
  net.stream = []; // the letters', which the readout reads
  const [x, blocksBack] = chained(placed,
    blocks(net, "decoder.blocks", net.config.decoder_depth, branches));
  const [letter, readoutBack] = chained(x, reader.readout(net));
  return [letter, (dletter) => {
    const dplaced = line("dplaced", copied(blocksBack(readoutBack(dletter))),
      { part: "decoder.pos", of: placed });
    wordsBack(dplaced, net.arrays.get("decoder.embed.logits_backward.dw"));
    return dmemory;
  }];
}

/** A score for each word, by the vectors that stand for the words on the way in. */
function scoresOfWords(net, x) {
  const line = linesAt(net, "decoder", "decoder"), w = net.parameters.get("decoder.embed.w");
  const part = "decoder.head";
  const logits = line("logits", product(x, w, "b"), { part, code: "embed.logits.scores" });
  const back = (dlogits) => {
    line("embed.logits_backward.dw", product(dlogits, x, "a"), { part, symbol: "dw_head" });
    return line("dnormed", product(dlogits, w),
      { part, of: x, code: "embed.logits_backward.drows" });
  };
  return [logits, back];
}

/** The logits of the letter that is asked for. */
function askedLetter(net, logits) {
  const line = linesAt(net, "", "letter"), [, T, V] = logits.shape, part = "letter", { told } = net;
  const letter = line("letter",
    picked("logits[the asked place]", logits, [1, 1, V], (s, i, j) => [logits, 0, told.place, j]),
    { part });
  const asked = number("asked", (s, i) => Number(i === told.place), [1, T, 1]);
  const back = (dletter) => line("dlogits", times(asked, dletter), { part, of: logits });
  return [letter, back];
}

const reader = {
  layers(net) {
    net.told = { tokens: Array(lettersOf(net)).fill(0), place: 0 }; // the asked letter's place
    const last = net.config.norm === "pre" ? [(x) => layerNorm(net, "ln", x, "tokens")] : [];
    return [...encoder(net), ...last, (x) => decoder(net, x)];
  },
  readout: (net) => [
    ...(net.config.norm === "pre" ? [(x) => layerNorm(net, "decoder.ln", x, "normed")] : []),
    (x) => scoresOfWords(net, x),
    (x) => askedLetter(net, x),
  ],
};
