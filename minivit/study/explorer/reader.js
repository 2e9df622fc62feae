// The page of a Reader, besides the network: strips with a text, of which one letter is asked.

const END = 2; // the word that ends a text
const SIGNS = { 0: "·", 1: "▸", [END]: "■" }; // padding, the begin and the end
const signOf = (word) => SIGNS[word] ?? DATA.classes[word];
const asked = new Map(); // strip -> the place of the letter that is asked for

const reading = {
  without: ["learn-card", "tour", "tour-open", "truth-box"],
  first: `decoder.blocks.${MODEL.decoder_depth - 1}.cross.softmax.y`,

  start() {
    document.body.classList.add("strips");
    byId("digit-title").textContent = "A strip, and a letter of it";
    const legend = make("legend", {}, "Which letter is it asked for?");
    byId("board-box").replaceChildren(make("fieldset", { id: "letters" }, legend));
    digits.forEach(({ name, label, reads }, place) => {
      const className = label === null || label === reads ? "right" : "wrong";
      const title = `${name}: ${label === null ? "" : `“${label}”, `}reads “${reads}”`;
      Object.assign(byId(`digit-${place}`), { className, title, ariaLabel: title });
      byId(`read-${place}`).textContent = reads;
    });
  },
  welcome() {},

  /** Both passes. It is told what stands there, or if that is unknown what it writes itself. */
  run() {
    const { tokens, digit } = state, image = normalised(state.pixels);
    net.told.tokens = tokens.slice(0, -1);
    if (!(asked.get(digit) < lettersOfText())) {
      read(net, image);
      asked.set(digit, leastSure());
    }
    const place = asked.get(digit);
    net.told.place = place;
    state.row ??= place;
    run(net, image, tokens[place + 1]);
  },
  draw() {
    const { tokens } = state, legend = byId("letters").firstElementChild;
    byId("letters").replaceChildren(legend, ...range(lettersOfText()).map((place) => {
      const p = chancesAt(place), word = tokens[place + 1], sure = percent(p[word]);
      const ask = () => {
        asked.set(state.digit, place);
        Object.assign(state, { row: place, cell: null });
        refresh();
      };
      const name = word === END ? "end" : DATA.classes[word];
      const button = choice(`letter-${place}`, name, place === net.told.place, ask);
      const title = `${wordName(word)}, place ${place}: ${sure} sure`;
      const className = largestOf(p) === word ? "right" : "wrong";
      return Object.assign(button, { title, ariaLabel: title, className });
    }));
    digits.forEach((_, place) => (byId(`digit-${place}`).ariaPressed = place === state.digit));
  },
  leave: () => (state.row = null), // the next strip's letter is the query

  /** What stands there, what the model was told, and how it goes on. */
  verdict(p) {
    const best = largestOf(p), { truth, reads, tokens } = state, { place } = net.told;
    const there = truth === null ? `What the model writes by itself is “${reads}”.`
      : `“${truth}” stands there${truth === reads ? ", and is read" : `; read is “${reads}”`}.`;
    const before = tokens.slice(1, place + 1).map((word) => DATA.classes[word]).join("");
    const told = before ? `Told “${before}”, it` : "Told nothing yet, it";
    const goes = `${told} goes on with ${wordName(best)} (${percent(p[best])}).`;
    const right = `${wordName(net.label)} (${percent(p[net.label])})`;
    const less = best === net.label ? "" : ` Right is ${right}.`;
    return `${there} ${goes}${less} The loss is that of this letter alone: ${format(net.loss())}.`;
  },

  address: () => ({ letter: net.told.place, row: state.row }),
  readAddress(whole) {
    const letter = whole("letter", LETTERS.count);
    if (letter !== null) asked.set(state.digit ?? DATA.start, letter);
    state.row = whole("row", LETTERS.count);
  },
  python() {
    const { tokens, place } = net.told;
    return {
      imports: `from minivit.study import trace
from minivit.study.letter import OneLetter
from minivit.transcriber import Transcriber`,
      name: "transcriber", load: 'Transcriber.load("runs/read")',
      model: `OneLetter(transcriber.model, np.array([[${tokens.join(", ")}]]), ${place})`,
    };
  },
  /** A name in the trace of one letter, in which the reader is a part. */
  traced(name) {
    const outside = /^(images|letter|dlogits|loss\..*)$/.test(name) || net.parameters.has(name);
    return outside ? name : `reader.${name}`;
  },
};

/** How many letters can be asked for: those of the text, and its end. */
const lettersOfText = () => state.tokens.indexOf(END);

/** The probabilities of all words at a place of the text, as it is read now. */
function chancesAt(place) {
  const { at, shape: [, , V] } = net.arrays.get("decoder.logits");
  return probabilities(range(V).map((word) => at(0, place, word)));
}

/** The place of the least probable letter, after the first, which sees no other. */
function leastSure() {
  const chances = range(lettersOfText()).map((place) => chancesAt(place)[state.tokens[place + 1]]);
  return chances.indexOf(Math.min(...chances.slice(chances.length > 1 ? 1 : 0)));
}

/** A picture of the text that is told, each token in the colour of its number. */
LETTERS.map = ({ id, label, value, scale, chosen, hides, onPoint, onChoose }) => {
  const { colour, extent } = colouring(1, LETTERS.count, (_, place) => value(place), scale);
  const strip = heatmap({
    id, label, rows: 1, cols: LETTERS.count, side: [30, 24], readout: "head-value", colour,
    describe: (_, place) =>
      `${letterName(place)}${hides?.(place) ? ", hidden" : ""}: ${format(value(place))}`,
    decorate: (context, sides) => range(LETTERS.count).forEach((place) =>
      drawLetter(context, sides, place, hides?.(place))),
    onPoint: (i, place) => onPoint?.(i === null ? null : place),
    onChoose: (_, place) => onChoose(place),
  });
  strip.markKey = (key) =>
    strip.mark(key === null ? [] : [[0, key]], chosen === null ? null : [0, chosen]);
  strip.markKey(null);
  return Object.assign(strip, { extent });
};

/** A token on its cell, crossed out if the query must not see it. */
function drawLetter(context, [tall, wide], place, hidden) {
  Object.assign(context, {
    font: `600 ${tall / 2}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle",
    fillStyle: styleOf("--mark"), strokeStyle: styleOf("--card"), lineWidth: 3, lineJoin: "round",
  });
  const where = [signOf(net.told.tokens[place]), (place + 0.5) * wide, tall / 2];
  context.strokeText(...where);
  context.fillText(...where);
  if (!hidden) return;
  Object.assign(context, { strokeStyle: styleOf("--soft"), lineWidth: 1 });
  context.beginPath();
  context.moveTo(place * wide + 3, tall - 3);
  context.lineTo((place + 1) * wide - 3, 3);
  context.stroke();
}
