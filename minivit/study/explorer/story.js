// The pass as pictures: from the image through the blocks to the output, and back to the pixels.

const THUMB = 112; // pixels, the longer side of a picture

/** The grey of a pixel: ink is dark on a light page, light on a dark one. */
function ink(i, j) {
  return colourAt("--ink", DATA.pixels[i][j] / 255);
}

/** The patches, each in the colour of its token's number, with the image showing through. */
function patchMap(options) {
  const { id, label, value, scale, describe, onPoint, onChoose, readout = "pass-value" } = options;
  const { colour, extent } = colouring(1, MODEL.tokens, (_, token) => value(token), scale);
  const side = Math.floor((THUMB - 4 * FIRST) / Math.max(GRID.rows, GRID.cols + FIRST));
  const tokenOf = (i, j) => FIRST + i * GRID.cols + j;
  const map = (more, token) =>
    heatmap({
      readout,
      side,
      describe: (i, j) => describe(token(i, j), value(token(i, j))),
      onPoint: (i, j) => onPoint?.(i === null ? null : token(i, j)),
      onChoose: (i, j) => onChoose?.(token(i, j)),
      ...more,
    });
  const grid = map({
    id,
    label,
    ...GRID,
    fine: PATCH,
    colour: options.colour ?? ((i, j) => {
      const base = colour(0, tokenOf(Math.floor(i / PATCH), Math.floor(j / PATCH)));
      const strength = 0.3 * (DATA.pixels[i][j] / 255);
      return base.map((channel, at) => channel + strength * (ink(i, j)[at] - channel));
    }),
    decorate: patchLines,
  }, tokenOf);
  const box = make("div", { className: "patchmap" }, grid);
  if (FIRST) {
    const one = { id: `${id}-cls`, label: `${label}, class token`, rows: 1, cols: 1 };
    const token = map({ ...one, colour: () => colour(0, 0) }, () => 0);
    token.title = "class token";
    if (state.query === 0) token.mark([], [0, 0]);
    box.prepend(token);
  }
  const patches = (token) => (token === null || token < FIRST ? [] : [placeOfPatch(token)]);
  box.markKey = (key) => grid.mark(patches(key), patches(state.query)[0] ?? null);
  box.markKey(null);
  return Object.assign(box, { extent });
}

function patchLines(context, side) {
  context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--grid");
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 0; i < GRID.rows; i++)
    for (let j = 0; j < GRID.cols; j++) context.rect(j * side, i * side, side, side);
  context.stroke();
}

/** A number for each token; choosing a patch makes it the query. */
function tokenMap(id, label, value, words = format, colour = null) {
  const describe = (token, number) => `${tokenName(token)}: ${words(number)}`;
  const onChoose = (token) => update({ query: token });
  return patchMap({ id, label, scale: "--amount", value, describe, onChoose, colour });
}

const imageMap = (id) =>
  tokenMap(id, "The image and its patches", () => 0, () => "choose it as the query", ink);

function pixelMap(id) {
  const matrix = state.lines.find((line) => line.id === "dpatches").result;
  const cellOf = (i, j) => ({
    matrix,
    i: Math.floor(i / PATCH) * GRID.cols + Math.floor(j / PATCH),
    j: (i % PATCH) * PATCH + (j % PATCH),
  });
  const value = (row, column) => {
    const { i, j } = cellOf(row, column);
    return matrix.at(i, j);
  };
  return heatmap({
    id,
    rows: HEIGHT,
    cols: WIDTH,
    side: Math.floor(THUMB / Math.max(HEIGHT, WIDTH)),
    label: "The gradient of the loss at every pixel",
    readout: "pass-value",
    colour: colouring(HEIGHT, WIDTH, value, "--sign").colour,
    decorate: (context, side) => patchLines(context, side * PATCH),
    describe: (i, j) => `row ${i}, column ${j}: ${format(value(i, j))}`,
    onPoint: (i, j) => explain(i === null ? null : cellOf(i, j)),
    onChoose: (i, j) => choose("dpatches", cellOf(i, j)),
  });
}

/** Bars for the classes: their probabilities, or with `signed` the gradient of the logits. */
function classBars(name, signed = "") {
  const bars = Array.from(arrayOf(name).numbers, (value, place) => {
    const text = Math.abs(value) < 0.005 ? "" : value.toFixed(2).replace("-", "−");
    const label = DATA.labelled && place === DATA.label;
    const bar = make("li",
      {
        className: `${value < 0 ? "negative" : "positive"} ${label ? "label" : ""}`,
        title: `${DATA.classes[place]}: ${format(value)}`,
      },
      make("b", { textContent: DATA.classes[place] }),
      make("i"),
      make("span", { textContent: label && !signed ? `${text} label` : text }),
    );
    bar.style.setProperty("--length", Math.abs(value));
    return bar;
  });
  return make("ol", { className: `bars ${signed}` }, ...bars);
}

/** The length of a token's row: one number for how large its gradient is. */
const lengthOf = (matrix, row) => Math.hypot(...matrix.row(row));
