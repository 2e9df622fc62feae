// A grid of numbers as colours, which a mouse, a finger or the arrow keys can point at.

const THEME = matchMedia("(prefers-color-scheme: dark)");
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The colour of a theme's scale, such as "--amount" or "--sign", at a place from 0 to 1. */
function colourAt(scale, place) {
  const stops = scaleStops(scale);
  const position = clamp(place, 0, 1) * (stops.length - 1);
  const low = Math.min(Math.floor(position), stops.length - 2);
  return stops[low].map((value, at) => value + (position - low) * (stops[low + 1][at] - value));
}

const stopsOf = new Map();
THEME.addEventListener("change", () => stopsOf.clear());

function scaleStops(scale) {
  if (!stopsOf.has(scale)) {
    const text = getComputedStyle(document.documentElement).getPropertyValue(scale);
    const channels = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
    stopsOf.set(scale, text.trim().split(/,\s*/).map(channels));
  }
  return stopsOf.get(scale);
}

/** The colours of values, on the scale "--sign" around zero, else from zero; and their range. */
function colouring(rows, cols, value, scale) {
  const sizes = (i) => range(cols).map((j) => Math.abs(value(i, j)));
  const largest = Math.max(...range(rows).map((i) => Math.max(...sizes(i))));
  const [limit, signed] = [largest || 1, scale === "--sign"];
  const place = (v) => (signed ? 0.5 + v / limit / 2 : v / limit);
  const extent = `${signed ? "±" : "0 to "}${format(largest)}`;
  return { extent, colour: (i, j) => colourAt(scale, place(value(i, j))) };
}

const HINT = "Point at a map, or move over it with the arrow keys, to read its numbers here.";
const placeOf = new Map(); // of the keyboard in each canvas; survives drawing it anew

/**
 * Return a canvas for a grid of rows × cols.
 *
 * id:         of the canvas; the keyboard's place in it is kept under this id
 * side:       of a cell, in pixels          label: the name of the whole, for screen readers
 * colour:     (i, j) -> [red, green, blue]; a side of a cell has `fine` small cells
 * decorate:   (context, side) draws on top  describe: (i, j) -> a cell in words
 * readout:    id of a line of text that shows these words for the cell pointed at
 * onPoint:    (i, j), or (null) when nothing is pointed at any more      onChoose: (i, j)
 * canvas.mark(cells, chosen) outlines cells [i, j], and one as chosen
 */
function heatmap(options) {
  const { id, rows, cols, side, fine = 1, label, colour, decorate, describe } = options;
  const { readout, onPoint, onChoose } = options;
  const few = rows * cols * side ** 2 < 1e6; // a phone lacks the memory for many fine pixels
  const density = few ? Math.max(1, Math.ceil(devicePixelRatio)) : 1;
  const canvas = make("canvas", {
    id, className: "heatmap", width: cols * side * density, height: rows * side * density,
    tabIndex: 0, role: "application", ariaRoleDescription: "heat map", ariaLabel: label,
  });
  canvas.style.width = `${cols * side}px`;
  const context = canvas.getContext("2d");
  const picture = make("canvas", { width: cols * fine, height: rows * fine });
  const nearest = (i, j) => [clamp(i, 0, rows - 1), clamp(j, 0, cols - 1)];
  let [marked, chosen, pointed] = [[], null, null];
  let place = nearest(...(placeOf.get(id) ?? [0, 0])); // of the keyboard

  const image = new ImageData(cols * fine, rows * fine);
  for (let i = 0; i < rows * fine; i++)
    for (let j = 0; j < cols * fine; j++)
      image.data.set([...colour(i, j), 255], 4 * (i * cols * fine + j));
  picture.getContext("2d").putImageData(image, 0, 0);

  function draw() {
    context.setTransform(density, 0, 0, density, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, 0, 0, cols * side, rows * side);
    decorate?.(context, side);
    const style = getComputedStyle(document.documentElement);
    const outline = ([i, j], name, width) => {
      context.strokeStyle = style.getPropertyValue(name);
      context.lineWidth = width;
      context.strokeRect(j * side + width / 2, i * side + width / 2, side - width, side - width);
    };
    for (const cell of marked) outline(cell, "--mark", Math.min(1.5, side / 4));
    if (chosen) outline(chosen, "--chosen", Math.min(3, side / 3));
    if (pointed) outline(pointed, "--chosen", Math.min(2, side / 3));
  }

  function point(cell) {
    pointed = cell;
    if (cell) placeOf.set(id, (place = cell));
    const words = cell && `${label}. ${describe(...cell)}`;
    if (cell) canvas.ariaLabel = words;
    if (readout) byId(readout).textContent = words ?? HINT;
    draw();
    onPoint?.(...(cell ?? [null]));
  }

  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const [y, x] = [event.clientY - box.top, event.clientX - box.left];
    return nearest(Math.floor((y / box.height) * rows), Math.floor((x / box.width) * cols));
  };
  canvas.addEventListener("pointermove", (event) => {
    const cell = under(event);
    if (`${cell}` !== `${pointed}`) point(cell);
  });
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("click", (event) => onChoose?.(...under(event)));
  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && point(place));
  canvas.addEventListener("blur", () => point(null));
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const step = steps[event.key];
    if (step) point(nearest(place[0] + step[0], place[1] + step[1]));
    else if (event.key === "Enter" || event.key === " ") onChoose?.(...place);
    else return;
    event.preventDefault();
  });
  canvas.mark = (cells, one = null) => {
    [marked, chosen] = [cells, one];
    if (one) placeOf.set(id, (place = one));
    draw();
  };
  draw();
  return canvas;
}
