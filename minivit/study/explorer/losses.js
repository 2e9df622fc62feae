// The panel of a nudged number. It is built once for each number, so that a slider which is dragged
// and a field in which one types stay what they are; what a run of the model says is filled in.

let parts = null; // of the panel: { target, chart, slider, field, facts, none, failed }

/** Bring the panel up to date: texts, chart and the slider's end, and nothing that is held. */
function showNudge() {
  if (!nudged.source) {
    parts = null;
    byId("nudge").replaceChildren(
      paragraph("words", [nudged.target.symbol], ["b"]),
      paragraph("words", [nudged.failed || silence()]),
    );
    return;
  }
  if (parts?.target !== nudged.target) buildNudge();
  const offered = offeredSteps();
  const eps = nudged.points.has(nudged.eps) ? nudged.eps : offered.at(-1);
  parts.chart.replaceChildren(chart(offered, eps));
  parts.slider.max = offered.length - 1;
  parts.slider.value = offered.indexOf(eps);
  parts.slider.setAttribute("aria-valuetext", format(eps));
  if (document.activeElement !== parts.field) parts.field.value = eps;
  const facts = factsOf(eps);
  for (const [id, , text] of facts) parts.facts.querySelector(`#nudge-${id}`).textContent = text;
  const none = [...nudged.none].map(format).join(", ");
  parts.none.textContent = none && `With ε = ${none} the loss is not a number.`;
  parts.failed.textContent = nudged.failed;
}

/** Why there is nothing to show. */
function silence() {
  if (!nudged.target.name) {
    return (
      "It cannot be moved: the backward makes it on its way, when the loss is already there. " +
      "Choose a number of the forward, or the gradient of one."
    );
  }
  if (DATA.live) return "Asking the server …";
  return (
    `This file holds the answers for ${movable()}: choose a number of scores or dscores. ` +
    "To move any number, run minivit's explorer without --write."
  );
}

function movable() {
  const { heads } = DATA.moved;
  if (heads.length !== 1) return "the attention scores";
  return `the attention scores of block ${heads[0][0] + 1}, head ${heads[0][1] + 1}`;
}

const offeredSteps = () => [...nudged.points.keys()].sort((a, b) => a - b);

const SOURCES = {
  hand: "from the backward",
  "complex step": "by the complex step: no line of the backward holds it",
};
const orNone = (value) => (value === null ? "not a number" : format(value));

/** What is said of one ε: id, name and number. */
function factsOf(eps) {
  const { points, slope, gradient, source } = nudged;
  const after = points.get(eps);
  return [
    ["eps-value", "ε", format(eps)],
    ["before", "loss before", format(DATA.loss)],
    ["after", "loss after", format(after)],
    ["change", "change", format(after - DATA.loss)],
    ["predicted", "ε · gradient says", orNone(gradient && eps * gradient)],
    ["slope", "slope, from two runs of the model", orNone(slope)],
    ["gradient", `gradient, ${SOURCES[source]}`, orNone(gradient)],
  ];
}

function buildNudge() {
  const { target } = nudged;
  const slider = document.createElement("input");
  Object.assign(slider, { id: "eps", type: "range", min: 0, step: 1 });
  slider.setAttribute("aria-label", "ε, what is added");
  slider.addEventListener("input", () => {
    nudged.eps = offeredSteps()[slider.value];
    showNudge();
  });
  const facts = document.createElement("dl");
  for (const [id, name] of factsOf(0)) {
    const [term, fact] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, fact.id] = [name, `nudge-${id}`];
    facts.append(term, fact);
  }
  const [label, field] = anyStep(target);
  const box = document.createElement("div");
  const [none, failed] = [paragraph("legend", []), paragraph("failed", [])];
  parts = { target, chart: box, slider, field, facts, none, failed };
  byId("nudge").replaceChildren(
    paragraph("words", ["Add ε to", target.symbol, "and run the model again."], ["span", "b"]),
    box,
    paragraph("legend", [
      "Dots are runs of the model; the dashed line is what the gradient says.",
    ]),
    slider,
    ...(DATA.live ? [label] : []),
    facts,
    none,
    failed,
  );
}

/** On a server: any ε. */
function anyStep(target) {
  const label = document.createElement("label");
  const field = document.createElement("input");
  Object.assign(field, { id: "any-eps", type: "number", step: "any", min: -1000, max: 1000 });
  field.addEventListener("change", async () => {
    const eps = field.valueAsNumber;
    if (!field.reportValidity() || Number.isNaN(eps)) return;
    if (!nudged.points.has(eps) && !(await learn(target, "/nudge", { eps }))) return;
    if (nudged.points.has(eps)) nudged.eps = eps;
    showNudge();
  });
  label.append("another ε ", field);
  return [label, field];
}

/** The loss against ε: dots are runs of the model, the line is what the gradient says. */
function chart(offered, eps) {
  const [width, height, edge] = [320, 150, 12];
  const { points, gradient } = nudged;
  const line = (x) => DATA.loss + (gradient ?? 0) * x;
  const [left, right] = [offered[0], offered.at(-1)];
  const values = [...points.values(), line(left), line(right)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (value) => edge + ((value - left) / (right - left || 1)) * (width - 2 * edge);
  const y = (value) => height - edge - ((value - low) / (high - low || 1)) * (height - 2 * edge);
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "chart" });
  svg.setAttribute(
    "aria-label",
    `The loss for ${offered.length} values of ε, and the gradient's line`,
  );
  svg.append(
    element("line", { class: "zero", x1: x(0), x2: x(0), y1: edge / 2, y2: height - edge / 2 }),
    element("line", {
      class: "tangent",
      x1: x(left),
      y1: y(line(left)),
      x2: x(right),
      y2: y(line(right)),
    }),
    ...offered.map((value) =>
      element("circle", {
        cx: x(value),
        cy: y(points.get(value)),
        r: value === eps ? 6 : 3.5,
        class: value === eps ? "here" : "",
      }),
    ),
  );
  return svg;
}

function element(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
