// What is looked at, and everything that follows from it.

const KIND = { ViT: classifying, Reader: reading }[DATA.kind]; // vit.js or reader.js

/** line; cell { array, i, j } or null; head; query, a patch, and row, a letter, as in data.js;
 *  digit, its number, or null if drawn; pixels; truth: the label, or null if it is unknown; name
 *  and warnings of the image; and what else is known of it */
const state = { line: null, cell: null, head: 0, query: 0, row: 0, pictures: [] };

/** Change what is looked at and draw it; the keyboard's focus stays where it is. */
function update(change) {
  const focused = document.activeElement?.id, before = state.line;
  Object.assign(state, change);
  if (before !== state.line && !change.cell) state.cell = null;
  state.cell ??= strongest(state.line.result);
  if (isOfPairs(state.cell.array)) state[rowsOf(state.cell.array).key] = state.cell.i;
  drawMap();
  drawPanel();
  drawHeads();
  explain(null);
  drawNudge();
  writeAddress();
  if (focused) byId(focused)?.focus({ preventScroll: true });
}

/** The cell to begin with: the largest, in the query's row if its rows are tokens that ask. */
function strongest(result) {
  const { rows, cols, at } = viewOf(result), { count, key } = rowsOf(result);
  const most = (i) => largestOf(range(cols).map((j) => at(i, j)));
  const sizes = () => range(rows).map((i) => at(i, most(i)));
  const asks = rows === count && !OF_MEMORY.test(result.name);
  const i = asks ? state[key] : OF_LETTERS.test(result.name) ? largestOf(sizes()) : 0;
  return { array: result, i, j: most(i) };
}

/** Look at another image. */
function show({ pixels, label = null, name = "", warnings = [], ...more }, digit = null) {
  Object.assign(state, more, { pixels, digit, name, warnings, truth: label });
  refresh();
}

/** Both passes, after the image or the weights have changed, and all that is seen of them. */
function refresh() {
  KIND.run();
  byId("verdict").textContent = Number.isFinite(net.loss())
    ? KIND.verdict(net.arrays.get("loss.dlogits@0").data)
    : "The loss is not a number any more: undo some steps.";
  byId("warnings").textContent = state.warnings.map((text) => `Warning: ${text}.`).join(" ");
  drawClasses();
  drawPixels();
  KIND.draw();
  update({});
}

/** The images to choose from, each with room for what the model reads. */
function drawDigits() {
  byId("digits").replaceChildren(...digits.map((digit, place) => {
    const C = MODEL.channels;
    const canvas = painted(HEIGHT, WIDTH, (i, j) =>
      range(3).map((c) => digit.pixels[(i * WIDTH + j) * C + (c % C)]));
    const button = choice(`digit-${place}`, "", false, () => {
      KIND.leave();
      show(digit, place);
    });
    button.append(canvas, make("small", { id: `read-${place}` }));
    return button;
  }));
}

function start() {
  for (const id of KIND.without) byId(id).remove();
  for (const line of document.querySelectorAll(".readout")) line.textContent = HINT;
  drawDigits();
  KIND.start();
  THEME.addEventListener("change", () => {
    scales.clear();
    refresh();
  });
  const first = !location.hash; // nobody has been here
  state.line = net.arrays.get(KIND.first).line;
  readAddress();
  show(digits[state.digit ?? DATA.start], state.digit ?? DATA.start);
  if (first) KIND.welcome();
}
start();
