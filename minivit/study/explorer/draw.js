// A board to draw a digit on, and from the drawing to an image like MNIST's (as data/scans.py).

const [BOARD_SIDE, INK_SIDE] = [560, 112]; // pixels of what is seen, and of what becomes the image
const [PEN, PEN_STEPS] = [1 / 12, 28]; // breadth, as a share of the side; steps of the keyboard
const BOARD_HINT = "Draw a digit with the mouse or a finger, or by keyboard: the arrow keys move " +
  "the pen, with Shift faster; Space puts it down and lifts it; Escape or Delete clears.";

const total = (values) => values.reduce((sum, value) => sum + value, 0);
const turned = (lines) => lines[0].map((_, j) => lines.map((line) => line[j]));
const hasInk = (line) => line.some((value) => value > 0.5);
const inked = (lines) => lines.slice(lines.findIndex(hasInk), lines.findLastIndex(hasInk) + 1);

/** Lines averaged to fewer, by the area that each covers, or interpolated to more. */
function resizedLines(lines, count) {
  const size = Math.max(1, lines.length / count);
  return range(count).map((place) => {
    const middle = ((place + 0.5) * lines.length) / count;
    const start = clamp(middle - size / 2, 0, lines.length - size);
    const shares = lines.map((_, at) =>
      clamp(start + size - at, 0, 1) - clamp(start - at, 0, 1));
    return lines[0].map((_, j) => total(shares.map((share, at) => share * lines[at][j])) / size);
  });
}

/**
 * Return a drawing as MNIST's digits are, Uint8Array (height · width), light on black: its longer
 * side is 20/28 of the image's smaller one, its centre of mass in the middle. `ink`, Float64Array
 * (rows · cols), goes from 0, paper, to 1; null is returned if none is above one half.
 */
function centred(ink, rows, cols, height, width) {
  if (!hasInk(ink)) return null;
  const all = range(rows).map((i) => [...ink.subarray(i * cols, (i + 1) * cols)]);
  const drawn = turned(inked(turned(inked(all))));
  const scale = (20 * Math.min(height, width)) / 28 / Math.max(drawn.length, drawn[0].length);
  const scaled = (lines) => resizedLines(lines, Math.max(1, Math.round(lines.length * scale)));
  const box = turned(scaled(turned(scaled(drawn))));
  const corner = (masses, size) => {
    const middle = total(masses.map((mass, at) => mass * at)) / total(masses);
    return clamp(Math.round(size / 2 - middle - 1e-6), 0, size - masses.length); // halves: down
  };
  const [top, left] = [corner(box.map(total), height), corner(turned(box).map(total), width)];
  const grey = (at) => box[Math.floor(at / width) - top]?.[(at % width) - left] ?? 0;
  return Uint8Array.from(range(height * width), (at) => Math.round(255 * grey(at)));
}

/** Draw strokes, lists of points [x, y] from 0 to 1, on a square canvas. */
function drawStrokes(context, strokeStyle, strokes, lineWidth = PEN) {
  const side = context.canvas.width;
  context.setTransform(side, 0, 0, side, 0, 0);
  Object.assign(context, { strokeStyle, lineWidth, lineCap: "round", lineJoin: "round" });
  context.beginPath();
  for (const [[x, y], ...others] of strokes) {
    context.moveTo(x, y);
    for (const point of [[x + 1e-4, y], ...others]) context.lineTo(...point); // so that dots show
  }
  context.stroke();
}

/**
 * Return a board to draw on by mouse, finger, pen or keyboard; its canvas has the id, its buttons
 * `${id}-undo` and `${id}-clear`. onChange(pixels, as from `centred`) is called after each stroke
 * of a pointer, each key that draws or clears, and the buttons, but not after board.clear().
 */
function drawingBoard({ id, height, width, onChange }) {
  const canvas = make("canvas", {
    id, width: BOARD_SIDE, height: BOARD_SIDE, style: "touch-action: none", tabIndex: 0,
    role: "application", ariaRoleDescription: "drawing board", ariaLabel: BOARD_HINT,
  });
  const words = Object.assign(paragraph("readout", BOARD_HINT), { ariaLive: "polite" });
  let [strokes, stroke, pen, byKeys] = [[], null, [0.5, 0.5], false]; // stroke: if the pen is down

  function draw() {
    const [context, style] = [canvas.getContext("2d"), getComputedStyle(document.documentElement)];
    context.clearRect(0, 0, BOARD_SIDE, BOARD_SIDE);
    drawStrokes(context, style.getPropertyValue("--text"), strokes);
    if (!byKeys) return;
    drawStrokes(context, style.getPropertyValue("--chosen"), [[pen]], stroke ? PEN : PEN / 2);
    const [column, row] = pen.map((share) => Math.round(share * PEN_STEPS));
    words.textContent = `Pen ${stroke ? "down" : "up"}, column ${column}, row ${row}.`;
  }
  function tell() {
    const context = make("canvas", { width: INK_SIDE, height: INK_SIDE }).getContext("2d");
    drawStrokes(context, "black", strokes);
    const { data } = context.getImageData(0, 0, INK_SIDE, INK_SIDE);
    const ink = Float64Array.from(range(INK_SIDE ** 2), (at) => data[4 * at + 3] / 255);
    onChange(centred(ink, INK_SIDE, INK_SIDE, height, width));
  }
  function move(x, y) {
    pen = [clamp(x, 0, 1), clamp(y, 0, 1)];
    stroke?.push(pen);
    draw();
  }
  function put(...place) {
    strokes.push((stroke = []));
    move(...place);
  }
  function keep(kept) { // of the strokes; and lift the pen
    [strokes, stroke] = [kept, null];
    draw();
    tell();
  }

  const under = ({ clientX, clientY }) => {
    const box = canvas.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  };
  canvas.onpointerdown = (event) => {
    if (!event.isPrimary || event.button) return;
    canvas.setPointerCapture(event.pointerId);
    byKeys = false;
    put(...under(event));
  };
  canvas.onpointermove = (event) => {
    if (!event.isPrimary || !canvas.hasPointerCapture(event.pointerId)) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) move(...under(each));
  };
  canvas.onlostpointercapture = (event) => event.isPrimary && keep(strokes);
  canvas.onkeydown = (event) => {
    const [[x, y], step] = [pen, (event.shiftKey ? 4 : 1) / PEN_STEPS];
    const acts = {
      ArrowUp: () => move(x, y - step), ArrowDown: () => move(x, y + step),
      ArrowLeft: () => move(x - step, y), ArrowRight: () => move(x + step, y),
      " ": () => event.repeat || (stroke ? keep(strokes) : put(x, y)),
      Escape: () => keep([]), Delete: () => keep([]),
    };
    if (!(event.key in acts)) return;
    event.preventDefault();
    byKeys = true;
    acts[event.key]();
    if (stroke) tell();
  };
  canvas.onfocus = () => { byKeys = canvas.matches(":focus-visible"); draw(); };
  canvas.onblur = () => { [stroke, byKeys] = [null, false]; draw(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  const button = (name, kept) => make("button", {
    id: `${id}-${name.toLowerCase()}`, textContent: name, onclick: () => keep(kept()),
  });
  const tools = [button("Undo", () => strokes.slice(0, -1)), button("Clear", () => [])];
  const board = make("div", { className: "board" }, canvas, make("p", {}, ...tools), words);
  return Object.assign(board, { clear: () => { [strokes, stroke] = [[], null]; draw(); } });
}
