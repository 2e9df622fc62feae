// The whole network as a map: the residual stream is its spine; branches leave it and add to it.

const [SPINE, STEP, MAP_WIDTH] = [46, 32, 376];

function aboutPart(part) {
  const [name, words, page] = PARTS[part.split(".").at(-1).replace(/\d$/, "")];
  const block = part.match(/^blocks\.(\d+)/)?.[1], title = name === "+" ? "sum" : name;
  return { name, words, page, block, title: block ? `block ${block}, ${title}` : title };
}

/** The line that stands for a part: its result, or on the way back what it hands on. */
function mainLine(part, phase) {
  const lines = net[phase].filter((line) => line.part === part);
  const shown = lines.find(({ result }) => /softmax\.(y|dx)$/.test(result.name));
  return shown ?? lines.findLast(({ result }) => !result.of?.gradient);
}

/** How much a branch adds to the stream, and its share of the gradient that comes back. */
function sharesOf(sum) {
  const length = ({ data }) => Math.sqrt(data.reduce((total, value) => total + value * value, 0));
  const [[stream, branch], [past, through]] = ["forward", "backward"].map((phase) =>
    mainLine(sum, phase).formula.parts.map(length));
  return { adds: branch / stream, back: through / (past + through || 1) };
}

const partsInOrder = () => [...new Set(net.forward.map(({ part }) => part).reverse())].reverse();

/** The parts on the spine, a sum with the parts of its branch: [{ part, branch: [parts] }]. */
function layoutOf() {
  const [items, branch] = [[], []];
  for (const part of partsInOrder()) {
    const onSpine = /sum\d$/.test(part) || (MODEL.norm === "post" && /ln\d$/.test(part));
    if (part.startsWith("blocks") && !onSpine) branch.push(part);
    else items.push({ part, branch: branch.splice(0) });
  }
  return items;
}

/** Draw the map; it is lit as far as the chosen part, on the way back from the other end. */
function drawMap() {
  const { part: chosen, phase } = state.line, order = partsInOrder(), reads = lensOf();
  const [edges, boxes, items, here] = [[], [], layoutOf(), order.indexOf(chosen)];
  const edge = (part, d, breadth, kind = phase) => {
    const ahead = order.indexOf(part) - here, reached = phase === "forward" ? ahead <= 0 : ahead >= 0;
    const lit = kind === phase && reached ? " lit" : "";
    edges.push(svg("path", { d, "stroke-width": breadth, class: kind + lit }));
  };
  const note = (x, y, words, kind = "") => boxes.push(svg("text", { x, y, class: kind }, words));
  note(SPINE - 17, 12, "image");
  let y = 18;
  items.forEach(({ part, branch }, place) => {
    const next = y + (branch.length ? 2 * STEP : STEP), { block } = aboutPart(part);
    edge(part, `M${SPINE} ${y} V${next}`, 4);
    if (branch.length) {
      const { adds, back } = sharesOf(part), wide = 168 / branch.length - 8;
      for (const [kind, share, shift] of [["forward", adds, -3], ["backward", back, 3]]) {
        const [middle, low] = [y + 22 + shift, next - 4 + shift];
        const away = `M${SPINE} ${y + 2} Q${SPINE} ${middle} 82 ${middle} H252`;
        const home = `Q274 ${middle} 274 ${(middle + low) / 2} T252 ${low} H${SPINE + 9}`;
        edge(part, `${away} ${home}`, 1 + 4 * Math.min(share, 1), kind);
      }
      branch.forEach((one, n) => boxes.push(mapBox(one, 82 + n * (wide + 8), y + 11, wide)));
      note(282, y + 20, `adds ${percent(adds)}`, "adds");
      note(282, y + 38, `${percent(back)} of gradient`, "back");
    }
    const isSum = /sum\d$/.test(part);
    const [left, up, width] = isSum ? [10, 14, 20] : [40, 22, 80];
    boxes.push(mapBox(part, SPINE - left, next - up, width));
    y = next;
    if (block && items[place + 1] && aboutPart(items[place + 1].part).block !== block) {
      const best = largestOf(reads[block]), sure = percent(reads[block][best]);
      note(SPINE + 18, y + 20, `here it would read ${DATA.classes[best]}, ${sure}`);
      edge(part, `M${SPINE} ${y} V${(y += 28)}`, 4);
    }
  });
  const view = { id: "map", role: "group", "aria-label": "Map of the network" };
  byId("map-box").replaceChildren(
    svg("svg", { ...view, viewBox: `0 0 ${MAP_WIDTH} ${y + 4}` }, ...edges, ...boxes));
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
