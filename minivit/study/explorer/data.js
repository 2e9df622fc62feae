// The data of the page: a model, images, and the names of places in them.

const DATA = JSON.parse(byId("data").textContent);
const MODEL = DATA.model;
const [[HEIGHT, WIDTH], PATCH] = [MODEL.image_size, MODEL.patch_size];
const GRID = { rows: HEIGHT / PATCH, cols: WIDTH / PATCH }; // of the patches
const FIRST = MODEL.tokens - GRID.rows * GRID.cols; // 1 if a class token comes before the patches
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const ORIGINAL = Float64Array.from(new Float32Array(bytesOf(DATA.weights.float32).buffer));

const net = network(MODEL, DATA.weights.names, ORIGINAL.slice());
const learner = network(MODEL, DATA.weights.names, net.flat); // with the same weights
const lensOf = lens(net);
const digits = DATA.digits.map((digit) => ({ ...digit, pixels: bytesOf(digit.pixels) }));
const normalised = (pixels) => Float64Array.from(pixels, (value, n) =>
  (value / 255 - DATA.mean[n % MODEL.channels]) / DATA.std[n % MODEL.channels]);

const placeOfPatch = (token) =>
  [Math.floor((token - FIRST) / GRID.cols), (token - FIRST) % GRID.cols];
const tokenName = (token) => (token < FIRST ? "the class token" : `patch ${placeOfPatch(token)}`);
/** What a trace says of an array: the source lines that make it, their place, its shape. */
const codeOf = (name) => DATA.code[name?.replace(/^blocks\.\d+/, "blocks.*")];
