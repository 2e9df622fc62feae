// Move one number, and see what the loss does beside what the gradient says.

const { steps: STEPS } = DATA.moved;
const MOVED = { losses: unpack(DATA.moved.losses), slopes: unpack(DATA.moved.slopes) };
const nudged = {
  target: null,
  key: "", // of the target
  points: new Map(), // ε -> the loss
  slope: null,
  gradient: null,
  eps: 0.5,
  failed: "",
};

/** The number in the forward that a chosen cell stands for; of a gradient's cell, what it is of. */
function targetOf({ matrix, i, j }) {
  const name = matrix.of ?? matrix.name;
  const symbol = matrix.of ? matrix.symbol.replace(/^d/, "") : matrix.symbol;
  const index = matrix.index(i, j);
  const place = cell(matrix, i, j).symbol.replace(/^[^[]*/, "");
  return { name, index, symbol: symbol + place };
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
  return { points: new Map([[0, DATA.loss], ...losses]), slope, gradient };
}

/** Begin with another number: take what is known, else ask the server. */
async function nudge(chosen) {
  const target = targetOf(chosen);
  const key = `${target.name} ${target.index} ${target.symbol}`;
  if (key === nudged.key && !nudged.failed) return;
  Object.assign(nudged, { target, key, slope: null, failed: "" });
  nudged.points = new Map([[0, DATA.loss]]);
  Object.assign(nudged, known(target) ?? {});
  showNudge();
  if (nudged.slope !== null || !DATA.live) return;
  for (const eps of STEPS) {
    await ask(target, eps);
    if (nudged.target !== target) return;
  }
}

async function ask(target, eps) {
  try {
    const answer = await fetch("/nudge", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: target.name, index: target.index, eps }),
    });
    const found = await answer.json();
    if (nudged.target !== target) return;
    if (found.error) nudged.failed = found.error;
    else {
      nudged.points.set(eps, found.after);
      Object.assign(nudged, { slope: found.slope, gradient: found.gradient });
    }
  } catch {
    if (nudged.target !== target) return;
    nudged.failed = "The server does not answer; is python -m demos.explore still running?";
  }
  showNudge();
}
