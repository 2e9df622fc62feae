// One line at a time: its matrices side by side, and the sum that makes the number pointed at.

const keyOf = (matrix) => `${matrix.name} ${matrix.symbol}`;

const NARROW = matchMedia("(max-width: 1000px)"); // one column, as in page.css
const FINGER = matchMedia("(pointer: coarse)");

/** The side of a cell: the same in all matrices of a line, so that what is multiplied matches. */
function sideOf(parts) {
  const cols = parts.reduce((total, part) => total + (part.cols ?? 0), 0);
  return NARROW.matches || FINGER.matches ? 16 : Math.max(4, Math.min(16, Math.floor(620 / cols)));
}

/** Where the sum stands below what was tapped, and not beside it, bring it into view. */
function showSum() {
  if (NARROW.matches) byId("equation-box").scrollIntoView();
}

/** Draw the line's matrices into the page; what is shown is kept for marking. */
function drawEquation(line) {
  const box = document.getElementById("equation");
  const parts = [line.result, "=", ...line.operands];
  const side = sideOf(parts);
  const scrolled = new Map(shown.map(({ matrix, scroller: { scrollLeft, scrollTop } }) =>
    [keyOf(matrix), [scrollLeft, scrollTop]]));
  shown.length = 0;
  box.replaceChildren(
    ...parts.map((part, place) =>
      typeof part === "string" ? operator(part) : matrixFigure(part, `matrix-${place}`, side),
    ),
  );
  for (const { matrix, scroller } of shown) {
    [scroller.scrollLeft, scroller.scrollTop] = scrolled.get(keyOf(matrix)) ?? [0, 0];
  }
  document.getElementById("line-words").textContent = line.words;
  const code = line.code.map((name) => DATA.code[name]).filter(({ source }) => source);
  const text = code.map(({ source, place }) => `# ${place}\n${source}`).join("\n");
  document.getElementById("code").textContent = text;
}

const shown = []; // the matrices in the page: { matrix, canvas, scroller, side }

function operator(text) {
  const span = document.createElement("span");
  span.className = "operator";
  span.textContent = text;
  return span;
}

function matrixFigure(matrix, id, side) {
  const signed = someNegative(matrix);
  const scale = signed ? "--sign" : "--amount";
  const { colour, largest } = colouring(matrix.rows, matrix.cols, matrix.at, scale);
  const describe = (i, j) => `${cell(matrix, i, j).symbol} = ${format(matrix.at(i, j))}`;
  const canvas = heatmap({
    id,
    rows: matrix.rows,
    cols: matrix.cols,
    side,
    colour,
    describe,
    label: `${matrix.symbol}, ${matrix.rows} rows, ${matrix.cols} columns`,
    onPoint: (i, j) => explain(i === null ? null : { matrix, i, j }),
    onChoose: (i, j) => update({ chosen: { symbol: matrix.symbol, i, j } }),
  });
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const name = document.createElement("b");
  name.textContent = matrix.symbol;
  caption.append(
    name,
    ` ${matrix.rows} × ${matrix.cols}, ${signed ? "±" : "0 to "}${format(largest)}`,
  );
  const scroller = document.createElement("div");
  scroller.className = "scroller";
  scroller.append(canvas);
  shown.push({ matrix, canvas, scroller, side });
  figure.append(caption, scroller);
  return figure;
}

function someNegative({ rows, cols, at }) {
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) if (at(i, j) < 0) return true;
  return false;
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
  const key = isOfPairs(matrix) ? j : null;
  for (const map of state.pictures) map.markKey(key);
  const box = document.getElementById("sum");
  const { symbol, digits } = cell(matrix, i, j);
  const rows = [paragraph("number", [symbol, digits], ["b", "strong"])];
  rows[0].append(` ${placeInWords(matrix, i, j)}`);
  if (term) rows.push(...working(symbol, term));
  else rows.push(paragraph("from", [originOf(matrix)]));
  box.replaceChildren(...rows);
}

/** Scroll a matrix that is larger than its frame to a cell. */
function reveal(scroller, [i, j], side) {
  const nearest = (from, frame, start) =>
    Math.min(Math.max(from, start + side + 8 - frame), Math.max(start - 8, 0));
  scroller.scrollLeft = nearest(scroller.scrollLeft, scroller.clientWidth, j * side);
  scroller.scrollTop = nearest(scroller.scrollTop, scroller.clientHeight, i * side);
}

function working(symbol, term) {
  const rows = [paragraph("formula", [`${symbol} = ${term.symbol}`])];
  const [only] = term.sums;
  if (term.digits !== format(term.value)) rows.push(paragraph("digits", [`= ${term.digits}`]));
  for (const one of term.sums) {
    const start = term.sums.length === 1 && only.value === term.value ? "= " : `${one.symbol} = `;
    rows.push(paragraph("digits", [start + written(one)]));
  }
  rows.push(paragraph("total", ["=", format(term.value)], ["span", "strong"]));
  rows.at(-1).append(" added up here, from the numbers above");
  return rows;
}

function paragraph(kind, texts, tags = []) {
  const row = document.createElement("p");
  row.className = kind;
  texts.forEach((text, place) => {
    const part = document.createElement(tags[place] ?? "span");
    part.textContent = text;
    row.append(part, " ");
  });
  return row;
}

function placeInWords(matrix, i, j) {
  if (isOfPairs(matrix)) return `${tokenName(i)} looks at ${tokenName(j)}`;
  const tokens = { token: i, patch: FIRST + i };
  return matrix.rowsAre ? `of ${tokenName(tokens[matrix.rowsAre])}` : "";
}

function originOf(matrix) {
  if (matrix.name.endsWith(".w") || matrix.name.endsWith(".b")) return "A weight: it was learnt.";
  if (/(^|\.)dy$/.test(matrix.symbol)) return "It comes back from the layer after this one.";
  if (matrix.symbol.startsWith("d")) return "It is put together by another line of this group.";
  return "It comes from the layer before, or from all heads together.";
}
