// Formulas that compute, and that can be read. Each is an object with
//   shape          [S, R, C]: stacks (heads), rows (tokens) and columns
//   symbol         "att · datt", in the notation of the derivations; level: how tightly it binds
//   parts          the formulas in it
//   at(s, i, j)    its number there; an axis of size 1 stands for every place
//   term(s, i, j)  that number with its working:
//     symbol  "att[3,5]"     digits  "0.1200"     value  0.12     level  how tightly they bind
//     cells   the numbers that it reads           sums   the Σ in it, each with its summands
// With a letter for an index a term is only a symbol, inside a Σ.

const [SUM, PRODUCT, MATRICES, ATOM] = [1, 2, 3, 4]; // levels
const SIGMA = { t: "Σₜ", s: "Σₛ", c: "Σ_c" }; // over tokens in rows or in columns, over features
const wrapped = (text, level, needed) => (level < needed ? `(${text})` : text);
const enclosed = (digits) => (digits.startsWith("−") ? `(${digits})` : digits);
const pick = (size, place) => (size > 1 ? place : 0);

/** A term that reads no number, or one. */
const atom = (symbol, value, cells = []) =>
  ({ symbol, digits: format(value), value, level: ATOM, digitsLevel: ATOM, cells, sums: [] });

/** An array with a name: numbers in row-major order, which formulas read. */
function array(name, symbol, shape, data = new Float64Array(shape[0] * shape[1] * shape[2])) {
  const [S, R, C] = shape;
  const placeOf = (s, i, j) => (pick(S, s) * R + pick(R, i)) * C + pick(C, j);
  const at = (s, i, j) => data[placeOf(s, i, j)];
  const self = { name, symbol, shape, data, placeOf, at, level: ATOM, parts: [] };
  self.term = (s, i, j) => {
    const index = [...(R > 1 ? [i] : []), ...(C > 1 ? [j] : [])];
    const text = index.length ? `${symbol}[${index}]` : symbol;
    if (index.some((place) => typeof place === "string")) return atom(text, NaN);
    return atom(text, at(s, i, j), [{ array: self, s, i: pick(R, i), j: pick(C, j) }]);
  };
  return self;
}

/** A number that no array holds, such as 1/√d; or a function (s, i, j), such as the target. */
function number(symbol, value, shape = [1, 1, 1]) {
  const at = typeof value === "function" ? value : () => value;
  const term = (...place) => atom(symbol, at(...place));
  return { symbol, shape, level: ATOM, parts: [], at, term };
}

/** Two terms and the sign between them. */
function joined(sign, level, f, a, b) {
  const right = sign === "−" || sign === "/" ? level + 1 : level;
  const join = (x, lx, y, ly) =>
    `${wrapped(x, lx, level)} ${sign} ${enclosed(wrapped(y, ly, right))}`;
  return {
    symbol: join(a.symbol, a.level, b.symbol, b.level),
    digits: join(a.digits, a.digitsLevel, b.digits, b.digitsLevel),
    value: f(a.value, b.value), level, digitsLevel: level,
    cells: [...a.cells, ...b.cells], sums: [...a.sums, ...b.sums],
  };
}

const operation = (sign, level, f) => function operate(a, b, ...more) {
  if (more.length) return operate(operate(a, b), ...more);
  const { symbol } = joined(sign, level, f,
    ...[a, b].map((part) => ({ ...atom(part.symbol, 0), level: part.level })));
  return {
    symbol, level, parts: [a, b], shape: a.shape.map((size, axis) => Math.max(size, b.shape[axis])),
    at: (s, i, j) => f(a.at(s, i, j), b.at(s, i, j)),
    term: (s, i, j) => joined(sign, level, f, a.term(s, i, j), b.term(s, i, j)),
  };
};
const plus = operation("+", SUM, (a, b) => a + b);
const minus = operation("−", SUM, (a, b) => a - b);
const times = operation("·", PRODUCT, (a, b) => a * b);
const over = operation("/", PRODUCT, (a, b) => a / b);

/** A function of each number. */
function called(name, f, a) {
  const term = (...place) => {
    const { symbol, digits, value, ...rest } = a.term(...place);
    const texts = { symbol: `${name}(${symbol})`, digits: `${name}(${digits})` };
    return { ...rest, ...texts, value: f(value), level: ATOM, digitsLevel: ATOM };
  };
  const at = (s, i, j) => f(a.at(s, i, j));
  return { symbol: `${name}(${a.symbol})`, shape: a.shape, level: ATOM, parts: [a], at, term };
}

/** The term of a Σ over letter = 0 … count − 1. */
function sumOf(letter, count, term) {
  const summands = range(count).map(term), inner = term(letter);
  const value = summands.reduce((total, summand) => total + summand.value, 0);
  const symbol = `${SIGMA[letter]} ${wrapped(inner.symbol, inner.level, PRODUCT)}`;
  const all = atom(symbol, value, summands.flatMap(({ cells }) => cells));
  return { ...all, level: PRODUCT, sums: [{ symbol, summands, value }] };
}

/** Σ over the columns of each row. */
function sumColumns(a, letter = "c") {
  const [S, R, C] = a.shape;
  const at = (s, i) => {
    let total = 0;
    for (let j = 0; j < C; j++) total += a.at(s, i, j);
    return total;
  };
  const term = (s, i) => sumOf(letter, C, (j) => a.term(s, i, j));
  return { symbol: `Σ(${a.symbol})`, shape: [S, R, 1], level: ATOM, parts: [a], at, term };
}

/** Σ over the rows of each column. */
function sumRows(a) {
  const [S, R, C] = a.shape;
  const at = (s, _, j) => {
    let total = 0;
    for (let i = 0; i < R; i++) total += a.at(s, i, j);
    return total;
  };
  const term = (s, _, j) => sumOf("t", R, (i) => a.term(s, i, j));
  return { symbol: `Σₜ(${a.symbol})`, shape: [S, 1, C], level: ATOM, parts: [a], at, term };
}

function mean(a) {
  const share = times(number("1/D", 1 / a.shape[2]), sumColumns(a));
  return { ...share, symbol: `mean(${a.symbol})`, level: ATOM };
}

/** The largest number of each row of an array. */
function largest(a) {
  const [S, R, C] = a.shape, found = new Float64Array(S * R);
  const prepare = () =>
    found.forEach((_, row) => (found[row] = Math.max(...a.data.subarray(row * C, (row + 1) * C))));
  return { ...number(`max(${a.symbol})`, (s, i) => found[s * R + i], [S, R, 1]), prepare };
}

/** The matrix product of two arrays, a b; or with one of them transposed, aᵀ b or a bᵀ. */
function product(a, b, transposed = "", letter = transposed === "a" ? "t" : "c") {
  const [left, right] = [transposed === "a", transposed === "b"];
  const [S, R, K] = [a.shape[0], a.shape[left ? 2 : 1], a.shape[left ? 1 : 2]];
  const C = b.shape[right ? 1 : 2];
  const fill = (out) => multiply([S, R, K, C], a.data, left, b.data, right, out);
  let data = null; // only for a product inside another formula
  const summand = (s, i, j) => (k) => joined("·", PRODUCT, (x, y) => x * y,
    left ? a.term(s, k, i) : a.term(s, i, k), right ? b.term(s, j, k) : b.term(s, k, j));
  return {
    symbol: `${a.symbol}${left ? "ᵀ" : ""} ${b.symbol}${right ? "ᵀ" : ""}`,
    shape: [S, R, C], level: MATRICES, parts: [a, b], fill,
    prepare: () => fill((data ??= new Float64Array(S * R * C))),
    at: (s, i, j) => data[(s * R + i) * C + j],
    term: (s, i, j) => sumOf(letter, K, summand(s, i, j)),
  };
}

function multiply([S, R, K, C], a, left, b, right, out) {
  out.fill(0);
  for (let s = 0; s < S; s++) {
    const [atA, atB] = [s * R * K, b.length === S * K * C ? s * K * C : 0];
    for (let i = 0; i < R; i++) {
      const row = (s * R + i) * C;
      for (let k = 0; k < K && !right; k++) {
        const factor = a[atA + (left ? k * R + i : i * K + k)], start = atB + k * C;
        for (let j = 0; j < C; j++) out[row + j] += factor * b[start + j];
      }
      for (let j = 0; j < C && right; j++) {
        let total = 0;
        for (let k = 0; k < K; k++) total += a[atA + i * K + k] * b[atB + j * K + k];
        out[row + j] = total;
      }
    }
  }
}

/** Numbers of arrays that only change their place; from(s, i, j) is [array, s, i, j]. */
function moved(symbol, parts, shape, from) {
  const read = (method) => (...place) => {
    const [source, ...there] = from(...place);
    return source[method](...there);
  };
  let moves = null; // [data, place] of each number
  const fill = (out) => {
    const [S, R, C] = shape;
    moves ??= Array.from({ length: out.length }, (_, n) => {
      const [source, ...there] = from(Math.floor(n / R / C), Math.floor(n / C) % R, n % C);
      return [source.data, source.placeOf(...there)];
    });
    for (let n = 0; n < out.length; n++) out[n] = moves[n][0][moves[n][1]];
  };
  return { symbol, shape, level: ATOM, parts, fill, at: read("at"), term: read("term") };
}

/** Scores of a query's row, hidden in the columns of the keys that come after it. */
function hideLater(a) {
  const hidden = (i, j) => atom(`hidden, as ${j} comes after ${i}`, -Infinity);
  return {
    symbol: `${a.symbol} where s ≤ t, else −∞`, shape: a.shape, level: ATOM, parts: [a],
    at: (s, i, j) => (j > i ? -Infinity : a.at(s, i, j)),
    term: (s, i, j) => (j > i ? hidden(i, j) : a.term(s, i, j)),
  };
}

const copied = (a) =>
  ({ ...moved(a.symbol, [a], a.shape, (s, i, j) => [a, s, i, j]), copyOf: a });

/** Fill an array with the numbers of a formula. */
function compute({ shape: [S, R, C], data }, formula) {
  if (formula.fill) return formula.fill(data);
  const prepare = (part) => {
    part.parts.forEach(prepare);
    part.prepare?.();
  };
  prepare(formula);
  let place = 0;
  for (let s = 0; s < S; s++)
    for (let i = 0; i < R; i++)
      for (let j = 0; j < C; j++) data[place++] = formula.at(s, i, j);
}

/** A number with four digits, as everywhere on the page. */
function format(value) {
  const size = Math.abs(value), plain = value === 0 || (size >= 1e-3 && size < 1e5);
  const text = value === 0 ? "0" : plain ? value.toPrecision(4) : value.toExponential(3);
  return text.replaceAll("-", "−").replace("Infinity", "∞");
}

/** The largest summands of a Σ in words, and the sum of the others. */
function spelled({ summands, value }, most = 5) {
  const sorted = [...summands].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const shown = sorted.slice(0, summands.length <= most + 1 ? summands.length : most);
  const others = sorted.slice(shown.length);
  const rest = others.reduce((total, summand) => total + summand.value, 0);
  const texts = shown.map((summand) => summand.digits.replaceAll(" ", "\u00a0"));
  if (others.length) texts.push(`${format(rest)} (the ${others.length} smaller ones)`);
  const signed = texts.map((text, place) => {
    if (place === 0) return text;
    return text.startsWith("−") ? `  −\u00a0${text.slice(1)}` : `  +\u00a0${text}`;
  });
  return `${signed.join("")}  = ${format(value)}`;
}
