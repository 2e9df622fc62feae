// The pass as pictures: from the digit through the blocks to the answer, and back to the pixels.

const THUMB = 112; // pixels, the longer side of a picture

/** Grey of a pixel: ink is dark on a light page, light on a dark one. */
function ink(i, j) {
  return colourAt("--ink", DATA.pixels[i][j] / 255);
}

/** A picture of the patches, each in the colour of its number, with the digit showing through. */
function patchMap(options) {
  const { id, label, value, scale, describe, onPoint, onChoose, chosen = null } = options;
  const readout = options.readout ?? "pass-value";
  const all = (i, j) => value(FIRST + i * GRID.cols + j);
  const values = Array.from({ length: MODEL.tokens }, (_, token) => value(token));
  const { colour, largest } = colouring(1, MODEL.tokens, (_, token) => values[token], scale);
  const box = document.createElement("div");
  box.className = "patchmap";
  const size = Math.floor((THUMB - 4 * FIRST) / Math.max(GRID.rows, GRID.cols + FIRST));
  const tokenOf = (i, j) => FIRST + i * GRID.cols + j;
  const grid = heatmap({
    id,
    label,
    readout,
    ...GRID,
    side: size,
    fine: PATCH,
    colour: (i, j) => {
      const base = colour(0, tokenOf(Math.floor(i / PATCH), Math.floor(j / PATCH)));
      const strength = 0.3 * (DATA.pixels[i][j] / 255);
      return base.map((channel, at) => channel + strength * (ink(i, j)[at] - channel));
    },
    decorate: patchLines,
    describe: (i, j) => describe(tokenOf(i, j), all(i, j)),
    onPoint: (i, j) => onPoint?.(i === null ? null : tokenOf(i, j)),
    onChoose: (i, j) => onChoose?.(tokenOf(i, j)),
  });
  if (FIRST) {
    const token = heatmap({
      id: `${id}-cls`,
      label: `${label}, class token`,
      readout,
      rows: 1,
      cols: 1,
      side: size,
      colour: () => colour(0, 0),
      describe: () => describe(0, values[0]),
      onPoint: (i) => onPoint?.(i === null ? null : 0),
      onChoose: () => onChoose?.(0),
    });
    token.title = "class token";
    if (chosen === 0) token.mark([], [0, 0]);
    box.append(token);
  }
  const patches = (token) => (token === null || token < FIRST ? [] : [placeOfPatch(token)]);
  box.markKey = (key) => grid.mark(patches(key), patches(chosen)[0] ?? null); // whom it looks at
  box.markKey(null);
  box.append(grid);
  box.largest = largest;
  return box;
}

function placeOfPatch(token) {
  return [Math.floor((token - FIRST) / GRID.cols), (token - FIRST) % GRID.cols];
}

function patchLines(context, side) {
  context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--grid");
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 1; i < GRID.rows; i++) {
    context.moveTo(0, i * side);
    context.lineTo(GRID.cols * side, i * side);
  }
  for (let j = 1; j < GRID.cols; j++) {
    context.moveTo(j * side, 0);
    context.lineTo(j * side, GRID.rows * side);
  }
  context.stroke();
}

/** The digit with its patches; choosing one makes it the query. */
function digitMap(id) {
  const map = patchMap({
    id,
    label: "The image and its patches; choose the patch that looks",
    scale: "--amount",
    value: () => 0,
    describe: (token) => `${tokenName(token)}: choose it as the query`,
    onChoose: (token) => update({ query: token }),
    chosen: state.query,
  });
  const grid = map.lastChild;
  grid.recolour(ink);
  return map;
}

/** The gradient at every pixel, patch by patch as the backward makes it. */
function pixelMap(id, onPoint) {
  const gradient = tokens("dimages", "patches.dpatches", "patches.patches", "patch");
  const cellOf = (i, j) => [
    Math.floor(i / PATCH) * GRID.cols + Math.floor(j / PATCH),
    (i % PATCH) * PATCH + (j % PATCH),
  ];
  const value = (i, j) => gradient.at(...cellOf(i, j));
  const { colour, largest } = colouring(HEIGHT, WIDTH, value, "--sign");
  const canvas = heatmap({
    id,
    rows: HEIGHT,
    cols: WIDTH,
    side: Math.floor(THUMB / Math.max(HEIGHT, WIDTH)),
    label: "The gradient of the loss at every pixel",
    readout: "pass-value",
    colour,
    decorate: (context, side) => patchLines(context, side * PATCH),
    describe: (i, j) => `row ${i}, column ${j}: ${format(value(i, j))}`,
    onPoint: (i, j) => onPoint(i === null ? null : ["dpatches", ...cellOf(i, j)]),
    onChoose: (i, j) => {
      const [patch, pixel] = cellOf(i, j);
      update({ line: "dpatches", chosen: { symbol: "dpatches", i: patch, j: pixel } });
      showSum();
    },
  });
  canvas.largest = largest;
  return canvas;
}

/** Bars for the classes: probabilities, or what the backward begins with. */
function classBars(name, largest, kind = "") {
  const values = arrayOf(name).numbers;
  const list = document.createElement("ol");
  list.className = `bars ${kind}`;
  values.forEach((value, place) => {
    const bar = document.createElement("li");
    bar.className = value < 0 ? "negative" : "positive";
    bar.style.setProperty("--length", Math.abs(value) / largest);
    bar.classList.toggle("label", place === DATA.label);
    bar.title = `${DATA.classes[place]}: ${format(value)}`;
    bar.innerHTML = "<b></b><i></i><span></span>";
    bar.children[0].textContent = DATA.classes[place];
    const text = Math.abs(value) < 0.005 ? "" : value.toFixed(2).replace("-", "−");
    bar.children[2].textContent = place === DATA.label && !kind ? `${text} truth` : text;
    list.append(bar);
  });
  return list;
}

/** The length of each token's row: one number for how much of a gradient reaches it. */
function lengthOf(matrix, row) {
  let squares = 0;
  for (let j = 0; j < matrix.cols; j++) squares += matrix.at(row, j) ** 2;
  return Math.sqrt(squares);
}
