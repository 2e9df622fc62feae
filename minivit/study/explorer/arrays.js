// The numbers of the page, and matrices: two-dimensional views of them. All counting is from 0.

const DATA = JSON.parse(byId("data").textContent);
const MODEL = DATA.model;
const PATCH = MODEL.patch_size;
const [HEIGHT, WIDTH] = MODEL.image_size;
const GRID = { rows: HEIGHT / PATCH, cols: WIDTH / PATCH }; // of the patches
const FIRST = MODEL.tokens - MODEL.patches; // 1 if a class token comes before the patches

const unpacked = new Map();

/** A packed array: its shape and its numbers. */
function unpack(packed) {
  if (!unpacked.has(packed)) {
    const bytes = Uint8Array.from(atob(packed.float64), (letter) => letter.charCodeAt(0));
    unpacked.set(packed, { shape: packed.shape, numbers: new Float64Array(bytes.buffer) });
  }
  return unpacked.get(packed);
}

const arrayOf = (name) => unpack(DATA.arrays[name]);

function numberAt({ shape, numbers }, index) {
  return numbers[index.reduce((offset, place, axis) => offset * shape[axis] + place, 0)];
}

/**
 * A matrix on the page.
 *
 * symbol: its name in the formulas         name: the name of its array in the trace
 * index:  (row, column) -> index in the array
 * of:     for a gradient, the name of the array in the forward that it is the gradient of
 * moves:  the name of the array to move when a number of the matrix is chosen; null if no loss
 *         depends on it, as for what the backward computes
 * rowsAre, colsAre: what a row and a column stand for, "token", "patch" or "" for anything else;
 *         sizes cannot tell, as a head may be as wide as there are tokens
 */
function matrix(symbol, name, rows, cols, index, of = null, rowsAre = "", colsAre = "") {
  const array = arrayOf(name);
  const moves = of ?? (DATA.fixed.includes(name) ? null : name);
  const at = (i, j) => numberAt(array, index(i, j));
  const row = (i) => range(cols).map((j) => at(i, j));
  return { symbol, name, rows, cols, index, of, moves, at, row, rowsAre, colsAre };
}

/** (1, T, D) or (1, N, …): a row for each token, or for each patch. */
function tokens(symbol, name, of, rowsAre = "token") {
  const [, rows, cols] = arrayOf(name).shape;
  return matrix(symbol, name, rows, cols, (i, j) => [0, i, j], of, rowsAre);
}

/** One head of (1, h, T, d), or of (1, h, T, T) if its columns are tokens too. */
function ofHead(symbol, name, head, of, colsAre = "") {
  const [, , rows, cols] = arrayOf(name).shape;
  return matrix(symbol, name, rows, cols, (i, j) => [0, head, i, j], of, "token", colsAre);
}

/** Whether each number of a matrix belongs to a query and a key. */
const isOfPairs = ({ rowsAre, colsAre }) => rowsAre === "token" && colsAre === "token";

/** (d_in, d_out) or (d_out,): weights or a bias, or some of their columns. */
function columns(symbol, name, of = null, from = 0, count = null) {
  const { shape } = arrayOf(name);
  const [rows, all] = shape.length === 2 ? shape : [1, shape[0]];
  const index = (i, j) => (shape.length === 2 ? [i, from + j] : [from + j]);
  return matrix(symbol, name, rows, count ?? all, index, of);
}

/** A number with four digits, as everywhere on the page. */
function format(value) {
  const size = Math.abs(value);
  const plain = value === 0 || (size >= 1e-3 && size < 1e5);
  const text = value === 0 ? "0" : plain ? value.toPrecision(4) : value.toExponential(3);
  return text.replaceAll("-", "−");
}

function tokenName(token) {
  return token < FIRST ? "class token" : `patch ${placeOfPatch(token)}`;
}

function placeOfPatch(token) {
  return [Math.floor((token - FIRST) / GRID.cols), (token - FIRST) % GRID.cols];
}
