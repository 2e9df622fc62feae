// What is looked at, and everything that follows from it.

/** line; cell { array, i, j } or null; head; query; digit, its number, or null if drawn; pixels;
 *  truth: the label, or null if it is unknown; name and warnings of the image */
const state = { line: null, cell: null, head: 0, query: 0, pictures: [] };

/** Change what is looked at and draw it; the keyboard's focus stays where it is. */
function update(change) {
  const focused = document.activeElement?.id, before = state.line;
  Object.assign(state, change);
  if (before !== state.line && !change.cell) state.cell = null;
  state.cell ??= strongest(state.line.result);
  if (isOfPairs(state.cell.array)) state.query = state.cell.i;
  drawMap();
  drawPanel();
  drawHeads();
  explain(null);
  drawNudge();
  writeAddress();
  if (focused) byId(focused)?.focus({ preventScroll: true });
}

/** The cell to begin with: the largest, in the query's row if each token has one. */
function strongest(result) {
  const view = viewOf(result), i = view.rows === MODEL.tokens ? state.query : 0;
  return { array: result, i, j: largestOf(range(view.cols).map((j) => view.at(i, j))) };
}

/** Look at another image; without a label the loss is that of what the model reads. */
function show({ pixels, label = null, name = "", warnings = [] }, digit = null) {
  Object.assign(state, { pixels, digit, name, warnings, truth: label });
  refresh();
}

/** Both passes, after the image or the weights have changed, and all that is seen of them. */
function refresh() {
  run(net, normalised(state.pixels), state.truth);
  byId("truth").value = state.truth ?? "";
  byId("verdict").textContent = verdict();
  byId("warnings").textContent = state.warnings.map((text) => `Warning: ${text}.`).join(" ");
  drawClasses();
  drawPixels();
  drawLearning();
  readOthers();
  update({});
}

/** What the image is, as far as that is known, and what the model reads. */
function verdict() {
  const p = net.arrays.get("loss.dlogits@0").data;
  if (!Number.isFinite(net.loss())) return "The loss is not a number any more: undo some steps.";
  const best = largestOf(p), name = (place) => `“${DATA.classes[place]}”`;
  const reads = `The model reads ${name(best)} (${percent(p[best])}).`;
  const loss = `The loss is ${format(net.loss())}.`;
  const assumed = `No label is given, so the loss is that of ${name(best)}.`;
  if (state.truth === null) return `${reads} ${assumed} ${loss}`;
  const less = best === net.label ? "" : ` It gives ${name(net.label)} ${percent(p[net.label])}.`;
  return `This is ${name(net.label)}. ${reads}${less} ${loss}`;
}

/** The digits to choose from, each with what the model reads now. */
function drawDigits() {
  byId("digits").replaceChildren(...digits.map((digit, place) => {
    const C = MODEL.channels;
    const canvas = painted(HEIGHT, WIDTH, (i, j) =>
      range(3).map((c) => digit.pixels[(i * WIDTH + j) * C + (c % C)]));
    const button = choice(`digit-${place}`, "", false, () => {
      board?.clear();
      show(digit, place);
    });
    button.append(canvas, make("small", { id: `read-${place}` }));
    return button;
  }));
}

let [reading, board] = [0, null];

function readOthers() {
  const turn = ++reading; // an older turn ends where a newer one begins
  const buttons = digits.map((_, place) => byId(`digit-${place}`));
  buttons.forEach((button, place) => (button.ariaPressed = place === state.digit));
  const next = (place) => {
    if (turn !== reading || place === digits.length || learning.running) return;
    const { pixels, label, name } = digits[place], p = learner.arrays.get("loss.dlogits@0").data;
    read(learner, normalised(pixels));
    const best = largestOf(p), truth = label === null ? "" : `${DATA.classes[label]}, `;
    const title = `${name}: ${truth}reads ${DATA.classes[best]}, ${percent(p[best])}`;
    const className = label === null || best === label ? "right" : "wrong";
    Object.assign(buttons[place], { className, title, ariaLabel: title });
    byId(`read-${place}`).textContent = DATA.classes[best];
    setTimeout(next, 0, place + 1);
  };
  setTimeout(next, 50, 0);
}

function start() {
  byId("truth").append(...DATA.classes.map((name, value) => make("option", { value }, name)));
  byId("truth").onchange = ({ target: { value } }) =>
    show({ ...state, label: value === "" ? null : Number(value) }, state.digit);
  drawDigits();
  startLearning();
  THEME.addEventListener("change", () => {
    scales.clear();
    refresh();
  });
  for (const line of document.querySelectorAll(".readout")) line.textContent = HINT;
  if (DATA.drawing) {
    const onChange = (pixels) => pixels && show({ pixels });
    board = drawingBoard({ id: "board", height: HEIGHT, width: WIDTH, onChange });
    byId("board-box").replaceChildren(board);
  }
  startTour();
  const first = !location.hash; // nobody has been here: the page begins with the tour
  state.line = net.arrays.get("patches.patches").line;
  readAddress();
  show(digits[state.digit ?? DATA.start], state.digit ?? DATA.start);
  if (first) openTour(0);
}
start();
