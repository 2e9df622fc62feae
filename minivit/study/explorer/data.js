// The data of the page: a model, images, and the names of places in them.

const DATA = JSON.parse(byId("data").textContent);
const MODEL = DATA.model;
const [HEIGHT, WIDTH] = MODEL.image_size, [TALL, WIDE] = pairOf(MODEL.patch_size); // WIDE: a patch
const GRID = { rows: HEIGHT / TALL, cols: WIDTH / WIDE }; // of the patches
const FIRST = MODEL.tokens - GRID.rows * GRID.cols; // 1 if a class token comes before the patches
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const ORIGINAL = Float64Array.from(new Float32Array(bytesOf(DATA.weights.float32).buffer));

const networkOf = (flat) =>
  network(MODEL, DATA.weights.names, flat, { ViT: vit, Reader: reader }[DATA.kind]);
const net = networkOf(ORIGINAL.slice());
const lensOf = lens(net);
const digits = DATA.digits.map((digit) => ({ ...digit, pixels: bytesOf(digit.pixels) }));
const normalised = (pixels) => Float64Array.from(pixels, (value, n) =>
  (value / 255 - DATA.mean[n % MODEL.channels]) / DATA.std[n % MODEL.channels]);

const placeOfPatch = (token) =>
  [Math.floor((token - FIRST) / GRID.cols), (token - FIRST) % GRID.cols];
const tokenName = (token) => (token < FIRST ? "the class token" : `patch ${placeOfPatch(token)}`);

const wordName = (word) => (word < 3 ? DATA.classes[word] : `“${DATA.classes[word]}”`);
const letterName = (place) =>
  `${wordName(net.told.tokens[place])}${place ? `, place ${place}` : ""}`;

/** What rows and columns may stand for; state[key] is the one whose attention is shown. */
const PATCHES = { key: "query", count: MODEL.tokens, nameOf: tokenName };
const LETTERS = { key: "row", count: MODEL.longest + 1, nameOf: letterName };
const OF_LETTERS = /^(decoder\.|dlogits$)/;
const OF_MEMORY = /^decoder\.(dmemory|.*\.cross\.(memory|kv\.|d?(k|v|kv)$))/;
const rowsOf = ({ name }) => (OF_LETTERS.test(name) && !OF_MEMORY.test(name) ? LETTERS : PATCHES);
const keysOf = ({ name }) => (/^decoder.*\.attn\./.test(name) ? LETTERS : PATCHES);

/** What a trace says of an array: the source lines that make it, their place, its shape. */
const codeOf = (name) => DATA.code[name?.replace(/^(decoder\.)?blocks\.\d+/, "$1blocks.*")];
