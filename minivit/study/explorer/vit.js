// The page of a ViT, besides the network: images with a class, which can be drawn and learned.

const classifying = {
  without: [], // ids of what this page does not have
  first: "patches.patches",

  start() {
    byId("truth").append(...DATA.classes.map((name, value) => make("option", { value }, name)));
    byId("truth").onchange = ({ target: { value } }) =>
      show({ ...state, label: value === "" ? null : Number(value) }, state.digit);
    startLearning();
    if (DATA.drawing) {
      const onChange = (pixels) => pixels && show({ pixels });
      board = drawingBoard({ id: "board", height: HEIGHT, width: WIDTH, onChange });
      byId("board-box").replaceChildren(board);
    }
    startTour();
  },
  welcome: () => openTour(0),

  /** Both passes; without a label the loss is that of what the model reads. */
  run: () => run(net, normalised(state.pixels), state.truth),
  draw() {
    byId("truth").value = state.truth ?? "";
    drawLearning();
    readOthers();
  },
  leave: () => board?.clear(),

  /** What the image is, as far as that is known, and what the model reads. */
  verdict(p) {
    const best = largestOf(p), name = (place) => `“${DATA.classes[place]}”`;
    const reads = `The model reads ${name(best)} (${percent(p[best])}).`;
    const loss = `The loss is ${format(net.loss())}.`;
    const assumed = `No label is given, so the loss is that of ${name(best)}.`;
    if (state.truth === null) return `${reads} ${assumed} ${loss}`;
    const less = best === net.label ? "" : ` It gives ${name(net.label)} ${percent(p[net.label])}.`;
    return `This is ${name(net.label)}. ${reads}${less} ${loss}`;
  },

  address: () => ({}),
  readAddress() {},
  python: () => ({
    imports: "import minivit\nfrom minivit.study import trace",
    name: "classifier", load: 'minivit.Classifier.load("runs/mnist")', model: "classifier.model",
  }),
  traced: (name) => name,
};

let [turnOfReading, board] = [0, null];

/** Write under each image what the model reads now. */
function readOthers() {
  const turn = ++turnOfReading; // an older turn ends where a newer one begins
  const buttons = digits.map((_, place) => byId(`digit-${place}`));
  buttons.forEach((button, place) => (button.ariaPressed = place === state.digit));
  const next = (place) => {
    if (turn !== turnOfReading || place === digits.length || learning.running) return;
    const { pixels, label, name } = digits[place], p = learner.arrays.get("loss.dlogits@0").data;
    read(learner, normalised(pixels));
    const best = largestOf(p), truth = label === null ? "" : `${DATA.classes[label]}, `;
    const title = `${name}: ${truth}reads ${DATA.classes[best]}, ${percent(p[best])}`;
    const className = label === null || best === label ? "right" : "wrong";
    Object.assign(buttons[place], { className, title, ariaLabel: title });
    byId(`read-${place}`).textContent = DATA.classes[best];
    setTimeout(next, 0, place + 1);
  };
  setTimeout(next, 50, 0);
}
