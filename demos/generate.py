"""Write like a text, letter by letter: a decoder alone, a tiny GPT, which learns from one file.

Without TEXT it learns from this project's own derivations. What it writes as it learns is printed,
and in the end how much faster a cache of keys and values makes it.
"""

import sys
import time
from pathlib import Path

import numpy as np

import minivit
from minivit.files import write_json
from minivit.losses import sequence_cross_entropy
from minivit.models import Decoder
from minivit.models.search import log_probabilities
from minivit.optim import warmup_inverse_sqrt
from minivit.threads import threads

from .options import new_file, parser_of, propose, seed, status

DERIVATIONS = Path(__file__).parents[1] / "docs" / "derivations"
LENGTH = 96  # letters that it sees
SIZES = dict(dim=128, depth=3, heads=4, mlp_dim=256)
BATCH, RATE, WARMUP = 16, 3e-3, 50  # pieces of a step; highest learning rate, steps until it
HELD_OUT = 10  # the last tenth of the text validates
PIECES = 64  # of the held-out text, in which the loss is measured
WRITTEN, BOLDNESS = 64, 0.7  # letters of a sample; less than 1: likely letters even more often
SHORT, SIDE_BY_SIDE, ROUNDS = 8, 256, 5  # letters, texts and rounds with and without a cache


def arguments(argv=None):
    parser = parser_of("generate", __doc__)
    add = parser.add_argument
    add("text", metavar="TEXT", nargs="?", help="a file, UTF-8; default: docs/derivations/*.md")
    add("--steps", type=int, default=1000, help="of the training, with 16 pieces of text each")
    add("--seed", type=seed, default=0, help="of all random numbers")
    json_help = "write the losses in bits a letter, the factor of the cache, seconds, parameters"
    add("--json", type=new_file, metavar="FILE", help=json_help)
    options = parser.parse_args(argv)
    if options.steps < 1:
        parser.error(f"--steps must be at least 1, got {options.steps}")
    return options


def main(argv=None):
    return status("generate", lambda: generate(arguments(argv)))


def generate(options):
    text = read(options.text)
    letters = sorted(set(text))
    numbers = np.searchsorted(letters, list(text))  # (n,)
    cut = len(numbers) - len(numbers) // HELD_OUT
    learned, held_out = numbers[:cut], numbers[cut:]
    rng = np.random.default_rng(options.seed)
    decoder = Decoder(words=len(letters), length=LENGTH, memory=False, **SIZES)
    params = minivit.Params(decoder.init(rng))
    print(
        f"{len(text):,} letters, {len(letters)} different ones; the last tenth validates. "
        f"{params.flat.size:,} parameters, {options.steps:,} steps of {BATCH} x {LENGTH} letters"
    )
    begin = learned[: LENGTH - WRITTEN][None]  # the text's own first letters
    started = time.perf_counter()
    with threads(1):
        for step in train(decoder, params, learned, options.steps, rng):
            bits = loss_of(decoder, params, held_out) / np.log(2)
            sample = written(decoder, params, begin, WRITTEN, np.random.default_rng(step))
            text = "".join(letters[number] for number in sample[0])
            print(f"  step {step:5}   {bits:.2f} bits a letter   {text!r}", flush=True)
        seconds = time.perf_counter() - started
        factor, same = factor_of_cache(decoder, params, begin)
    print(f"\nTrained for {seconds:.0f} s")
    print(
        f"{SIDE_BY_SIDE} texts of {SHORT} letters, with the cache and without: "
        f"{'the same letters' if same else 'other letters'}, and {factor:.1f} times as fast. "
        f"Without it, 1 + 2 + ... + {SHORT} letters go through the blocks instead of {SHORT}: "
        f"{theory(SHORT):.1f} times as many"
    )
    if options.json:
        measured = dict(bits=float(bits), cache_factor=factor, theory=theory(SHORT))
        measured |= dict(same_letters=same, seconds=seconds, parameters=params.flat.size)
        write_json(options.json, measured)
    propose("see a model that reads as well as it writes", "read")


def read(path):
    """The text of a file, or of the derivations. Errors: ValueError if it is too short."""
    if path is None:
        pages = sorted(DERIVATIONS.glob("*.md"))
        if not pages:
            raise ValueError("the derivations are not installed with the package; name a TEXT")
        text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    else:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not a text in UTF-8") from None
    if len(text) < (least := 2 * HELD_OUT * LENGTH):
        raise ValueError(f"a text of {len(text):,} letters is too short; expected {least:,}")
    return text


def train(decoder, params, numbers, steps, rng):
    """Take steps; yield how many were taken after 1, 2, 4, … of them and after the last."""
    optimizer = minivit.AdamW(params, RATE, betas=(0.9, 0.98))
    grads, all_places = params.zeros_like(), np.full(BATCH, LENGTH)
    for step in range(1, steps + 1):
        starts = rng.integers(0, len(numbers) - LENGTH, BATCH)
        pieces = numbers[starts[:, None] + np.arange(LENGTH + 1)]  # (B, T + 1)
        logits, cache = decoder.forward(params, pieces[:, :-1])
        _, dlogits = sequence_cross_entropy(logits, pieces[:, 1:], all_places)
        decoder.backward(params, dlogits, cache, grads.zero())
        minivit.clip_by_global_norm(grads, 1.0)
        optimizer.lr = warmup_inverse_sqrt(step - 1, warmup=WARMUP, peak=RATE)
        optimizer.step(grads)
        if step & (step - 1) == 0 or step == steps:
            yield step


def loss_of(decoder, params, numbers):
    """The loss in nats a letter, on pieces that are spread over a text."""
    starts = np.linspace(0, len(numbers) - LENGTH - 1, PIECES).astype(int)
    pieces = numbers[starts[:, None] + np.arange(LENGTH + 1)]
    logits, _ = decoder.forward(params, pieces[:, :-1], keep=False)
    return sequence_cross_entropy(logits, pieces[:, 1:], np.full(PIECES, LENGTH))[0]


def written(decoder, params, begin, count, rng=None, cached=True):
    """Go on from the tokens `begin` (B, t); return the next ones (B, count).

    rng:    draws each by its probability; without it, the most probable one is taken
    cached: step by step, with a cache of keys and values; or else all anew for each letter
    """
    texts, state = begin, decoder.begin(params)
    if cached:
        for place in range(begin.shape[1]):
            logits, state = decoder.step(params, begin[:, place], state)
    for number in range(count):
        if not cached:
            logits = decoder.forward(params, texts, keep=False)[0][:, -1]  # (B, V)
        tokens = chosen(logits, rng)
        texts = np.concatenate([texts, tokens[:, None]], axis=1)
        if cached and number < count - 1:
            logits, state = decoder.step(params, tokens, state)
    return texts[:, begin.shape[1] :]


def chosen(logits, rng=None):
    """One token of each row of logits (B, V): the most probable, or one that is drawn."""
    if rng is None:
        return logits.argmax(axis=-1)
    likely = np.exp(log_probabilities(logits / BOLDNESS))
    return np.array([rng.choice(len(row), p=row / row.sum()) for row in likely])


def factor_of_cache(decoder, params, begin):
    """How many times as fast letters are written with the cache, and whether they are the same.

    The texts begin with one letter each, as a reader's do; both ways take turns, and the fastest
    round of each counts.
    """
    one = np.resize(begin, (SIDE_BY_SIDE, 1))
    seconds, texts = {True: [], False: []}, {}
    for cached in [True, False] * ROUNDS:
        started = time.perf_counter()
        texts[cached] = written(decoder, params, one, SHORT, cached=cached)
        seconds[cached].append(time.perf_counter() - started)
    return min(seconds[False]) / min(seconds[True]), bool((texts[True] == texts[False]).all())


def theory(letters):
    """Without a cache letter t takes t tokens through the blocks, with it one: their ratio."""
    return (letters + 1) / 2


if __name__ == "__main__":
    sys.exit(main())
