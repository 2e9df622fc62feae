// Move one number, and see what the loss does beside what the gradient says.

const { steps: STEPS } = DATA.moved;
const MOVED = { losses: unpack(DATA.moved.losses), slopes: unpack(DATA.moved.slopes) };
const nudged = {
  target: null,
  key: "", // of the target
  points: new Map(), // ε -> the loss
  none: new Set(), // the ε with which the loss is not a number
  slope: null, // also null where it is not a number
  gradient: null,
  source: null, // of the gradient: "hand", "complex step"; null as long as nothing is known
  eps: 0.5,
  failed: "",
};

/** The number in the forward that a chosen cell stands for; of a gradient's cell, what it is of. */
function targetOf({ matrix, i, j }) {
  const symbol = matrix.of ? matrix.symbol.replace(/^d/, "") : matrix.symbol;
  const index = matrix.index(i, j);
  const place = cell(matrix, i, j).symbol.replace(/^[^[]*/, "");
  return { name: matrix.moves, index, symbol: symbol + place };
}

/** What the file alone knows: an attention score. */
function known({ name, index }) {
  const block = Number(/^blocks\.(\d+)\.attn\.scores$/.exec(name)?.[1]);
  const [, head, ...place] = index;
  const at = DATA.moved.heads.findIndex(([b, h]) => b === block && h === head);
  if (at < 0) return null;
  const gradient = numberAt(arrayOf(`blocks.${block}.attn.dscores@0`), index);
  const slope = numberAt(MOVED.slopes, [at, ...place]);
  const losses = STEPS.map((eps, step) => [eps, numberAt(MOVED.losses, [at, ...place, step])]);
  const points = new Map([[0, DATA.loss], ...losses]);
  return { points, slope, gradient, source: "hand" };
}

/** Begin with another number: take what is known, else ask the server, once for its slope. */
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

/** Ask and show what the server says; return whether it is worth asking on. */
async function learn(target, path, { eps }) {
  const found = await ask(path, { name: target.name, index: target.index, eps });
  if (nudged.target !== target) return false;
  nudged.failed = found.error ?? "";
  if (path === "/slope" && !found.error) {
    const { slope, gradient, gradient_source: source } = found;
    Object.assign(nudged, { slope, gradient, source });
  } else if (!found.error && found.after === null) nudged.none.add(eps);
  else if (!found.error) nudged.points.set(eps, found.after);
  showNudge();
  return !found.error;
}

/** The server's answer, or an object of "error", in words. */
async function ask(path, question) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(question),
    });
    return await answer.json();
  } catch (error) {
    const garbled = error instanceof SyntaxError; // an answer came, and is no JSON
    if (garbled) return { error: "The server's answer is not JSON, and cannot be read." };
    return { error: "The server does not answer; is the explorer still running?" };
  }
}
