// The parts of the page that show what is looked at, and let one choose: pass, head, lines.

function drawJourney() {
  const at = (block, name) => `blocks.${block}.${name}`;
  const stops = [thumb(0, "image", imageMap("digit"))];
  const back = [thumb(last, "dLoss/dpixels", pixelMap("pixels"))];
  for (let block = 0; block < L; block++) {
    const att = ofHead("att", at(block, "attn.att"), state.head);
    const label = `Attention of the query in block ${block}`;
    const attention = tokenMap(`looks-${block}`, label, (token) => att.at(state.query, token));
    stops.push(thumb(block + 1, `attention, block ${block}`, attention));
    const dy = tokens("dy", at(block, "dy"), at(block, "y"));
    const words = `Length of the gradient of each token of block ${block}`;
    const gradient = tokenMap(`back-${block}`, words, (token) => lengthOf(dy, token));
    back.push(thumb(last - 1 - block, `gradient, block ${block}`, gradient));
  }
  stops.push(thumb(L + 1, "probabilities", classBars("loss.dlogits@0")));
  back.push(thumb(L + 2, "dLoss/dlogits", classBars("dlogits", "signed")));
  byId("journey").style.setProperty("--columns", L + 2);
  byId("journey").replaceChildren(
    paragraph("direction forward", "forward"),
    ...stops,
    paragraph("direction backward", "backward"),
    ...back,
  );
  byId("pass-words").textContent =
    `forward: what the marked patch attends to, in head ${state.head}; ` +
    "backward: how large the gradient of each patch is. Choose any patch, block or head.";
  const { words } = STOPS[state.stop];
  Object.assign(byId("walk"), { max: last, value: state.stop, ariaValueText: words });
  byId("walk-text").textContent = words;
}

function thumb(stop, textContent, content) {
  const button = make("button", { id: `stop-${stop}`, textContent, onclick: () => walk(stop) });
  return make("figure", { className: stop === state.stop ? "here" : "" }, button, content);
}

function drawHead() {
  byId("head-words").textContent = tokenName(state.query);
  const stopOfBlock = (block) => (state.stop > L + 1 ? last - 1 - block : block + 1);
  choices("blocks", L, state.block, (block) => update({ block, stop: stopOfBlock(block) }));
  choices("heads", MODEL.heads, state.head, (head) => update({ head }));
  const m = attentionMatrices(state.block, state.head);
  const rows = [
    rowMap("att: what it attends to", m.att, "--amount"),
    rowMap("datt: would more attention raise the loss?", m.datt, "--sign"),
    rowMap("dscores: would a higher score?", m.dscores, "--sign"),
  ];
  byId("maps").replaceChildren(
    ...rows,
    lengthMap("dq: gradient of each query", m.dq),
    lengthMap("dk: gradient of each key", m.dk),
    lengthMap("dv: gradient of each value", m.dv),
  );
  state.pictures = [byId("digit").parentElement, ...rows.map((figure) => figure.firstChild)];
}

/** The query's row of a matrix of pairs. */
function rowMap(words, matrix, scale) {
  const cellOf = (token) => ({ matrix, i: state.query, j: token });
  const say = (token, number) => `${cell(matrix, state.query, token).symbol} = ${format(number)}`;
  return headMap(words, scale, (token) => matrix.at(state.query, token), cellOf, say);
}

/** The length of each token's row of a gradient; pointing shows the largest number in the row. */
function lengthMap(words, matrix) {
  const cellOf = (token) => ({ matrix, i: token, j: strongestColumn(matrix, token) });
  const say = (token, length) => {
    const { symbol, digits } = cell(matrix, token, strongestColumn(matrix, token));
    return (
      `length of its row of ${matrix.symbol} = ${format(length)}; ` +
      `largest number in the row, ${symbol} = ${digits}`
    );
  };
  return headMap(words, "--amount", (token) => lengthOf(matrix, token), cellOf, say);
}

function headMap(words, scale, value, cellOf, say) {
  const line = words.split(":")[0];
  const map = patchMap({
    id: `map-${line}`,
    label: words,
    scale,
    value,
    readout: "head-value",
    describe: (token, number) => `${tokenName(token)}: ${say(token, number)}`,
    onPoint: (token) => explain(token === null ? null : cellOf(token)),
    onChoose: (token) => choose(line, cellOf(token)),
  });
  return make("figure", {}, map, make("figcaption", {}, words), make("small", {}, map.extent));
}

function strongestColumn(matrix, row) {
  const sizes = matrix.row(row).map(Math.abs);
  return sizes.indexOf(Math.max(...sizes));
}

function choices(id, count, chosen, choose) {
  const buttons = range(count).map((place) =>
    choice(`${id}-${place}`, place, place === chosen, () => choose(place)));
  byId(id).replaceChildren(byId(id).firstElementChild, ...buttons);
}

function drawLines(line) {
  const groups = [...new Set(state.lines.map(({ group }) => group))];
  const choose = (other) => () => update({ line: other.id });
  byId("groups").replaceChildren(
    ...groups.map((group) => {
      const first = state.lines.find((other) => other.group === group);
      const id = `group-${group.replace(" ", "-")}`;
      return choice(id, group, group === line.group, choose(first));
    }),
  );
  byId("lines").replaceChildren(
    ...["forward", "backward"].map((phase) => {
      const lines = state.lines.filter((o) => o.group === line.group && o.phase === phase);
      const buttons = lines.map((o) => choice(`line-${o.id}`, o.formula, o === line, choose(o)));
      return make("div", {}, paragraph("direction", phase), ...buttons);
    }),
  );
}
