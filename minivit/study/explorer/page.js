// What is looked at, and everything that follows from it.

const state = { block: 0, head: 0, query: 0, stop: 0, line: "dscores", chosen: null };
const L = MODEL.depth;
const last = 2 * L + 3; // stops: image, blocks, output, and back

/** Change what is looked at and draw the page anew; the keyboard's focus stays where it is. */
function update(change) {
  const before = { ...state };
  Object.assign(state, change);
  const focused = document.activeElement?.id;
  state.lines = linesOf(state.block, state.head);
  const moved = ["block", "head", "query", "line"].some((name) => before[name] !== state[name]);
  const line = state.lines.find(({ id }) => id === state.line);
  if (!state.chosen || (moved && !change.chosen)) state.chosen = strongest(line);
  const matrices = [line.result, ...line.operands.filter((part) => typeof part !== "string")];
  const matrix = matrices.find(({ symbol }) => symbol === state.chosen.symbol) ?? line.result;
  const i = Math.min(state.chosen.i, matrix.rows - 1);
  const j = Math.min(state.chosen.j, matrix.cols - 1);
  state.chosenCell = { matrix, i, j };
  if (isOfPairs(matrix)) state.query = i;
  drawJourney();
  drawHead();
  drawLines(line);
  drawEquation(line);
  explain(null);
  nudge(state.chosenCell);
  if (focused) byId(focused)?.focus({ preventScroll: true });
}

/** The cell to begin with: the largest, in the query's row if the matrix has one. */
function strongest({ result }) {
  const rows = { token: state.query, patch: Math.max(state.query - FIRST, 0) };
  const i = rows[result.rowsAre] ?? 0;
  return { symbol: result.symbol, i, j: strongestColumn(result, i) };
}

/** Where the page begins: at the attention score with the largest gradient. */
function start() {
  let best = { size: -1 };
  for (let block = 0; block < L; block++) {
    const { shape, numbers } = arrayOf(`blocks.${block}.attn.dscores@0`);
    numbers.forEach((value, place) => {
      if (Math.abs(value) <= best.size) return;
      const row = Math.floor(place / shape[3]);
      const [head, query] = [Math.floor(row / shape[2]), row % shape[2]];
      best = { size: Math.abs(value), block, head, query };
    });
  }
  const { block, head, query } = best;
  return { block, head, query, stop: last - 1 - block };
}

/** A stop of the walk: how far it is from the image, and whether on the way back. */
function stopAt(stop) {
  const back = stop > L + 1;
  return { back, place: back ? last - stop : stop };
}

/** Go to a stop: its part of the model, and the line that belongs to it. */
function walk(stop) {
  const { back, place } = stopAt(stop);
  if (place === 0) update({ stop, line: back ? "dpatches" : "tokens" });
  else if (place > L) update({ stop, line: back ? "dlogits" : "p" });
  else update({ stop, block: place - 1, line: back ? "dscores" : "att" });
}

function stopInWords(stop) {
  const { back, place } = stopAt(stop);
  const end = back ? "the pixels" : "the image";
  const where = place === 0 ? end : place > L ? "the output" : `block ${place - 1}`;
  return `${back ? "backward" : "forward"}: ${where}`;
}

/** What the image is, as far as that is known, and what the model reads. */
function verdict() {
  const p = arrayOf("loss.dlogits@0").numbers;
  const best = p.indexOf(Math.max(...p));
  const name = (place) => `“${DATA.classes[place]}”`;
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const reads = `The model reads ${name(best)} (${percent(p[best])}).`;
  if (!DATA.labelled) return `${reads} No label was given, so the loss is that of ${name(best)}:`;
  const label = name(DATA.label);
  const less = best === DATA.label ? "" : ` It gives ${label} ${percent(p[DATA.label])}.`;
  return `This is ${label}. ${reads}${less} The loss is`;
}

for (const line of document.querySelectorAll(".readout")) line.textContent = HINT;
byId("walk").addEventListener("input", (event) => walk(Number(event.target.value)));
THEME.addEventListener("change", () => update({}));
byId("verdict").textContent =
  `${verdict()} ${format(DATA.loss)}. Below is every number behind it, and every gradient.`;
byId("warnings").textContent = DATA.warnings.map((text) => `Warning: ${text}.`).join(" ");
update(start());
