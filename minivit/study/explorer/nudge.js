// Add ε to one number, run the network again, and compare the loss with what the gradient says.

const nudged = { eps: 0.5 }; // and moving, place, symbol, gradient, slope, points: ε -> the loss
const lossAt = (eps) => lossWith(net, nudged.moving, nudged.place, eps);
const stepsOf = ({ points }) => [...points.keys()].sort((a, b) => a - b);

/** Turn to the chosen number, or for a gradient to what it is of; the rest comes after drawing. */
function drawNudge() {
  const { array: one, i, j } = state.cell, { s } = viewOf(one);
  const moving = one.of ?? (one.line?.phase === "backward" ? null : one);
  const place = moving && [s, i, j], symbol = symbolAt({ array: moving ?? one, s }, i, j);
  const gradient = moving?.gradient?.[moving.placeOf(s, i, j)] ??
    net.gradientOf.get(moving)?.at(s, i, j) ?? null;
  const points = new Map([[0, net.loss()]]);
  Object.assign(nudged, { moving, place, symbol, gradient, points, slope: null });
  if (moving && Number.isFinite(net.loss())) measure(points);
  showNudge();
}

/** Run the network with ε; a loss that is no number is left out. */
function tryStep(eps) {
  const loss = lossAt(eps);
  if (Number.isFinite(loss)) nudged.points.set(eps, loss);
  return Number.isFinite(loss);
}

/** Step by step, so that the page stays alive; it ends where another number is turned to. */
async function measure(points) {
  for (const eps of [-1, -0.5, -0.1, 0.1, 0.5, 1, nudged.eps]) {
    await pause();
    if (points !== nudged.points || learning.running) return;
    tryStep(eps);
  }
  if (!points.has(nudged.eps)) nudged.eps = stepsOf(nudged).at(-1);
  nudged.slope = (lossAt(1e-4) - lossAt(-1e-4)) / 2e-4;
  showNudge();
}

function showNudge() {
  const { moving, symbol, slope, gradient, points, eps } = nudged, name = make("b", {}, symbol);
  byId("nudge-tools").hidden = slope === null;
  byId("nudge-words").replaceChildren(...(moving
    ? ["Add ε to ", name, " and run the network again."]
    : [name, " cannot be moved: the backward computes it after the loss."]));
  if (slope === null) return;
  const steps = stepsOf(nudged), before = points.get(0), after = points.get(eps);
  byId("chart").replaceChildren(
    chart(steps.map((step) => [step, points.get(step)]), eps, gradient ?? slope));
  const max = steps.length - 1;
  Object.assign(byId("eps"), { max, value: steps.indexOf(eps), ariaValueText: format(eps) });
  if (document.activeElement !== byId("any-eps")) byId("any-eps").value = eps;
  const facts = {
    before: ["loss before", before], after: ["loss after", after], change: ["change", after - before],
    predicted: ["predicted, ε · gradient", gradient === null ? null : eps * gradient],
    slope: ["slope, from two runs", slope], gradient: ["gradient, from the backward", gradient],
  };
  byId("facts").replaceChildren(...Object.entries(facts).flatMap(([id, [words, value]]) => {
    const text = value === null ? "no line holds it" : format(value);
    return [make("dt", {}, words), make("dd", { id: `nudge-${id}` }, text)];
  }));
}

function moveBy(eps) {
  if (!(Math.abs(eps) <= 1000)) return;
  const known = nudged.points.has(eps) || tryStep(eps);
  if (known) nudged.eps = eps;
  showNudge();
  if (!known) byId("nudge-words").append(` With ε = ${format(eps)} the loss is not a number.`);
}

byId("eps").oninput = ({ target }) => moveBy(stepsOf(nudged)[target.value]);
byId("any-eps").onchange = ({ target }) => moveBy(target.valueAsNumber);

/** A curve through points [x, y], one of them marked, and a dashed line of a slope through x = 0. */
function chart(points, marked = null, slope = null) {
  const [width, height, edge] = [320, 150, 12];
  const [xs, ys] = [0, 1].map((at) => points.map((point) => point[at]));
  const line = (x) => ys[xs.indexOf(0)] + slope * x;
  const ends = slope === null ? [] : [xs[0], xs.at(-1)].map((x) => [x, line(x)]);
  const scaled = (values, from, to) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
  };
  const x = scaled(xs, edge, width - edge);
  const y = scaled([...ys, ...ends.map((end) => end[1])], height - edge, edge);
  const path = (all) => all.map(([a, b]) => `${x(a)},${y(b)}`).join(" ");
  const dots = (points.length < 40 ? points : []).map(([a, b]) => svg("circle",
    { cx: x(a), cy: y(b), r: a === marked ? 6 : 3.5, class: a === marked ? "here" : "" }));
  const words = `The loss, from ${format(ys[0])} to ${format(ys.at(-1))}`;
  return svg("svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", class: "chart", "aria-label": words },
    svg("polyline", { points: path(ends), class: "tangent" }),
    svg("polyline", { points: path(points), class: slope === null ? "curve" : "curve faint" }),
    ...dots);
}
