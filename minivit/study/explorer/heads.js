// Pictures of a few chosen numbers: one query of one head, the pixels and the classes.

const LONG = Math.max(1, WIDTH / HEIGHT / 2); // how much longer than others the pictures are
const THUMB = 80 * LONG; // pixels, the longer side of a picture of the patches

/** The colour of a pixel; in grey, ink is dark on a light page and light on a dark one. */
function ink(i, j) {
  const C = MODEL.channels, start = (i * WIDTH + j) * C;
  if (C === 1) return colourAt(stopsOf("--ink"), state.pixels[start] / 255);
  return [...state.pixels.subarray(start, start + 3)];
}

/** A picture of the patches, each in the colour of its token's number; a class token is beside. */
PATCHES.map = ({ id, label, value, scale, chosen, onPoint, onChoose, colour: own }) => {
  const { colour, extent } = colouring(1, MODEL.tokens, (_, token) => value(token), scale);
  const shape = TALL / WIDE, most = Math.max(GRID.rows * shape, GRID.cols + FIRST);
  const size = Math.max(3, Math.floor((THUMB - 4 * FIRST) / most));
  const map = (more, token) =>
    heatmap({
      side: [size * shape, size], readout: "head-value", label,
      describe: (i, j) => `${tokenName(token(i, j))}: ${format(value(token(i, j)))}`,
      onPoint: (i, j) => onPoint?.(i === null ? null : token(i, j)),
      onChoose: (i, j) => onChoose(token(i, j)),
      ...more,
    });
  const shaded = (i, j) => {
    const base = colour(0, FIRST + Math.floor(i / TALL) * GRID.cols + Math.floor(j / WIDE));
    return base.map((channel, at) => 0.75 * channel + 0.25 * ink(i, j)[at]);
  };
  const grid = map({ id, ...GRID, fine: [TALL, WIDE], decorate: patchLines, colour: own ?? shaded },
    (i, j) => FIRST + i * GRID.cols + j);
  const box = make("div", { className: "patchmap" }, grid);
  if (FIRST) {
    const token = map({ id: `${id}-cls`, rows: 1, cols: 1, colour: () => colour(0, 0) }, () => 0);
    if (chosen === 0) token.mark([], [0, 0]);
    box.prepend(token);
  }
  const places = (token) => (token === null || token < FIRST ? [] : [placeOfPatch(token)]);
  box.markKey = (key) => grid.mark(places(key), places(chosen)[0] ?? null);
  box.markKey(null);
  return Object.assign(box, { extent });
};

function patchLines(context, [tall, wide]) {
  Object.assign(context, { strokeStyle: styleOf("--grid"), lineWidth: 1 });
  for (let i = 0; i < GRID.rows; i++)
    for (let j = 0; j < GRID.cols; j++) context.strokeRect(j * wide, i * tall, wide, tall);
}

/** The chosen query's row of the attention and its gradients; how large those of q, k, v are. */
function drawHeads() {
  const { part } = state.line, shown = HEADS.test(part);
  byId("head-box").hidden = !shown;
  state.pictures = [];
  if (!shown) return;
  const of = (name) => viewOf(net.arrays.get(`${part}.${name}`)), scores = of("scores");
  const [queries, keys] = [rowsOf(scores.array), keysOf(scores.array)], query = state[queries.key];
  const row = (key) => [query, key], hides = (key) => isHidden(scores.at(query, key));
  const chooser = queries.map({
    id: "map-query", scale: "--amount", value: () => 0, colour: ink, chosen: query,
    label: queries === PATCHES ? "The image: choose a patch as the query" :
      "The text: choose one of its tokens as the query",
    onChoose: (query) => update({ [queries.key]: query, cell: null }),
  });
  const pairs = (words, name, scale) => headMap(words, of(name), keys, scale, row, { hides });
  const asks = queries === LETTERS && query === net.told.place ? ": what comes next?" : "";
  byId("head-words").textContent = `head ${state.head}, query ${queries.nameOf(query)}${asks}`;
  byId("maps").replaceChildren(
    captioned(chooser, "choose a query"),
    pairs("att: what it looks at", "softmax.y", "--amount"),
    pairs("datt: would more attention raise the loss?", "datt", "--sign"),
    pairs("dscores: would a higher score?", "softmax.dx", "--sign"),
    ...[["dq: gradient of each query", queries], ["dk: of each key", keys],
      ["dv: of each value", keys]].map(([words, sequence]) => {
      const view = of(words.slice(0, 2)), row = (i) => range(view.cols).map((j) => view.at(i, j));
      const value = (token) => Math.hypot(...row(token));
      const place = (token) => [token, largestOf(row(token))];
      return headMap(words, view, sequence, "--amount", place, { value });
    }),
  );
}

/** A number of a view for each token of a sequence, or as `value` says. */
function headMap(words, view, sequence, scale, place, more) {
  const queries = rowsOf(net.arrays.get(`${state.line.part}.scores`));
  const cell = (token) => ({ array: view.array, i: place(token)[0], j: place(token)[1] });
  const map = sequence.map({
    id: `map-${words.split(":")[0]}`, label: words, scale,
    value: (token) => view.at(...place(token)),
    chosen: sequence === queries ? state[sequence.key] : null,
    onPoint: (token) => explain(token === null ? null : cell(token)),
    onChoose: (token) => update({ line: view.array.line, cell: cell(token) }),
    ...more,
  });
  state.pictures.push(Object.assign(map, { sequence }));
  return captioned(map, words, map.extent);
}

const captioned = (content, words, small = "") =>
  make("figure", {}, content, make("figcaption", {}, words), make("small", {}, small));

/** The place of the number that is largest in size; no hidden one. */
function largestOf(values) {
  const sizes = Array.from(values, (value) => (isHidden(value) ? 0 : Math.abs(value) || 0));
  return sizes.indexOf(Math.max(...sizes));
}

/** The image, and beside it the gradient of the loss at every pixel. */
function drawPixels() {
  const view = viewOf(net.arrays.get("patches.dimages")), C = MODEL.channels;
  const place = (i, j) => j * C + largestOf(range(C).map((c) => view.at(i, j * C + c)));
  const value = (i, j) => view.at(i, place(i, j));
  const grey = (i, j) => range(C).map((c) => state.pixels[(i * WIDTH + j) * C + c]).join(", ");
  const figure = (id, label, words, colour) => heatmap({
    id, label, colour, rows: HEIGHT, cols: WIDTH, readout: "pixel-value",
    side: LONG > 1 ? 240 / WIDTH : Math.max(1, Math.floor(126 / Math.max(HEIGHT, WIDTH))),
    decorate: (context, [side]) => patchLines(context, [side * TALL, side * WIDE]),
    describe: (i, j) => `row ${i}, column ${j}: ${words(i, j)}`,
    onChoose: (i, j) =>
      update({ line: view.array.line, cell: { array: view.array, i, j: place(i, j) } }),
  });
  const gradient = colouring(HEIGHT, WIDTH, value, "--sign").colour;
  const words = (i, j) => format(value(i, j));
  byId("pair").replaceChildren(
    captioned(figure("image", "The image and its patches", grey, ink), state.name || "drawn"),
    captioned(figure("pixels", "The gradient of the loss at every pixel", words, gradient),
      `${DATA.drawing ? "more ink" : "brighter"}: loss up (orange), down (blue)`),
  );
}

/** Bars for the probability of each class, of the likeliest if there are many. */
function drawClasses() {
  const p = net.arrays.get("loss.dlogits@0").data;
  const right = state.truth === null ? null : net.label;
  const order = range(p.length).sort((a, b) => (p.length > 12 ? p[b] - p[a] : a - b)).slice(0, 12);
  byId("classes").replaceChildren(...order.map((place) => {
    const label = place === right, text = `${percent(p[place])}${label ? " truth" : ""}`;
    const [name, value] = [make("b", {}, DATA.classes[place]), make("span", {}, text)];
    const bar = make("li", { className: label ? "label" : "" }, name, make("i"), value);
    bar.style.setProperty("--length", p[place]);
    return bar;
  }));
}
