"""The page's engine, in JavaScript, is the twin of the one in NumPy: every array of a pass."""

from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.checks.numeric import random_params
from minivit.models import Reader
from minivit.study import explorer, trace
from minivit.study.letter import OneLetter
from tests.numeric import relative_error
from tests.samples import sample
from tests.study.explorer.cases import recorded

pytestmark = pytest.mark.slow

FOLDER = Path(explorer.__file__).parent
OPTIMIZERS = {"SGD": minivit.SGD, "Adam": minivit.Adam}
RUN = """({ config, names, weights, image, label, told }) => {
  const net = network(config, names, Float64Array.from(weights), told ? reader : vit);
  Object.assign(net.told ?? {}, told);
  run(net, image, label);
  const write = (arrays) => Object.fromEntries([...arrays].map(([name, a]) => [name, [...a]]));
  return {
    loss: net.loss(),
    arrays: write([...net.arrays].map(([name, { data }]) => [name, data])),
    gradients: write([...net.parameters].map(([name, { gradient }]) => [name, gradient])),
  };
}"""
LEARN = """({ config, names, weights, batch, optimizer, rate }) => {
  const net = network(config, names, Float64Array.from(weights)), state = {}, losses = [];
  for (let step = 0; step < 10; step++) {
    losses.push(lossOfBatch(net, batch));
    OPTIMIZERS[optimizer](state, net.flat, net.gradient, rate);
  }
  return [losses, [...net.flat]];
}"""


@pytest.fixture(scope="module")
def page(browser):
    """An empty page with the scripts that compute."""
    page = browser.new_page()
    for name in ("dom", "formula", "layers", "attention", "decoder", "network", "learn"):
        page.add_script_tag(content=Path(FOLDER, f"{name}.js").read_text(encoding="utf-8"))
    yield page
    page.close()


@pytest.fixture
def run(page):
    def run(record, told=None):
        names = [[name, leaf.shape] for name, leaf in record.params.named()]
        config = record.layer.reader.config if told else record.layer.config
        result = page.evaluate(RUN, dict(
            config=config, names=names, told=told, weights=record.params.flat.tolist(),
            image=record.x.ravel().tolist(), label=int(record.labels[0]),
        ))  # fmt: skip
        return result["loss"], result["arrays"], result["gradients"]

    return run


def random_trace(seed):
    """The trace of one image through a random configuration."""
    rng = np.random.default_rng(seed)
    patch, rows, columns, heads, blocks = (int(n) for n in rng.integers(1, 4, 5))
    norm = str(rng.choice(["pre", "post"]))
    model = minivit.ViT(
        image_size=(rows * patch, columns * patch),
        patch_size=patch,
        channels=int(rng.choice([1, 3])),
        dim=heads * 4 * int(rng.integers(1, 4)),
        depth=blocks,
        heads=heads,
        mlp_dim=int(rng.integers(3, 20)),
        classes=int(rng.integers(2, 7)),
        pool=str(rng.choice(["mean", "cls", "patch_mean"])),
        positions=[None, "learned", "sincos1d", "sincos2d"][rng.integers(4)],
        norm=norm,
        norm_pooled=bool(rng.integers(2)) and norm == "pre",
        eps=float(rng.choice([1e-6, 1e-3])),
        activation=str(rng.choice(["gelu_tanh", "gelu_exact"])),
        layer_scale=0.3 if norm == "pre" and rng.integers(2) else None,
        pre_logits=7 if rng.integers(2) else None,
    )
    image = rng.standard_normal((1, *model.config["image_size"], model.config["channels"]))
    label = rng.integers(model.config["classes"], size=1)
    return trace(model, random_params(model, rng), image, label)


def random_letter(seed):
    """The trace of one letter of a random Reader, and what it is told."""
    rng = np.random.default_rng(seed)
    rows, columns, P, Q, heads, depth, blocks = (int(n) for n in rng.integers(1, 4, 7))
    words, longest = 3 + int(rng.integers(2, 6)), int(rng.integers(1, 6))
    model = Reader(
        image_size=(rows * P, columns * Q),
        patch_size=(P, Q),
        channels=int(rng.choice([1, 3])),
        dim=heads * 4 * int(rng.integers(1, 4)),
        depth=depth,
        decoder_depth=blocks,
        heads=heads,
        mlp_dim=int(rng.integers(3, 20)),
        words=words,
        longest=longest,
        positions=[None, "learned", "sincos1d", "sincos2d"][rng.integers(4)],
        norm=str(rng.choice(["pre", "post"])),
        eps=float(rng.choice([1e-6, 1e-3])),
        activation=str(rng.choice(["gelu_tanh", "gelu_exact"])),
    )
    image = rng.standard_normal((1, *model.config["image_size"], model.config["channels"]))
    tokens, place = rng.integers(words, size=(1, longest + 1)), int(rng.integers(longest + 1))
    letter = OneLetter(model, tokens, place)
    record = trace(letter, random_params(model, rng), image, rng.integers(words, size=1))
    return record, dict(tokens=tokens[0].tolist(), place=place)


@pytest.mark.parametrize("seed", sample(range(50), 10))
def test_every_array_and_gradient_is_that_of_the_engine_in_numpy(run, seed):
    record = random_trace(seed)
    expect_twin(record, *run(record))


@pytest.mark.parametrize("seed", sample(range(50), 10))
def test_so_it_is_for_one_letter_of_a_reader(run, seed):
    record, told = random_letter(seed)
    expect_twin(record, *run(record, told))


def expect_twin(record, loss, arrays, gradients):
    """The numbers of the page's engine are those of a trace."""
    assert loss == pytest.approx(record.loss, rel=1e-12)
    for name, value in arrays.items():
        expected, value = recorded(record, name).ravel(), np.array(value, float)
        assert len(value) == len(expected), name
        hidden = np.isneginf(expected)
        np.testing.assert_array_equal(np.isneginf(value), hidden, name)
        assert relative_error(value[~hidden], expected[~hidden]) <= 1e-10, name
    expected = dict(record.grads.named())
    assert gradients.keys() == expected.keys()
    largest = np.abs(record.grads.flat).max()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(
            gradient, expected[name].ravel(), rtol=1e-10, atol=1e-13 * largest
        )


@pytest.mark.parametrize("optimizer, rate", [("SGD", 0.03), ("Adam", 0.003)])
@pytest.mark.parametrize("seed", range(3))
def test_ten_steps_of_learning_are_those_of_the_engines_optimizers(page, seed, optimizer, rate):
    record = random_trace(seed)
    model, params = record.layer, record.params.of(record.params.flat.copy())
    rng, config = np.random.default_rng(seed), model.config
    images = rng.standard_normal((3, *config["image_size"], config["channels"]))
    labels = rng.integers(config["classes"], size=3)
    losses, weights = page.evaluate(LEARN, dict(
        config=config, names=[[name, leaf.shape] for name, leaf in params.named()],
        weights=params.flat.tolist(), optimizer=optimizer, rate=rate,
        batch=[[image.ravel().tolist(), int(label)]
               for image, label in zip(images, labels, strict=True)],
    ))  # fmt: skip
    start, steps = params.flat.copy(), OPTIMIZERS[optimizer](params, rate)
    for loss in losses:
        logits, cache = model.forward(params, images)
        expected, dlogits = minivit.cross_entropy(logits, labels)
        assert loss == pytest.approx(expected, rel=1e-9)
        grads = params.zeros_like()
        model.backward(params, dlogits, cache, grads)
        steps.step(grads)
    assert abs(params.flat - start).max() > rate
    assert abs(weights - params.flat).max() <= 1e-9 * abs(params.flat).max()
