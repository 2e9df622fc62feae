"use strict";
// The numbers of the page, and the matrices that are looked at: two-dimensional views of them.

const DATA = JSON.parse(document.getElementById("data").textContent);
const MODEL = DATA.model;
const PATCH = MODEL.patch_size;
const [HEIGHT, WIDTH] = MODEL.image_size;
const GRID = { rows: HEIGHT / PATCH, cols: WIDTH / PATCH }; // of the patches
const FIRST = MODEL.tokens - MODEL.patches; // 1 where a class token stands before the patches

function unpack({ shape, float64 }) {
  const bytes = Uint8Array.from(atob(float64), (letter) => letter.charCodeAt(0));
  return { shape, numbers: new Float64Array(bytes.buffer) };
}

const unpacked = new Map();

/** The array of this name in the trace, with its shape. */
function arrayOf(name) {
  if (!unpacked.has(name)) unpacked.set(name, unpack(DATA.arrays[name]));
  return unpacked.get(name);
}

function numberAt({ shape, numbers }, index) {
  return numbers[index.reduce((offset, place, axis) => offset * shape[axis] + place, 0)];
}

/**
 * A matrix on the page.
 *
 * symbol: what the formulas call it        name: of the array in the trace
 * index:  (row, column) -> place in the array
 * of:     for a gradient, the name of the array in the forward that it is the gradient of
 * moves:  the name of the array whose number is moved when one of its own is chosen; null if none,
 *         as for what the backward makes on its way, on which no loss depends
 * rowsAre, colsAre: what a row and a column stand for, "token", "patch" or "" for anything else;
 *         numbers alone do not tell, as a head may be as wide as there are tokens
 */
function matrix(symbol, name, rows, cols, index, of = null, rowsAre = "", colsAre = "") {
  const array = arrayOf(name);
  const moves = of ?? (DATA.fixed.includes(name) ? null : name);
  const at = (i, j) => numberAt(array, index(i, j));
  return { symbol, name, rows, cols, index, of, moves, at, rowsAre, colsAre };
}

/** (1, T, D) or (1, N, …): a row for each token, or for each patch. */
function tokens(symbol, name, of, rowsAre = "token") {
  const [, rows, cols] = arrayOf(name).shape;
  return matrix(symbol, name, rows, cols, (i, j) => [0, i, j], of, rowsAre);
}

/** (1, h, T, d): what belongs to one head; (1, h, T, T) if its columns are tokens too. */
function ofHead(symbol, name, head, of, colsAre = "") {
  const [, , rows, cols] = arrayOf(name).shape;
  return matrix(symbol, name, rows, cols, (i, j) => [0, head, i, j], of, "token", colsAre);
}

/** Whether each number of a matrix is about a token that looks at another one. */
const isOfPairs = ({ rowsAre, colsAre }) => rowsAre === "token" && colsAre === "token";

/** (d_in, d_out) or (d_out,): weights or a bias, or some columns of them. */
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
  if (token < FIRST) return "class token";
  const place = token - FIRST;
  return `patch ${Math.floor(place / GRID.cols) + 1},${(place % GRID.cols) + 1}`;
}
