// Formulas that know their numbers. A term has
//   symbol  "att[3,5]"     digits  "0.1200"     value  0.12     cells  the numbers that it reads
//   sums    the Σ in it, each with its summands

/** One number of a matrix; with a letter for an index it is only a symbol, inside a Σ. */
function cell(matrix, i, j) {
  const place = matrix.rows === 1 ? `${j}` : matrix.cols === 1 ? `${i}` : `${i},${j}`;
  const symbol = `${matrix.symbol}[${place}]`;
  if (typeof i === "string" || typeof j === "string") {
    return { symbol, digits: "", value: NaN, cells: [], sums: [] };
  }
  const value = matrix.at(i, j);
  return { symbol, digits: format(value), value, cells: [{ matrix, i, j }], sums: [] };
}

function constant(symbol, value) {
  return { symbol, digits: format(value), value, cells: [], sums: [] };
}

/** A negative number that follows a sign. */
const enclosed = (digits) => (digits.startsWith("−") ? `(${digits})` : digits);

function combined(parts, join, value) {
  return {
    symbol: join(parts.map((part) => part.symbol)),
    digits: join(parts.map((part, place) => (place ? enclosed(part.digits) : part.digits))),
    value: value(parts.map((part) => part.value)),
    cells: parts.flatMap((part) => part.cells),
    sums: parts.flatMap((part) => part.sums),
  };
}

const operation = (sign, operate) => (...parts) =>
  combined(parts, (texts) => texts.join(` ${sign} `), (values) => values.reduce(operate));
const times = operation("·", (a, b) => a * b);
const plus = operation("+", (a, b) => a + b);
const minus = operation("−", (a, b) => a - b);
const over = operation("/", (a, b) => a / b);
const inside = (a) => combined([a], ([text]) => `(${text})`, ([value]) => value);
const called = (name, f, a) =>
  combined([a], ([text]) => `${name}(${text})`, ([value]) => f(value));

const SIGMA = { t: "Σₜ", s: "Σₛ", k: "Σₖ", c: "Σ_c" };

/** Σ over letter = 0 … count − 1 of term(letter): t a query, s a key, c a column, k a class. */
function sum(letter, count, term) {
  const summands = range(count).map(term);
  const value = summands.reduce((total, summand) => total + summand.value, 0);
  const symbol = `${SIGMA[letter]} ${term(letter).symbol}`;
  const one = { symbol, summands, value };
  const cells = summands.flatMap((summand) => summand.cells);
  return { symbol, digits: format(value), value, cells, sums: [one] };
}

/** The terms of a matrix product that sums over a letter: a b, or aᵀ b, or a bᵀ. */
function product(letter, a, b, transposed = "") {
  const [rows, cols] = [transposed === "a", transposed === "b"];
  return (i, j) =>
    sum(letter, rows ? a.rows : a.cols, (c) =>
      times(rows ? cell(a, c, i) : cell(a, i, c), cols ? cell(b, j, c) : cell(b, c, j)));
}

/** The terms of a softmax over the row of a matrix. */
function softmax(letter, scores) {
  const exponential = (i, j) =>
    called("exp", Math.exp, minus(cell(scores, i, j), constant("max", Math.max(...scores.row(i)))));
  return (i, j) =>
    over(exponential(i, j), sum(letter, scores.cols, (other) => exponential(i, other)));
}

/** The largest summands of a Σ in words, and the sum of the others. */
function written({ summands, value }, most = 5) {
  const sorted = [...summands].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const shown = sorted.slice(0, summands.length <= most + 1 ? summands.length : most);
  const others = sorted.slice(shown.length);
  const rest = others.reduce((total, summand) => total + summand.value, 0);
  const texts = shown.map((summand) => summand.digits.replaceAll(" ", "\u00a0"));
  if (others.length) texts.push(`${format(rest)} (the ${others.length} smaller ones)`);
  const [first, ...more] = texts;
  const signed = more.map((text) =>
    text.startsWith("−") ? `  −\u00a0${text.slice(1)}` : `  +\u00a0${text}`,
  );
  return `${first}${signed.join("")}  = ${format(value)}`;
}
