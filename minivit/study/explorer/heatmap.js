// A grid of numbers as colours, which a mouse, a finger or the arrow keys can point at.

const THEME = matchMedia("(prefers-color-scheme: dark)");
const HINT = "Point at a picture, or move over it with the arrow keys, to read its numbers here.";
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const scales = new Map(); // those of the theme, as they have been read
const placeOf = new Map(); // of the keyboard in each canvas; survives drawing it anew

/** The stops of a theme's scale, such as "--amount" or "--sign": [red, green, blue] each. */
function stopsOf(scale) {
  const channels = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
  if (!scales.has(scale)) scales.set(scale, styleOf(scale).trim().split(/,\s*/).map(channels));
  return scales.get(scale);
}

/** The colour at a place of a scale, from 0 to 1. */
function colourAt(stops, place) {
  const position = clamp(place || 0, 0, 1) * (stops.length - 1); // 0 for what is no number
  const low = Math.min(Math.floor(position), stops.length - 2);
  return stops[low].map((value, at) => value + (position - low) * (stops[low + 1][at] - value));
}

/** The colours of values, on the scale "--sign" around zero, else from zero; and their range. */
function colouring(rows, cols, value, scale) {
  let largest = 0;
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++)
      if (!isHidden(value(i, j))) largest = Math.max(largest, Math.abs(value(i, j)));
  const [limit, signed, stops] = [largest || 1, scale === "--sign", stopsOf(scale)];
  const place = (v) => (signed ? 0.5 + v / limit / 2 : v / limit);
  const extent = `${signed ? "±" : "0 to "}${format(largest)}`;
  const colour = (v) => (isHidden(v) ? stopsOf("--hidden")[0] : colourAt(stops, place(v)));
  return { extent, colour: (i, j) => colour(value(i, j)) };
}

const isHidden = (value) => value === -Infinity;

/**
 * Return a canvas for a grid of rows × cols.
 *
 * id:         of the canvas; the keyboard's place in it is kept under this id
 * side:       of a cell, in pixels, or height and width
 * label:      the name of the whole, for screen readers
 * colour:     (i, j) -> [red, green, blue]; a side of a cell has `fine` small cells
 * decorate:   (context, [height, width]) draws on top       describe: (i, j) -> a cell in words
 * readout:    id of a line of text that shows these words for the cell pointed at
 * onPoint:    (i, j), or (null) when nothing is pointed at any more      onChoose: (i, j)
 * canvas.mark(cells, chosen) outlines cells [i, j], and one as chosen; canvas.picture is without
 */
function heatmap(options) {
  const { id, rows, cols, side, fine = 1, label, colour, decorate, describe } = options;
  const { readout, onPoint, onChoose } = options;
  const [tall, wide] = pairOf(side), [down, across] = pairOf(fine);
  const few = rows * cols * tall * wide < 1e6; // a phone lacks the memory for many fine pixels
  const density = few ? Math.max(1, Math.ceil(devicePixelRatio)) : 1;
  const canvas = make("canvas", {
    id, className: "heatmap", width: cols * wide * density, height: rows * tall * density,
    tabIndex: 0, role: "application", ariaRoleDescription: "heat map", ariaLabel: label,
  });
  canvas.style.width = `${cols * wide}px`;
  const context = canvas.getContext("2d");
  const nearest = (i, j) => [clamp(i, 0, rows - 1), clamp(j, 0, cols - 1)];
  let [marked, chosen, pointed] = [[], null, null];
  let place = nearest(...(placeOf.get(id) ?? [0, 0])); // of the keyboard
  canvas.picture = painted(rows * down, cols * across, colour);

  function draw() {
    context.setTransform(density, 0, 0, density, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas.picture, 0, 0, cols * wide, rows * tall);
    decorate?.(context, [tall, wide]);
    const outline = (cell, name, width) => {
      if (!cell) return;
      Object.assign(context, { strokeStyle: styleOf(name), lineWidth: width });
      const [y, x] = [cell[0] * tall + width / 2, cell[1] * wide + width / 2];
      context.strokeRect(x, y, wide - width, tall - width);
    };
    const least = Math.min(tall, wide);
    for (const cell of marked) outline(cell, "--mark", Math.min(1.5, least / 4));
    outline(chosen, "--chosen", Math.min(3, least / 3));
    outline(pointed, "--chosen", Math.min(2, least / 3));
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
  const on = (name, act) => canvas.addEventListener(name, act);
  const touch = (event) => `${under(event)}` !== `${pointed}` && point(under(event));
  on("pointermove", touch);
  on("pointerdown", touch);
  on("pointerleave", ({ pointerType }) => pointerType !== "touch" && point(null)); // a tap stays
  on("click", (event) => onChoose?.(...under(event)));
  on("focus", () => canvas.matches(":focus-visible") && point(place));
  on("blur", () => point(null));
  on("keydown", (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const step = steps[event.key];
    if (step) point(nearest(place[0] + step[0], place[1] + step[1]));
    else if (event.key === "Enter" || event.key === " ") onChoose?.(...place);
    else return;
    event.preventDefault();
  });
  canvas.mark = (cells, one = null) => {
    [marked, chosen] = [cells, one];
    if (one && !pointed) placeOf.set(id, (place = one)); // or the keyboard could not leave it
    draw();
  };
  draw();
  return canvas;
}

/** A canvas with a pixel for each place. */
function painted(rows, cols, colour) {
  const canvas = make("canvas", { width: cols, height: rows }), image = new ImageData(cols, rows);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++) image.data.set([...colour(i, j), 255], 4 * (i * cols + j));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
