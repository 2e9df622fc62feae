// The panel of the nudged number.

/** Update the texts, the chart and the slider's range. */
function showNudge() {
  const { source, target, points, none, failed } = nudged;
  const symbol = make("b", {}, target.symbol);
  byId("nudge-tools").hidden = !source;
  byId("nudge-words").replaceChildren(
    ...(source
      ? ["Add ε to ", symbol, " and run the model again."]
      : [symbol, make("br"), failed || whyNothing()]),
  );
  if (!source) return;
  const offered = offeredSteps();
  const eps = points.has(nudged.eps) ? nudged.eps : offered.at(-1);
  byId("chart").replaceChildren(chart(offered, eps));
  Object.assign(byId("eps"), {
    max: offered.length - 1, value: offered.indexOf(eps), ariaValueText: format(eps),
  });
  if (document.activeElement !== byId("any-eps")) byId("any-eps").value = eps;
  byId("facts").replaceChildren(...factsOf(eps).flatMap(([id, name, text]) =>
    [make("dt", {}, name), make("dd", { id: `nudge-${id}` }, text)]));
  const steps = [...none].map(format).join(", ");
  byId("nudge-none").textContent = steps && `With ε = ${steps} the loss is not a number.`;
  byId("nudge-failed").textContent = failed;
}

const offeredSteps = () => [...nudged.points.keys()].sort((a, b) => a - b);

byId("eps").addEventListener("input", () => {
  nudged.eps = offeredSteps()[byId("eps").value];
  showNudge();
});

byId("any").hidden = !DATA.live; // a server answers any ε
byId("any-eps").addEventListener("change", async ({ target: field }) => {
  const eps = field.valueAsNumber;
  if (!field.reportValidity() || Number.isNaN(eps)) return;
  if (!nudged.points.has(eps) && !(await learn(nudged.target, "/nudge", { eps }))) return;
  if (nudged.points.has(eps)) nudged.eps = eps;
  showNudge();
});

function whyNothing() {
  if (!nudged.target.name) {
    return (
      "This number cannot be moved: the backward computes it after the loss. " +
      "Choose a number of the forward, or the gradient of one."
    );
  }
  if (DATA.live) return "Asking the server …";
  const { heads } = DATA.moved;
  const where = heads.length === 1 ? ` of block ${heads[0][0]}, head ${heads[0][1]}` : "";
  return (
    `This file can move the attention scores${where}: choose a number of scores or dscores. ` +
    "The explorer's server can move any number."
  );
}

const SOURCES = {
  hand: "from the backward",
  "complex step": "by the complex step: no line of the backward holds it",
};
const orNone = (value) => (value === null ? "not a number" : format(value));

/** What is shown for an ε: id, name and number. */
function factsOf(eps) {
  const { points, slope, gradient, source } = nudged;
  const after = points.get(eps);
  return [
    ["eps-value", "ε", format(eps)],
    ["before", "loss before", format(DATA.loss)],
    ["after", "loss after", format(after)],
    ["change", "change", format(after - DATA.loss)],
    ["predicted", "predicted, ε · gradient", orNone(gradient && eps * gradient)],
    ["slope", "slope, from two runs of the model", orNone(slope)],
    ["gradient", `gradient, ${SOURCES[source]}`, orNone(gradient)],
  ];
}

/** The loss against ε: dots are runs of the model, the line is ε · gradient. */
function chart(offered, eps) {
  const [width, height, edge] = [320, 150, 12];
  const { points, gradient } = nudged;
  const line = (x) => DATA.loss + (gradient ?? 0) * x;
  const [left, right] = [offered[0], offered.at(-1)];
  const values = [...points.values(), line(left), line(right)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (value) => edge + ((value - left) / (right - left || 1)) * (width - 2 * edge);
  const y = (value) => height - edge - ((value - low) / (high - low || 1)) * (height - 2 * edge);
  const segment = (kind, x1, y1, x2, y2) => svg("line", { class: kind, x1, y1, x2, y2 });
  const dot = (value) => {
    const [r, kind] = value === eps ? [6, "here"] : [3.5, ""];
    return svg("circle", { cx: x(value), cy: y(points.get(value)), r, class: kind });
  };
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "chart" });
  picture.ariaLabel = `The loss for ${offered.length} values of ε, and the gradient's prediction`;
  picture.append(
    segment("zero", x(0), edge / 2, x(0), height - edge / 2),
    segment("tangent", x(left), y(line(left)), x(right), y(line(right))),
    ...offered.map(dot),
  );
  return picture;
}

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
