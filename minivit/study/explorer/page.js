// What is looked at, and everything that follows from it.

const state = { block: 0, head: 0, query: 0, stop: 0, line: "dscores", chosen: null };
const L = MODEL.depth;
const last = 2 * L + 3; // stops: image, blocks, answer, and back
const byId = (id) => document.getElementById(id);

/** Change what is looked at and draw the page anew; the keyboard stays where it is. */
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
  const [i, j] = [
    Math.min(state.chosen.i, matrix.rows - 1),
    Math.min(state.chosen.j, matrix.cols - 1),
  ];
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

/** The cell to begin with: of the query's row, if it has one, the one that matters most. */
function strongest({ result }) {
  const rows = { token: state.query, patch: Math.max(state.query - FIRST, 0) };
  const i = rows[result.rowsAre] ?? 0;
  let best = 0;
  for (let j = 0; j < result.cols; j++) {
    if (Math.abs(result.at(i, j)) > Math.abs(result.at(i, best))) best = j;
  }
  return { symbol: result.symbol, i, j: best };
}

/** Where a visitor begins: at the attention score that matters most. */
function start() {
  let best = { size: -1 };
  for (let block = 0; block < L; block++) {
    const { shape, numbers } = arrayOf(`blocks.${block}.attn.dscores@0`);
    numbers.forEach((value, place) => {
      if (Math.abs(value) <= best.size) return;
      const row = Math.floor(place / shape[3]);
      best = {
        size: Math.abs(value),
        block,
        head: Math.floor(row / shape[2]),
        query: row % shape[2],
      };
    });
  }
  const { block, head, query } = best;
  return { block, head, query, stop: last - 1 - block };
}

/** What a stop of the walk is: how far from the image, and whether on the way back. */
function stopAt(stop) {
  const back = stop > L + 1;
  return { back, place: back ? last - stop : stop };
}

/** Go to a stop: the part of the model, and the line that belongs to it. */
function walk(stop) {
  const { back, place } = stopAt(stop);
  if (place === 0) update({ stop, line: back ? "dpatches" : "tokens" });
  else if (place > L) update({ stop, line: back ? "dlogits" : "p" });
  else update({ stop, block: place - 1, line: back ? "dscores" : "att" });
}

function stopInWords(stop) {
  const { back, place } = stopAt(stop);
  const end = back ? "the pixels" : "the image";
  const where = place === 0 ? end : place > L ? "the answer" : `block ${place}`;
  return `${back ? "backward" : "forward"}: ${where}`;
}

function verdict() {
  const p = arrayOf("loss.dlogits@0").numbers;
  const said = p.indexOf(Math.max(...p));
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const words =
    said === DATA.label
      ? `This is “${DATA.classes[said]}”, and the model says so with ${percent(p[said])}.`
      : `This is “${DATA.classes[DATA.label]}”. The model says “${DATA.classes[said]}” with ` +
        `${percent(p[said])}, and gives the truth ${percent(p[DATA.label])}.`;
  byId("verdict").textContent =
    `${words} The loss is ${format(DATA.loss)}; below is all of what made it, ` +
    "and of what flows back.";
}

for (const line of document.querySelectorAll(".readout")) line.textContent = HINT;
byId("walk").addEventListener("input", (event) => walk(Number(event.target.value)));
THEME.addEventListener("change", () => update({}));
verdict();
update(start());
