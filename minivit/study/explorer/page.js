// What is looked at, and everything that follows from it.

const state = { block: 0, head: 0, query: 0, stop: 0, line: "dscores", chosen: null };
const L = MODEL.depth;
const stopOf = (words, shows) => ({ words, shows });
const STOPS = [ // of the walk
  stopOf("forward: the image", { line: "tokens" }),
  ...range(L).map((block) => stopOf(`forward: block ${block}`, { block, line: "att" })),
  stopOf("forward: the output", { line: "p" }),
  stopOf("backward: the output", { line: "dlogits" }),
  ...range(L).reverse().map((block) =>
    stopOf(`backward: block ${block}`, { block, line: "dscores" })),
  stopOf("backward: the pixels", { line: "dpatches" }),
];
const last = STOPS.length - 1;

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

/** Choose a number of a line from a map, and show its sum. */
function choose(line, { matrix, i, j }) {
  update({ line, chosen: { symbol: matrix.symbol, i, j } });
  if (NARROW.matches) byId("equation-box").scrollIntoView(); // there the sum is below the map
}

/** The cell to begin with: the largest, in the query's row if the matrix has one. */
function strongest({ result }) {
  const rows = { token: state.query, patch: Math.max(state.query - FIRST, 0) };
  const i = rows[result.rowsAre] ?? 0;
  return { symbol: result.symbol, i, j: strongestColumn(result, i) };
}

/** Where the page begins: at the attention score with the largest gradient. */
function start() {
  let [largest, best] = [-1, null];
  for (const block of range(L))
    for (const head of range(MODEL.heads))
      for (const query of range(MODEL.tokens)) {
        const row = ofHead("dscores", `blocks.${block}.attn.dscores@0`, head).row(query);
        const size = Math.max(...row.map(Math.abs));
        if (size > largest) best = { block, head, query, stop: last - 1 - block };
        largest = Math.max(largest, size);
      }
  return best;
}

/** Go to a stop: its part of the model, and the line that belongs to it. */
const walk = (stop) => update({ stop, ...STOPS[stop].shows });

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
