// The whole network as a map: the residual stream is its spine; branches leave it and add to it.

const [SPINE, STEP, MAP_WIDTH, RAIL] = [46, 32, 376, 388]; // along the rail goes the memory
const ENTERS = { patches: "image", "decoder.embed": "the text so far" }; // what begins a stream

function aboutPart(part) {
  const kind = part.split(".").at(-1).replace(/\d$/, "");
  const key = part.startsWith("decoder.") ? `decoder.${kind}` : kind;
  const [name, words, page] = PARTS[key] ?? PARTS[kind], title = name === "+" ? "sum" : name;
  const [block, decoder, number] = part.match(/^(decoder\.)?blocks\.(\d+)/) ?? [];
  const where = block ? `${decoder ? "decoder block" : "block"} ${number}, ` : "";
  return { key, name, words, page, block, title: where + title };
}

/** The line that stands for a part: its result, or on the way back what it hands on. */
function mainLine(part, phase) {
  const lines = net[phase].filter((line) => line.part === part);
  const shown = lines.find(({ result }) => /softmax\.(y|dx)$/.test(result.name));
  return shown ?? lines.findLast(({ result }) => !result.of?.gradient);
}

/** How much a branch adds to the stream, and its share of the gradient that comes back. */
function sharesOf(sum) {
  const [[stream, branch], [past, through]] = ["forward", "backward"].map((phase) =>
    mainLine(sum, phase).formula.parts.map(lengthOf));
  return { adds: branch / stream, back: through / (past + through || 1) };
}

const lengthOf = ({ data }) => Math.sqrt(data.reduce((total, value) => total + value * value, 0));

/** The share of a block's cross-attention in the gradient of the memory, by length. */
function shareOfMemory(part) {
  const lengths = partsInOrder().filter((one) => one.endsWith(".cross"))
    .map((one) => lengthOf(net.arrays.get(`${one}.kv.dx`)));
  return lengthOf(net.arrays.get(`${part}.kv.dx`)) / (lengths.reduce((a, b) => a + b) || 1);
}

const partsInOrder = () => [...new Set(net.forward.map(({ part }) => part).reverse())].reverse();

/** The parts on the spine, a sum with the parts of its branch: [{ part, branch: [parts] }]. */
function layoutOf() {
  const [items, branch] = [[], []];
  for (const part of partsInOrder()) {
    const onSpine = /sum\d$/.test(part) || (MODEL.norm === "post" && /ln\d$/.test(part));
    if (aboutPart(part).block && !onSpine) branch.push(part);
    else items.push({ part, branch: branch.splice(0) });
  }
  return items;
}

/** Draw the map; it is lit as far as the chosen part, on the way back from the other end. */
function drawMap() {
  const { part: chosen, phase } = state.line, order = partsInOrder(), reads = lensOf();
  const [edges, rails, boxes, items] = [[], [], [], layoutOf()], here = order.indexOf(chosen);
  const edge = (part, d, breadth, kind = phase, drawn = edges) => {
    const ahead = order.indexOf(part) - here, reached = phase === "forward" ? ahead <= 0 : ahead >= 0;
    const lit = kind === phase && reached ? " lit" : "";
    drawn.push(svg("path", { d, "stroke-width": breadth, class: kind + lit }));
  };
  const note = (x, y, words, kind = "") => boxes.push(svg("text", { x, y, class: kind }, words));
  let [y, memory] = [0, 0];
  items.forEach(({ part, branch }, place) => {
    if (ENTERS[part]) {
      y += place && 10;
      note(SPINE - 17, y + 12, ENTERS[part]);
      y += 18;
    }
    const next = y + (branch.length ? 2 * STEP : STEP), { block } = aboutPart(part);
    if (part === "decoder.memory") memory = next - 11;
    edge(part, `M${SPINE} ${y} V${next}`, 4);
    if (branch.length) {
      const { adds, back } = sharesOf(part), wide = 168 / branch.length - 8;
      for (const [kind, share, shift] of [["forward", adds, -3], ["backward", back, 3]]) {
        const [middle, low] = [y + 22 + shift, next - 4 + shift];
        const away = `M${SPINE} ${y + 2} Q${SPINE} ${middle} 82 ${middle} H252`;
        const home = `Q274 ${middle} 274 ${(middle + low) / 2} T252 ${low} H${SPINE + 9}`;
        edge(part, `${away} ${home}`, 1 + 4 * Math.min(share, 1), kind);
      }
      branch.forEach((one, n) => {
        const left = 82 + n * (wide + 8);
        boxes.push(mapBox(one, left, y + 11, wide));
        if (!one.endsWith(".cross")) return;
        const share = shareOfMemory(one);
        for (const [kind, breadth, shift] of [["forward", 2, -2], ["backward", 1 + 4 * share, 2]]) {
          const along = `M${SPINE + 40} ${memory + shift} H${RAIL + shift} V${y + 5 - shift}`;
          const home = `H${left + wide / 2 + shift} V${y + 11}`;
          edge(one, `${along} ${home}`, breadth, kind, rails);
        }
        note(282, y + 56, `${percent(share)} of dmemory`, "back");
      });
      note(282, y + 20, `adds ${percent(adds)}`, "adds");
      note(282, y + 38, `${percent(back)} of gradient`, "back");
    }
    const isSum = /sum\d$/.test(part);
    const [left, up, width] = isSum ? [10, 14, 20] : [40, 22, 80];
    boxes.push(mapBox(part, SPINE - left, next - up, width));
    y = next;
    const read = reads[net.stream.findIndex(({ name }) => name.startsWith(`${block}.`))];
    if (read && items[place + 1] && aboutPart(items[place + 1].part).block !== block) {
      const best = largestOf(read), sure = percent(read[best]);
      note(SPINE + 18, y + 20, `here it would read ${DATA.classes[best]}, ${sure}`);
      edge(part, `M${SPINE} ${y} V${(y += 28)}`, 4);
    }
  });
  const view = { id: "map", role: "group", "aria-label": "Map of the network" };
  const width = memory ? RAIL + 8 : MAP_WIDTH;
  rails.sort((a, b) => a.classList.contains("lit") - b.classList.contains("lit")); // on top
  byId("map-box").replaceChildren(
    svg("svg", { ...view, viewBox: `0 0 ${width} ${y + 4}` }, ...rails, ...edges, ...boxes));
}

function mapBox(part, x, y, width) {
  const { name, title } = aboutPart(part), chosen = part === state.line.part, round = name === "+";
  const height = round ? 20 : 22, order = partsInOrder(), middle = "middle";
  const box = svg("g", {
    id: `part-${part}`, class: chosen ? "part chosen" : "part", role: "button",
    tabindex: chosen ? 0 : -1, "aria-pressed": chosen, "aria-label": title,
  }, svg("rect", { x, y, width, height, rx: round ? 10 : 6 }),
  svg("text", { x: x + width / 2, y: y + height / 2 + 4, "text-anchor": middle }, name));
  const visit = (other) => {
    update({ line: mainLine(other, state.line.phase) });
    byId(`part-${other}`).focus({ preventScroll: true });
  };
  box.onclick = () => {
    visit(part);
    if (NARROW.matches) byId("part-title").scrollIntoView();
  };
  box.onkeydown = (event) => {
    const steps = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, Enter: 0, " ": 0 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    visit(order[order.indexOf(part) + steps[event.key]] ?? part);
  };
  return box;
}
