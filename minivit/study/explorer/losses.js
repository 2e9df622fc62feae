// The panel of the nudged number. It is built once for each number, so that a slider being dragged
// and a field being typed in survive an update.

let parts = null; // of the panel: { target, chart, slider, field, facts, none, failed }

/** Update the texts, the chart and the slider's range. */
function showNudge() {
  if (!nudged.source) {
    parts = null;
    byId("nudge").replaceChildren(
      paragraph("words", make("b", {}, nudged.target.symbol)),
      paragraph("words", nudged.failed || whyNothing()),
    );
    return;
  }
  if (parts?.target !== nudged.target) buildNudge();
  const offered = [...nudged.points.keys()].sort((a, b) => a - b);
  const eps = nudged.points.has(nudged.eps) ? nudged.eps : offered.at(-1);
  parts.chart.replaceChildren(chart(offered, eps));
  parts.slider.oninput = () => {
    nudged.eps = offered[parts.slider.value];
    showNudge();
  };
  parts.slider.max = offered.length - 1;
  parts.slider.value = offered.indexOf(eps);
  parts.slider.ariaValueText = format(eps);
  if (document.activeElement !== parts.field) parts.field.value = eps;
  for (const [id, , text] of factsOf(eps)) {
    parts.facts.querySelector(`#nudge-${id}`).textContent = text;
  }
  const none = [...nudged.none].map(format).join(", ");
  parts.none.textContent = none && `With ε = ${none} the loss is not a number.`;
  parts.failed.textContent = nudged.failed;
}

/** Why there is nothing to show. */
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

function buildNudge() {
  const { target } = nudged;
  const slider = make("input", { id: "eps", type: "range", min: 0, step: 1 });
  slider.ariaLabel = "ε, the number added";
  const field = anyStep(target);
  const rows = factsOf(0).flatMap(([id, name]) => [
    make("dt", {}, name),
    make("dd", { id: `nudge-${id}` }),
  ]);
  const facts = make("dl", {}, ...rows);
  const [none, failed, box] = [paragraph("legend"), paragraph("failed"), make("div")];
  parts = { target, chart: box, slider, field, facts, none, failed };
  byId("nudge").replaceChildren(
    paragraph("words", "Add ε to", make("b", {}, target.symbol), "and run the model again."),
    box,
    paragraph("legend", "Dots are runs of the model; the dashed line is the prediction."),
    slider,
    ...(DATA.live ? [make("label", {}, "another ε ", field)] : []),
    facts,
    none,
    failed,
  );
}

/** A field for any ε, which a server answers. */
function anyStep(target) {
  const limits = { step: "any", min: -1000, max: 1000 };
  const field = make("input", { id: "any-eps", type: "number", ...limits });
  field.addEventListener("change", async () => {
    const eps = field.valueAsNumber;
    if (!field.reportValidity() || Number.isNaN(eps)) return;
    if (!nudged.points.has(eps) && !(await learn(target, "/nudge", { eps }))) return;
    if (nudged.points.has(eps)) nudged.eps = eps;
    showNudge();
  });
  return field;
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
