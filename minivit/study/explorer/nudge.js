// Move one number, and compare what the loss does with what the gradient says.

const { steps: STEPS } = DATA.moved;
const MOVED = { losses: unpack(DATA.moved.losses), slopes: unpack(DATA.moved.slopes) };

/**
 * The number that is moved: target, and its key; points, ε -> the loss; none, the ε for which the
 * loss is not a number; slope and gradient, null if they are not numbers; source of the gradient,
 * "hand" or "complex step", null until it is known; eps, as chosen; failed, a sentence or ""
 */
const nudged = { eps: 0.5 };

/** The number in the forward that a chosen cell stands for; for a gradient, what it is of. */
function targetOf({ matrix, i, j }) {
  const symbol = matrix.of ? matrix.symbol.replace(/^d/, "") : matrix.symbol;
  const place = cell(matrix, i, j).symbol.replace(/^[^[]*/, "");
  return { name: matrix.moves, index: matrix.index(i, j), symbol: symbol + place };
}

/** What the file knows by itself: the losses for an attention score. */
function known({ name, index }) {
  const block = Number(/^blocks\.(\d+)\.attn\.scores$/.exec(name)?.[1]);
  const [, head, ...place] = index;
  const at = DATA.moved.heads.findIndex(([b, h]) => b === block && h === head);
  if (at < 0) return null;
  const losses = STEPS.map((eps, step) => [eps, numberAt(MOVED.losses, [at, ...place, step])]);
  return {
    points: new Map([[0, DATA.loss], ...losses]),
    slope: numberAt(MOVED.slopes, [at, ...place]),
    gradient: numberAt(arrayOf(`blocks.${block}.attn.dscores@0`), index),
    source: "hand",
  };
}

/** Turn to another number: use what is known, else ask the server, for its slope first. */
async function nudge(chosen) {
  const target = targetOf(chosen);
  const key = `${target.name} ${target.index} ${target.symbol}`;
  if (key === nudged.key && !nudged.failed) return;
  Object.assign(nudged, { target, key, source: null, failed: "" });
  Object.assign(nudged, { points: new Map([[0, DATA.loss]]), none: new Set(), ...known(target) });
  showNudge();
  if (nudged.source || !target.name || !DATA.live) return;
  if (!(await learn(target, "/slope", {}))) return;
  for (const eps of STEPS) if (!(await learn(target, "/nudge", { eps }))) return;
}

/** Ask the server and show its answer; return whether to ask on. */
async function learn(target, path, { eps }) {
  const answer = await ask(path, { name: target.name, index: target.index, eps });
  if (nudged.target !== target) return false;
  const { error, slope, gradient, gradient_source: source, after } = answer;
  nudged.failed = error ?? "";
  if (source) Object.assign(nudged, { slope, gradient, source });
  else if (after === null) nudged.none.add(eps);
  else if (!error) nudged.points.set(eps, after);
  showNudge();
  return !error;
}

/** The server's answer, or an object with `error`, a sentence. */
async function ask(path, question) {
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(question) });
    return await answer.json();
  } catch (error) {
    const garbled = error instanceof SyntaxError; // an answer came, but it is not JSON
    if (garbled) return { error: "The server's answer is not JSON and cannot be read." };
    return { error: "The server does not answer. Is the explorer still running?" };
  }
}
