// A part of the network: its lines, the matrices of one of them, and the sum behind a number.

const views = []; // the matrices on the page: { view, canvas, scroller, side }
const NARROW = matchMedia("(max-width: 1279px)"); // the panel is below the map, as in page.css
const FINGER = matchMedia("(pointer: coarse)");
const HEADS = /\.(attn|cross)$/; // parts that have heads
// Arrays of pairs, query and key:
const PAIRS = /(attn|cross)\.(d?scores(@[01])?|datt|softmax\.(y|dx|shifted@0|numer@0))$/;
const isOfPairs = ({ name }) => PAIRS.test(name);

/** A matrix of an array: that of one head if it has one for each. */
function viewOf(array, s = state.head) {
  const [S, rows, cols] = array.shape;
  return { array, s: S > 1 ? s : 0, rows, cols, at: (i, j) => array.at(s, i, j) };
}

const symbolAt = ({ array, s }, i, j) => array.term(s, i, j).symbol;
const written = ({ result, formula }) => `${result.symbol} = ${formula.symbol}`;

/** The arrays that a formula reads, each once. */
function operandsOf(formula) {
  const arrays = formula.parts.flatMap((part) => (part.data ? [part] : operandsOf(part)));
  return [...new Set(arrays)];
}

function drawPanel() {
  const { line } = state, { title, words } = aboutPart(line.part), { heads } = MODEL;
  byId("part-title").textContent = title;
  byId("part-words").replaceChildren(...explained(words));
  byId("heads").hidden = heads === 1 || !HEADS.test(line.part);
  byId("heads").replaceChildren(byId("heads").firstElementChild, ...range(heads).map((head) =>
    choice(`heads-${head}`, head, head === state.head, () => update({ head }))));
  byId("lines").replaceChildren(...["forward", "backward"].map((phase) => {
    const lines = net[phase].filter(({ part, formula }) => part === line.part && !formula.copyOf);
    const buttons = lines.map((other) => {
      const { name, symbol } = other.result, title = written(other);
      const see = () => update({ line: other });
      const button = choice(`line-${name}`, symbol, other === line, see);
      return Object.assign(button, { title, ariaLabel: title });
    });
    return make("div", {}, make("span", { className: "direction" }, phase), ...buttons);
  }));
  byId("line-formula").textContent = written(line);
  const { key } = aboutPart(line.part);
  const sentence = SENTENCES[`${key} ${line.kind}`] ?? SENTENCES[line.kind] ??
    SENTENCES[line.kind.split("@")[0]] ?? "What comes in.";
  byId("line-words").replaceChildren(sentence, ...derivationOf(line));
  drawMatrices([line.result, ...operandsOf(line.formula)]);
}

/** A link to the page that derives a line. */
function derivationOf({ kind, part }) {
  const page = { linear: "linear", softmax: "softmax", gelu: "gelu" }[kind.split(".")[0]];
  const href = `${DATA.derivations}${page ?? aboutPart(part).page}.md`;
  return DATA.derivations ? [" ", make("a", { href, textContent: "Its derivation" })] : [];
}

function drawMatrices(arrays) {
  const cols = arrays.reduce((total, { shape }) => total + shape[2], 0);
  const room = (byId("equation").clientWidth - 60) / cols;
  const side = clamp(Math.floor(room), FINGER.matches ? 16 : 4, 16); // the same for all
  const scrolled = new Map(views.map(({ view, scroller: { scrollLeft, scrollTop } }) =>
    [view.array, { scrollLeft, scrollTop }]));
  views.length = 0;
  byId("equation").replaceChildren(...arrays.map((one, place) =>
    matrixFigure(viewOf(one), `matrix-${place}`, side)));
  for (const { view, scroller } of views) Object.assign(scroller, scrolled.get(view.array));
}

/** The scale of an array's colours, and what its ends mean. */
function legendOf({ of, data }) {
  if (!data.some((value) => value < 0)) return ["amount", "zero", "largest"];
  return ["sign", ...(of ? ["raising it lowers the loss", "raises it"] : ["negative", "positive"])];
}

function matrixFigure(view, id, side) {
  const { array: one, rows, cols, at } = view, [scale, low, high] = legendOf(one);
  const { colour, extent } = colouring(rows, cols, at, `--${scale}`);
  const canvas = heatmap({
    id, rows, cols, side, colour,
    label: `${one.symbol}, ${rows} rows, ${cols} columns`,
    describe: (i, j) => `${symbolAt(view, i, j)} = ${format(at(i, j))}`,
    onPoint: (i, j) => explain(i === null ? null : { array: one, i, j }),
    onChoose: (i, j) => update({ cell: { array: one, i, j } }),
  });
  const scroller = make("div", { className: "scroller" }, canvas);
  views.push({ view, canvas, scroller, side });
  const size = ` ${rows} × ${cols}, ${extent}`, name = make("b", {}, one.symbol);
  const caption = make("figcaption", {}, name, size);
  const bar = make("span", { className: `scale ${scale}` });
  return make("figure", {}, caption, scroller, make("p", { className: "legend" }, low, bar, high));
}

/** Show where a number comes from and mark what it reads; without one, the chosen number. */
function explain(pointed) {
  const { array: one, i, j } = pointed ?? state.cell, view = viewOf(one);
  const term = one.line?.formula.term(view.s, i, j), symbol = symbolAt(view, i, j);
  for (const { view: other, canvas, scroller, side } of views) {
    const cells = (term?.cells ?? []).filter((cell) => cell.array === other.array);
    const places = cells.map((cell) => [cell.i, cell.j]), own = one === other.array ? [i, j] : null;
    canvas.mark(places, own);
    if (!pointed) reveal(scroller, own ?? places[0] ?? [0, 0], side);
  }
  const keys = isOfPairs(one) ? keysOf(one) : null;
  for (const map of state.pictures) map.markKey(map.sequence === keys ? j : null);
  const value = make("strong", {}, format(view.at(i, j)));
  byId("sum").replaceChildren(
    paragraph("number", make("b", {}, symbol), value, placeInWords(one, i, j)),
    ...(term ? working(symbol, term) : [paragraph("from", originOf(one))]),
  );
  const { source, place } = codeOf(one.line?.code) ?? {};
  byId("code").textContent = source ? `# ${place}\n${source}` : "";
}

/** Scroll a matrix that is larger than its frame to a cell. */
function reveal(scroller, [i, j], side) {
  const nearest = (from, frame, start) =>
    Math.min(Math.max(from, start + side + 8 - frame), Math.max(start - 8, 0));
  scroller.scrollLeft = nearest(scroller.scrollLeft, scroller.clientWidth, j * side);
  scroller.scrollTop = nearest(scroller.scrollTop, scroller.clientHeight, i * side);
}

/** The formula of a number, its digits, each sum in it, and the result. */
function working(symbol, { symbol: formula, digits, value, sums }) {
  const rows = [paragraph("formula", `${symbol} = ${formula}`)];
  if (digits !== format(value)) rows.push(paragraph("digits", `= ${digits}`));
  for (const sum of sums) {
    const start = sums.length === 1 && sum.value === value ? "= " : `${sum.symbol} = `;
    rows.push(paragraph("digits", start + spelled(sum)));
  }
  const result = make("strong", {}, format(value));
  return [...rows, paragraph("total", "=", result, "computed here from the numbers above")];
}

function placeInWords(one, i, j) {
  const { line, of, shape: [, rows] } = one, { count, nameOf } = rowsOf(one);
  if (isOfPairs(one)) return `${nameOf(i)} ${sees(one, i, j)} ${keysOf(one).nameOf(j)}`;
  if (!line || of?.gradient || rows === 1) return "";
  const first = rows === count ? 0 : FIRST; // the patches alone have no class token
  return rows + first === count ? `of ${nameOf(first + i)}` : "";
}

const sees = (one, i, j) =>
  (keysOf(one) === LETTERS && j > i ? "must not look ahead to" : "attends to");

function originOf({ gradient, name }) {
  if (gradient) return "A learned parameter.";
  return name === "images" ? "A pixel, after its normalisation." : "A fixed position.";
}
