// Let the network learn on this page: steps of an optimizer, what they change, and the way back.

/** One step of an optimizer for `flat`, as in minivit/optim; state is what it remembers. */
const OPTIMIZERS = {
  SGD(state, flat, gradient, rate) {
    state.velocity ??= new Float64Array(flat.length);
    for (let n = 0; n < flat.length; n++) {
      state.velocity[n] = 0.9 * state.velocity[n] + gradient[n];
      flat[n] -= rate * state.velocity[n];
    }
  },
  Adam(state, flat, gradient, rate) {
    state.m ??= new Float64Array(flat.length);
    state.v ??= new Float64Array(flat.length);
    state.t = (state.t ?? 0) + 1;
    const [m_share, v_share] = [0.9, 0.999].map((beta) => 1 - beta ** state.t);
    for (let n = 0; n < flat.length; n++) {
      state.m[n] = 0.9 * state.m[n] + 0.1 * gradient[n];
      state.v[n] = 0.999 * state.v[n] + 0.001 * gradient[n] ** 2;
      flat[n] -= (rate * state.m[n]) / m_share / (Math.sqrt(state.v[n] / v_share) + 1e-8);
    }
  },
};

/** The mean loss and, in net.gradient, the mean gradient of a batch of [image, label]. */
function lossOfBatch(net, batch) {
  const total = new Float64Array(net.flat.length);
  let loss = 0;
  for (const [image, label] of batch) {
    run(net, image, label);
    net.gradient.forEach((value, n) => (total[n] += value / batch.length));
    loss += net.loss() / batch.length;
  }
  net.gradient.set(total);
  return loss;
}

/** Fresh weights by the engine's rule: cut normals, ones, zeros, and a head of zeros. */
function freshWeights({ config, parameters }) {
  const normal = () => {
    const [length, angle] = [Math.sqrt(-2 * Math.log(1 - Math.random())), 2 * Math.PI * Math.random()];
    const value = length * Math.cos(angle);
    return Math.abs(value) > 2 ? normal() : value / 0.8796256610342398; // a cut one's deviation
  };
  const small = config.norm === "pre" ? (2 * config.depth) ** -0.5 : 1; // where it joins the stream
  for (const [name, { data, shape }] of parameters) {
    let draw = () => (/(proj|fc2)\.w$/.test(name) ? small : 1) * shape[1] ** -0.5 * normal();
    if (name === "pos") draw = () => 0.02 * normal();
    if (/\.b$|^cls$|^head/.test(name)) draw = () => 0;
    if (/ln\d?\.w$/.test(name)) draw = () => 1;
    if (/ls\d\.w$/.test(name)) draw = () => config.layer_scale;
    data.forEach((_, n) => (data[n] = draw()));
  }
}

let learner = null; // a network with the same weights, for all the images that are not shown
const learning = { past: [], losses: [], memory: {}, steps: 0, running: false };
const RATES = { SGD: -1.5, Adam: -2.5 }; // powers of ten to begin with
const rateChosen = () => 10 ** byId("rate").value;

/** What undo brings back. */
function remember() {
  const { losses, memory, steps } = learning, flat = net.flat.slice();
  learning.past.push({ flat, losses: [...losses], memory: structuredClone(memory), steps });
  if (learning.past.length > 20) learning.past.shift();
}

async function learnFor(count) {
  remember();
  setRunning(true);
  const images = byId("batch").value === "all" ? digits.filter(({ label }) => label !== null)
    : [{ pixels: state.pixels, label: net.label }];
  const batch = images.map(({ pixels, label }) => [normalised(pixels), label]);
  const step = OPTIMIZERS[byId("optimizer").value];
  for (let [done, drawn] = [0, 0]; done <= count; done++) {
    const loss = lossOfBatch(learner, batch), last = done === count || learning.stop;
    learning.losses.push([learning.steps, loss]);
    if (last || !Number.isFinite(loss)) break;
    step(learning.memory, net.flat, learner.gradient, rateChosen());
    learning.steps++;
    if (performance.now() - drawn < 200) continue;
    drawLearning();
    await pause();
    drawn = performance.now();
  }
  setRunning(false);
  refresh();
}

function setRunning(running) {
  Object.assign(learning, { running, stop: false });
  byId("stop").hidden = !running;
  byId("learn-tools").disabled = running;
}

/** Other weights, with nothing remembered of the steps before. */
function startFrom(set) {
  remember();
  set();
  Object.assign(learning, { losses: [], memory: {}, steps: 0 });
  refresh();
}

function undo() {
  const { flat, ...rest } = learning.past.pop();
  net.flat.set(flat);
  Object.assign(learning, rest);
  refresh();
}

/** What was learned: the loss, and a matrix of weights before the last steps and after. */
function drawLearning() {
  const { losses, steps, past } = learning, [first, now] = [losses[0]?.[1], losses.at(-1)?.[1]];
  byId("rate-text").textContent = format(rateChosen());
  byId("undo").disabled = past.length === 0;
  byId("learned").textContent = losses.length
    ? `${steps} ${steps === 1 ? "step" : "steps"}: the loss went from ${format(first)} to ${format(now)}.` : "No step taken.";
  const seen = losses.filter(([, loss]) => Number.isFinite(loss));
  byId("curve").replaceChildren(...(seen.length > 1 ? [chart(seen)] : []));
  const name = byId("weights").value, { data: after, gradient, shape } = net.parameters.get(name);
  const [[, rows, cols], start] = [shape, after.byteOffset / 8];
  const before = (past.at(-1)?.flat ?? net.flat).subarray(start, start + after.length);
  const change = after.map((value, n) => value - before[n]);
  const side = rows === 1 ? 6 : Math.max(1, Math.floor(96 / Math.max(rows, cols)));
  byId("changes").replaceChildren(...Object.entries({ before, after, change, gradient }).map(
    ([words, data]) => {
      const at = (i, j) => data[i * cols + j], label = `${name}, ${words}`;
      const { colour, extent } = colouring(rows, cols, at, "--sign");
      const describe = (i, j) => `${name}[${i},${j}] = ${format(at(i, j))}`;
      const more = { id: `change-${words}`, label, describe, readout: "change-value" };
      return captioned(heatmap({ rows, cols, side, colour, ...more }), words, extent);
    }));
}

/** Stages of training, from a script that is fetched when it is asked for. */
function receiveStages(stages) {
  const all = [...stages, { name: "the weights of this page" }];
  Object.assign(byId("stage"), { max: all.length - 1, value: all.length - 1 });
  byId("replay").hidden = false;
  byId("load-stages").hidden = true;
  byId("stage").oninput = ({ target: slider }) => {
    const { name, accuracy, float16 } = all[slider.value];
    const said = accuracy ? `${name}: ${percent(accuracy)} of the validation images right` : name;
    byId("stage-text").textContent = slider.ariaValueText = said;
    startFrom(() => net.flat.set(float16 ? halves(bytesOf(float16)) : ORIGINAL));
  };
}

/** Numbers in half precision: a sign, 5 bits of exponent, 10 of fraction. */
function halves({ buffer, length }) {
  const view = new DataView(buffer);
  return Float64Array.from({ length: length / 2 }, (_, place) => {
    const bits = view.getUint16(2 * place, true), exponent = (bits >> 10) & 31;
    const fraction = (bits & 1023) / 1024 + (exponent ? 1 : 0);
    return (bits >> 15 ? -1 : 1) * fraction * 2 ** (Math.max(exponent, 1) - 15);
  });
}

function startLearning() {
  learner = networkOf(net.flat);
  for (const count of [1, 10, 100]) byId(`learn-${count}`).onclick = () => learnFor(count);
  byId("stop").onclick = () => (learning.stop = true);
  byId("undo").onclick = undo;
  byId("fresh").onclick = () => startFrom(() => freshWeights(net));
  byId("original").onclick = () => startFrom(() => net.flat.set(ORIGINAL));
  byId("rate").oninput = drawLearning;
  byId("optimizer").onchange = ({ target: { value } }) => {
    byId("rate").value = RATES[value];
    learning.memory = {};
    drawLearning();
  };
  byId("weights").append(...[...net.parameters.keys()].map((name) => make("option", {}, name)));
  byId("weights").value = "blocks.0.attn.qkv.w";
  byId("weights").onchange = drawLearning;
  byId("load-stages").hidden = !DATA.stages;
  const onerror = () => (byId("stage-text").textContent = `${DATA.stages} cannot be read.`);
  byId("load-stages").onclick = () =>
    document.body.append(make("script", { src: DATA.stages, onerror }));
}
