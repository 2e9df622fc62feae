// Move one number, and see what the loss does beside what the gradient says.

const { steps: STEPS } = DATA.moved;
const MOVED = { losses: unpack(DATA.moved.losses), slopes: unpack(DATA.moved.slopes) };
const nudged = {
  target: null,
  points: new Map(),
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
  return { name, index, symbol: symbol + place, isGradient: matrix.of !== null };
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
  Object.assign(nudged, { target, points: new Map([[0, DATA.loss]]), slope: null, failed: "" });
  Object.assign(nudged, known(target) ?? {});
  drawNudge();
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
  drawNudge();
}

function movable() {
  const { heads } = DATA.moved;
  if (heads.length !== 1) return "the attention scores";
  return `the attention scores of block ${heads[0][0] + 1}, head ${heads[0][1] + 1}`;
}

function drawNudge() {
  const { target, points, slope, gradient, failed } = nudged;
  const box = document.getElementById("nudge");
  const focused = document.activeElement?.id;
  if (slope === null) {
    const wait = DATA.live
      ? "Asking the server …"
      : `This file holds the answers for ${movable()}: choose a number of scores or dscores. ` +
        "To move any number: python -m demos.explore";
    box.replaceChildren(
      paragraph("words", [target.symbol], ["b"]),
      paragraph("words", [failed || wait]),
    );
    return;
  }
  const offered = [...points.keys()].sort((a, b) => a - b);
  const eps = points.has(nudged.eps) ? nudged.eps : offered.at(-1);
  const change = points.get(eps) - DATA.loss;
  const words = paragraph(
    "words",
    ["Add ε to", target.symbol, "and run the model again."],
    ["span", "b"],
  );
  const slider = document.createElement("input");
  Object.assign(slider, { id: "eps", type: "range", min: 0, max: offered.length - 1, step: 1 });
  slider.value = offered.indexOf(eps);
  slider.setAttribute("aria-label", "ε, what is added");
  slider.setAttribute("aria-valuetext", format(eps));
  slider.addEventListener("input", () => {
    nudged.eps = offered[slider.value];
    drawNudge();
  });
  const facts = [
    ["ε", format(eps), "eps-value"],
    ["loss before", format(DATA.loss), "before"],
    ["loss after", format(points.get(eps)), "after"],
    ["change", format(change), "change"],
    ["ε · gradient says", format(eps * gradient), "predicted"],
    ["slope, from two runs of the model", format(slope), "slope"],
    ["gradient, from the backward", format(gradient), "gradient"],
  ];
  const list = document.createElement("dl");
  for (const [name, text, id] of facts) {
    const [term, fact] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, fact.textContent, fact.id] = [name, text, `nudge-${id}`];
    list.append(term, fact);
  }
  const says = "Dots are runs of the model; the dashed line is what the gradient says.";
  const legend = paragraph("legend", [says]);
  const parts = [words, chart(offered, eps), legend, slider, list];
  if (DATA.live) parts.splice(4, 0, anyStep(target, eps));
  if (failed) parts.push(paragraph("failed", [failed]));
  box.replaceChildren(...parts);
  if (focused) document.getElementById(focused)?.focus();
}

/** On a server: any ε. */
function anyStep(target, chosen) {
  const label = document.createElement("label");
  const field = document.createElement("input");
  Object.assign(field, { id: "any-eps", type: "number", step: "any", value: chosen });
  field.addEventListener("change", async () => {
    const eps = field.valueAsNumber;
    if (!Number.isFinite(eps)) return;
    await ask(target, eps);
    if (nudged.points.has(eps)) nudged.eps = eps;
    drawNudge();
  });
  label.append("another ε ", field);
  return label;
}

/** The loss against ε: dots are runs of the model, the line is what the gradient says. */
function chart(offered, eps) {
  const [width, height, edge] = [320, 150, 12];
  const { points, gradient } = nudged;
  const line = (x) => DATA.loss + gradient * x;
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
