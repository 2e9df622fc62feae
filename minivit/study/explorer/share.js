// Taking something along: the place as an address, a number as NumPy, the matrices as a picture.

/** #digit=3&block=2&line=attn.softmax.dx&head=1&query=14&cell=14,0 */
function writeAddress() {
  const { line, cell, digit, head, query } = state;
  const [, block, rest] = line.result.name.match(/^blocks\.(\d+)\.(.*)/) ?? [];
  const fields = {
    digit: digit ?? "drawn", ...(block && { block }), line: rest ?? line.result.name, head, query,
    ...KIND.address(),
    ...(cell.array === line.result && { cell: `${cell.i},${cell.j}` }),
  };
  const address = Object.entries(fields).map(([key, value]) => `${key}=${value}`).join("&");
  try {
    history.replaceState(null, "", `#${address}`);
  } catch {} // inside a notebook a page has no address
}

/** Go where the address says; what does not fit the model is left out. */
function readAddress() {
  const fields = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const whole = (text, size) =>
    (/^\d+$/.test(text ?? "") && Number(text) < size ? Number(text) : null);
  const { block, line } = fields;
  const name = block === undefined ? line : `blocks.${block}.${line}`;
  const found = net.arrays.get(name)?.line ?? state.line;
  const [i, j] = (fields.cell ?? "").split(",").map((text, axis) =>
    whole(text, found.result.shape[axis + 1]));
  Object.assign(state, {
    line: found, digit: fields.digit ? whole(fields.digit, digits.length) : state.digit,
    head: whole(fields.head, MODEL.heads) ?? state.head,
    query: whole(fields.query, MODEL.tokens) ?? state.query,
    cell: i == null || j == null ? null : { array: found.result, i, j },
  });
  KIND.readAddress((name, size) => whole(fields[name], size));
}

addEventListener("hashchange", () => {
  readAddress();
  if (state.digit != null) show(digits[state.digit], state.digit);
  else update({});
});

/** The lines of Python that give the chosen number from a trace. */
function asNumPy() {
  const { array: one, i, j } = state.cell, flat = one.placeOf(viewOf(one).s, i, j);
  const pixels = Array.from(state.pixels, (value) => value.toString(16).padStart(2, "0")).join("");
  const image = [1, HEIGHT, WIDTH, MODEL.channels];
  const shape = one === net.images ? image : codeOf(one.name).shape;
  const index = shape.map((size, axis) =>
    Math.floor(flat / shape.slice(axis + 1).reduce((a, b) => a * b, 1)) % size);
  const [name, version] = KIND.traced(one.name).split("@");
  const record = version ? `record.versions("${name}")[${version}]` : `record["${name}"]`;
  const learned = net.flat.some((value, n) => value !== ORIGINAL[n]);
  const { imports, name: run, load, model } = KIND.python();
  return `import numpy as np
${imports}
${learned ? "\n# The page has learned since: its weights are no longer those of the run." : ""}
${run} = ${load}
pixels = np.frombuffer(bytes.fromhex("${pixels}"), np.uint8)
images = ${run}.normalize(pixels.reshape(${image.join(", ")})).astype(float)
params = ${run}.params.astype(float)
record = trace(${model}, params, images, np.array([${net.label}]))
print(${record}.value[${index.join(", ")}])  # ${one.data[flat]}
`;
}

/** The matrices, the formula and the sum as one SVG. */
function panelSVG() {
  const text = (x, y, words) =>
    svg("text", { x, y, "font-size": 12, "font-family": "monospace", fill: "#1d2026" }, words);
  const parts = [text(10, 22, written(state.line))];
  let [x, low] = [10, 0];
  for (const { view, canvas } of views) {
    const [width, height] = [view.cols, view.rows].map((count) => Math.max(count * 8, 24));
    parts.push(text(x, 48, `${view.array.symbol} ${view.rows} × ${view.cols}`), svg("image", {
      x, y: 56, width, height, href: canvas.picture.toDataURL(),
      preserveAspectRatio: "none", style: "image-rendering: pixelated",
    }));
    [x, low] = [x + Math.max(width, 110) + 16, Math.max(low, height)];
  }
  const lines = [...byId("sum").children].map((line) => line.textContent);
  lines.forEach((words, n) => parts.push(text(10, 84 + low + 18 * n, words)));
  const width = Math.max(x, 8 * Math.max(...lines.map(({ length }) => length)));
  const height = 92 + low + 18 * lines.length, paper = svg("rect", { width, height, fill: "#fff" });
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}` }, paper, ...parts);
  return new XMLSerializer().serializeToString(picture);
}

byId("copy").onclick = async () => {
  const box = Object.assign(byId("numpy"), { hidden: false, value: asNumPy() });
  box.select();
  const copied = await navigator.clipboard?.writeText(box.value).then(() => true, () => false);
  byId("shared").textContent = copied ? "Copied." : "Press Ctrl+C to copy the lines.";
};

byId("save").onclick = () => {
  const href = URL.createObjectURL(new Blob([panelSVG()], { type: "image/svg+xml" }));
  make("a", { href, download: `${state.line.result.name}.svg` }).click();
  byId("shared").textContent = "Saved as SVG.";
};
