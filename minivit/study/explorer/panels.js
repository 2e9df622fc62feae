// The parts of the page that show what is looked at and let one choose: pass, head, lines.

function drawJourney() {
  const at = (block, name) => `blocks.${block}.${name}`;
  const point = (found) =>
    explain(found && { matrix: resultOf(found[0]), i: found[1], j: found[2] });
  const stops = [thumb(0, "your digit", digitMap("digit"))];
  const back = [thumb(last, "dLoss/dpixels", pixelMap("pixels", point))];
  for (let block = 0; block < L; block++) {
    const att = ofHead("att", at(block, "attn.att"), state.head);
    stops.push(
      thumb(
        block + 1,
        `block ${block + 1} looks at`,
        patchMap({
          id: `looks-${block}`,
          label: `Attention of the query in block ${block + 1}`,
          scale: "--amount",
          value: (token) => att.at(state.query, token),
          chosen: state.query,
          describe: (token, value) => `${tokenName(token)}: ${format(value)}`,
          onChoose: (token) => update({ query: token }),
        }),
      ),
    );
    const dy = tokens("dy", at(block, "dy"), at(block, "y"));
    back.push(
      thumb(
        last - 1 - block,
        `reaches block ${block + 1}`,
        patchMap({
          id: `back-${block}`,
          label: `Length of the gradient that reaches each token of block ${block + 1}`,
          scale: "--amount",
          value: (token) => lengthOf(dy, token),
          chosen: state.query,
          describe: (token, value) => `${tokenName(token)}: ${format(value)}`,
          onChoose: (token) => update({ query: token }),
        }),
      ),
    );
  }
  stops.push(thumb(L + 1, "the answer", classBars("loss.dlogits@0", 1)));
  back.push(thumb(L + 2, "dLoss/dlogits", classBars("dlogits", 1, "signed")));
  byId("journey").style.setProperty("--columns", L + 2);
  byId("journey").replaceChildren(
    paragraph("direction forward", ["forward"]),
    ...stops,
    paragraph("direction backward", ["backward"]),
    ...back,
  );
  byId("pass-words").textContent =
    `forward: where the marked patch looks, in head ${state.head + 1}; ` +
    "backward: how much gradient reaches each patch. Choose any patch, block or head.";
  byId("walk").max = last;
  byId("walk").value = state.stop;
  byId("walk").setAttribute("aria-valuetext", stopInWords(state.stop));
  byId("walk-text").textContent = stopInWords(state.stop);
}

function resultOf(id) {
  return state.lines.find((line) => line.id === id).result;
}

function thumb(stop, title, content) {
  const figure = document.createElement("figure");
  figure.className = stop === state.stop ? "here" : "";
  const button = document.createElement("button");
  [button.textContent, button.id] = [title, `stop-${stop}`];
  button.addEventListener("click", () => walk(stop));
  figure.append(button, content);
  return figure;
}

function drawHead() {
  byId("head-words").textContent = `the marked one, ${tokenName(state.query)}`;
  choices("blocks", L, state.block, (block) => update({ block, stop: sameDirection(block) }));
  choices("heads", MODEL.heads, state.head, (head) => update({ head }));
  const m = attentionMatrices(state.block, state.head);
  const rowOf = (line, words, matrix, scale) =>
    headMap(
      line,
      words,
      scale,
      (token) => matrix.at(state.query, token),
      (token) => ({ matrix, i: state.query, j: token }),
      (token, number) => `${cell(matrix, state.query, token).symbol} = ${format(number)}`,
    );
  const lengths = (name, words) => {
    const gradient = m[`d${name}`];
    return headMap(
      `d${name}`,
      words,
      "--amount",
      (token) => lengthOf(gradient, token),
      (token) => ({ matrix: gradient, i: token, j: strongestColumn(gradient, token) }),
      (token, length) => {
        const largest = cell(gradient, token, strongestColumn(gradient, token));
        return (
          `length of its row of d${name} = ${format(length)}; ` +
          `the largest number in it, ${largest.symbol} = ${largest.digits}`
        );
      },
    );
  };
  const rows = [
    rowOf("att", "att: where it looks", m.att, "--amount"),
    rowOf("datt", "datt: should it look there?", m.datt, "--sign"),
    rowOf("dscores", "dscores: which scores to move", m.dscores, "--sign"),
  ];
  byId("maps").replaceChildren(
    ...rows,
    lengths("q", "dq: pull on each query"),
    lengths("k", "dk: pull on each key"),
    lengths("v", "dv: pull on each value"),
  );
  state.pictures = [byId("digit").parentElement, ...rows.map((figure) => figure.firstChild)];
}

function strongestColumn(matrix, row) {
  let best = 0;
  for (let j = 0; j < matrix.cols; j++)
    if (Math.abs(matrix.at(row, j)) > Math.abs(matrix.at(row, best))) best = j;
  return best;
}

function headMap(line, words, scale, value, cellOf, say) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const map = patchMap({
    id: `map-${line}`,
    label: words,
    scale,
    value,
    chosen: state.query,
    readout: "head-value",
    describe: (token, number) => `${tokenName(token)}: ${say(token, number)}`,
    onPoint: (token) => explain(token === null ? null : cellOf(token)),
    onChoose: (token) => {
      const { matrix, i, j } = cellOf(token);
      update({ line, chosen: { symbol: matrix.symbol, i, j } });
      showSum();
    },
  });
  const size = document.createElement("small");
  size.textContent = `${scale === "--sign" ? "±" : "0 to "}${format(map.largest)}`;
  caption.textContent = words;
  figure.append(map, caption, size);
  return figure;
}

function sameDirection(block) {
  return state.stop > L + 1 ? last - 1 - block : block + 1;
}

function choices(id, count, chosen, choose) {
  const box = byId(id);
  const buttons = Array.from({ length: count }, (_, place) => {
    const button = document.createElement("button");
    [button.textContent, button.id] = [place + 1, `${id}-${place}`];
    button.setAttribute("aria-pressed", place === chosen);
    button.addEventListener("click", () => choose(place));
    return button;
  });
  box.replaceChildren(box.firstElementChild, ...buttons);
}

function drawLines(line) {
  const groups = [...new Set(state.lines.map(({ group }) => group))];
  byId("groups").replaceChildren(
    ...groups.map((group) => {
      const button = document.createElement("button");
      [button.textContent, button.id] = [group, `group-${group.replace(" ", "-")}`];
      button.setAttribute("aria-pressed", group === line.group);
      const first = state.lines.find((other) => other.group === group);
      button.addEventListener("click", () => update({ line: first.id }));
      return button;
    }),
  );
  byId("lines").replaceChildren(
    ...["forward", "backward"].map((phase) => {
      const list = document.createElement("div");
      list.append(paragraph("direction", [phase]));
      for (const other of state.lines) {
        if (other.group !== line.group || other.phase !== phase) continue;
        const button = document.createElement("button");
        [button.textContent, button.id] = [other.formula, `line-${other.id}`];
        button.setAttribute("aria-pressed", other === line);
        button.addEventListener("click", () => update({ line: other.id }));
        list.append(button);
      }
      return list;
    }),
  );
}
