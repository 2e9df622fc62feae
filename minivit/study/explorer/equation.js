// One line at a time: its matrices side by side, and the sum behind the number pointed at.

const keyOf = (matrix) => `${matrix.name} ${matrix.symbol}`;
const shown = []; // the matrices on the page: { matrix, canvas, scroller, side }

const NARROW = matchMedia("(max-width: 1000px)"); // one column, as in page.css
const FINGER = matchMedia("(pointer: coarse)");

function drawEquation(line) {
  const parts = [line.result, "=", ...line.operands];
  const cols = parts.reduce((total, part) => total + (part.cols ?? 0), 0);
  const wide = NARROW.matches || FINGER.matches;
  const side = wide ? 16 : clamp(Math.floor(620 / cols), 4, 16); // of a cell, so that factors match
  const scrolled = new Map(shown.map(({ matrix, scroller: { scrollLeft, scrollTop } }) =>
    [keyOf(matrix), [scrollLeft, scrollTop]]));
  shown.length = 0;
  const figures = parts.map((part, place) =>
    typeof part === "string"
      ? make("span", { className: "operator", textContent: part })
      : matrixFigure(part, `matrix-${place}`, side),
  );
  byId("equation").replaceChildren(...figures);
  for (const { matrix, scroller } of shown) {
    [scroller.scrollLeft, scroller.scrollTop] = scrolled.get(keyOf(matrix)) ?? [0, 0];
  }
  byId("line-words").textContent = line.words;
  const code = line.code.map((name) => DATA.code[name]).filter(({ source }) => source);
  byId("code").textContent = code.map(({ source, place }) => `# ${place}\n${source}`).join("\n");
}

function matrixFigure(matrix, id, side) {
  const { symbol, rows, cols, at, row } = matrix;
  const negative = range(rows).some((i) => row(i).some((value) => value < 0));
  const { colour, extent } = colouring(rows, cols, at, negative ? "--sign" : "--amount");
  const canvas = heatmap({
    id, rows, cols, side, colour,
    describe: (i, j) => `${cell(matrix, i, j).symbol} = ${format(at(i, j))}`,
    label: `${symbol}, ${rows} rows, ${cols} columns`,
    onPoint: (i, j) => explain(i === null ? null : { matrix, i, j }),
    onChoose: (i, j) => update({ chosen: { symbol, i, j } }),
  });
  const scroller = make("div", { className: "scroller" }, canvas);
  shown.push({ matrix, canvas, scroller, side });
  const name = make("b", { textContent: symbol });
  const caption = make("figcaption", {}, name, ` ${rows} × ${cols}, ${extent}`);
  return make("figure", {}, caption, scroller);
}

/** Show where a number comes from and mark what it reads; without one, the chosen number. */
function explain(pointed) {
  const { matrix, i, j } = pointed ?? state.chosenCell;
  const line = state.lines.find(({ result }) => keyOf(result) === keyOf(matrix));
  const term = line?.term(i, j);
  for (const { matrix: other, canvas, scroller, side } of shown) {
    const same = (cell) => keyOf(cell.matrix) === keyOf(other);
    const cells = (term?.cells ?? []).filter(same).map((cell) => [cell.i, cell.j]);
    const own = keyOf(matrix) === keyOf(other) ? [i, j] : null;
    canvas.mark(cells, own);
    if (!pointed) reveal(scroller, own ?? cells[0] ?? [0, 0], side);
  }
  for (const map of state.pictures) map.markKey(isOfPairs(matrix) ? j : null);
  const { symbol, digits } = cell(matrix, i, j);
  const [name, number] = [make("b", {}, symbol), make("strong", {}, digits)];
  byId("sum").replaceChildren(
    paragraph("number", name, number, placeInWords(matrix, i, j)),
    ...(term ? working(symbol, term) : [paragraph("from", originOf(matrix))]),
  );
}

/** Scroll a matrix that is larger than its frame to a cell. */
function reveal(scroller, [i, j], side) {
  const nearest = (from, frame, start) =>
    Math.min(Math.max(from, start + side + 8 - frame), Math.max(start - 8, 0));
  scroller.scrollLeft = nearest(scroller.scrollLeft, scroller.clientWidth, j * side);
  scroller.scrollTop = nearest(scroller.scrollTop, scroller.clientHeight, i * side);
}

/** The formula of a number, its digits, each sum in it, and the result. */
function working(symbol, term) {
  const rows = [paragraph("formula", `${symbol} = ${term.symbol}`)];
  const [only] = term.sums;
  if (term.digits !== format(term.value)) rows.push(paragraph("digits", `= ${term.digits}`));
  for (const one of term.sums) {
    const start = term.sums.length === 1 && only.value === term.value ? "= " : `${one.symbol} = `;
    rows.push(paragraph("digits", start + written(one)));
  }
  const result = make("strong", {}, format(term.value));
  return [...rows, paragraph("total", "=", result, "computed here from the numbers above")];
}

function placeInWords(matrix, i, j) {
  if (isOfPairs(matrix)) return `${tokenName(i)} attends to ${tokenName(j)}`;
  const tokens = { token: i, patch: FIRST + i };
  return matrix.rowsAre ? `of ${tokenName(tokens[matrix.rowsAre])}` : "";
}

function originOf(matrix) {
  if (matrix.name.endsWith(".w") || matrix.name.endsWith(".b")) return "A learned parameter.";
  if (/(^|\.)dy$/.test(matrix.symbol)) return "It comes back from the layer after this one.";
  if (matrix.symbol.startsWith("d")) return "Other lines of this group compute it.";
  return "It comes from the layer before, or from all heads together.";
}
