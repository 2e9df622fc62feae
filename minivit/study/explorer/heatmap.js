// A grid of numbers as colours, which can be pointed at with the mouse, a finger or the arrow keys.

const THEME = matchMedia("(prefers-color-scheme: dark)");

/** The colour of a theme's scale, such as "--amount" or "--sign", at a place from 0 to 1. */
function colourAt(scale, place) {
  const stops = scaleStops(scale);
  const position = Math.min(Math.max(place, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(position), stops.length - 2);
  const part = position - low;
  return stops[low].map((value, channel) => value + part * (stops[low + 1][channel] - value));
}

const stopsOf = new Map();
THEME.addEventListener("change", () => stopsOf.clear());

function scaleStops(scale) {
  if (!stopsOf.has(scale)) {
    const text = getComputedStyle(document.documentElement).getPropertyValue(scale);
    const colours = text.trim().split(/\s+/);
    const channels = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
    stopsOf.set(scale, colours.map(channels));
  }
  return stopsOf.get(scale);
}

/** Colours of values, around zero on the scale "--sign", else from zero on; the largest size. */
function colouring(rows, cols, value, scale) {
  let largest = 0;
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++) largest = Math.max(largest, Math.abs(value(i, j)));
  const limit = largest || 1;
  const place = scale === "--sign" ? (v) => 0.5 + v / limit / 2 : (v) => v / limit;
  return { largest, colour: (i, j) => colourAt(scale, place(value(i, j))) };
}

const HINT = "Point at a map, or go over it with the arrow keys, to read its numbers here.";
const placeOf = new Map(); // stays when a canvas is made anew

/**
 * Return a canvas for a grid of rows × cols.
 *
 * id:         under which the place of the keyboard in it is kept
 * side:       of a cell, in pixels          label: of the whole, for who cannot see it
 * colour:     (i, j) -> [red, green, blue]; `fine` is how many small cells a side of a cell has
 * decorate:   (context, side) draws on top  describe: (i, j) -> a cell in words
 * readout:    id of a line of text on the page that says the cell pointed at in words
 * onPoint:    (i, j), or (null) when nothing is pointed at any more      onChoose: (i, j)
 * canvas.mark(cells, chosen) outlines cells [i, j], and one as chosen; canvas.recolour(colour)
 */
function heatmap(options) {
  const { id, rows, cols, side, fine = 1, label, decorate, describe, onPoint, onChoose } = options;
  let { colour } = options;
  const canvas = document.createElement("canvas");
  const few = rows * cols * side ** 2 < 1e6; // else a phone's memory is too small for fine edges
  const density = few ? Math.max(1, Math.ceil(devicePixelRatio)) : 1;
  canvas.width = cols * side * density;
  canvas.height = rows * side * density;
  canvas.style.width = `${cols * side}px`;
  canvas.className = "heatmap";
  canvas.id = id;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "heat map");
  canvas.setAttribute("aria-label", label);
  const context = canvas.getContext("2d");
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [cols * fine, rows * fine];
  let [marked, chosen, pointed] = [[], null, null];
  let place = placeOf.get(id) ?? [0, 0]; // where the keyboard is
  place = [Math.min(place[0], rows - 1), Math.min(place[1], cols - 1)];

  function paint() {
    const image = new ImageData(cols * fine, rows * fine);
    for (let i = 0; i < rows * fine; i++)
      for (let j = 0; j < cols * fine; j++)
        image.data.set([...colour(i, j), 255], 4 * (i * cols * fine + j));
    picture.getContext("2d").putImageData(image, 0, 0);
    draw();
  }

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
    if (cell) canvas.setAttribute("aria-label", words);
    if (options.readout) byId(options.readout).textContent = words ?? HINT;
    draw();
    onPoint?.(...(cell ?? [null]));
  }

  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const i = Math.floor(((event.clientY - box.top) / box.height) * rows);
    const j = Math.floor(((event.clientX - box.left) / box.width) * cols);
    return [Math.min(Math.max(i, 0), rows - 1), Math.min(Math.max(j, 0), cols - 1)];
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
    if (step) {
      const [i, j] = [place[0] + step[0], place[1] + step[1]];
      point([Math.min(Math.max(i, 0), rows - 1), Math.min(Math.max(j, 0), cols - 1)]);
    } else if (event.key === "Enter" || event.key === " ") onChoose?.(...place);
    else return;
    event.preventDefault();
  });
  canvas.mark = (cells, one = null) => {
    [marked, chosen] = [cells, one];
    if (one) placeOf.set(id, (place = one));
    draw();
  };
  canvas.recolour = (other) => {
    colour = other;
    paint();
  };
  paint();
  return canvas;
}
