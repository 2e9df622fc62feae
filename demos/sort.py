"""Sort numbers, or reverse them, with an encoder and a decoder, and see where each came from.

The whole transformer at its smallest: trained for about a minute, on lists that are drawn as they
are needed, so none of the test was seen before.
"""

import sys
import time

import numpy as np

import minivit
from minivit.files import write_file, write_json
from minivit.losses import sequence_cross_entropy
from minivit.models import Seq2Seq
from minivit.models.search import greedy
from minivit.models.vocabulary import BEGIN, END, PADDING, SPECIAL
from minivit.optim import warmup_inverse_sqrt
from minivit.threads import threads

from .options import new_file, parser_of, propose, seed, status

LENGTH, LARGEST = 8, 29  # of a list: its numbers, from 0 to the largest
SIZES = dict(dim=64, depth=2, heads=2, mlp_dim=128)
BATCH, TESTED = 64, 1000  # lists of a step, and of the test
RATE, WARMUP = 3e-3, 100  # the highest learning rate, and the steps until it
TOLD = 250  # steps between two lines


def arguments(argv=None):
    parser = parser_of("sort", __doc__)
    add = parser.add_argument
    add("--reverse", action="store_true", help="do not sort, but write backwards")
    add("--steps", type=int, default=1000, help="of the training, with 64 lists each")
    add("--seed", type=seed, default=0, help="of all random numbers")
    add("--out", type=new_file, default="sort.png", metavar="FILE.png", help="the attention maps")
    add("--json", type=new_file, metavar="FILE", help="write lists_right, numbers_right, seconds")
    options = parser.parse_args(argv)
    if options.steps < 1:
        parser.error(f"--steps must be at least 1, got {options.steps}")
    return options


def main(argv=None):
    return status("sort", lambda: sort(arguments(argv)))


def sort(options):
    from minivit.study import figures
    from minivit.study.looks import looks

    rng = np.random.default_rng(options.seed)
    model = Seq2Seq(words=SPECIAL + LARGEST + 1, source=LENGTH, length=LENGTH + 1, **SIZES)
    params = minivit.Params(model.init(rng))
    doing = "reverse" if options.reverse else "sort"
    print(
        f"Learning to {doing} {LENGTH} numbers from 0 to {LARGEST}: {params.flat.size:,} "
        f"parameters, {options.steps:,} steps of {BATCH} lists"
    )
    started = time.perf_counter()
    with threads(1):
        train(model, params, options, rng)
    seconds = time.perf_counter() - started
    given, wanted = lists(rng, TESTED, options.reverse)
    written = answers(model, params, given)
    right = written == wanted[:, 1:]
    print("\nGiven, and written:")
    for one, other in zip(given[:5], written[:5], strict=True):
        print(f"  {shown(one)}   {shown(other)}")
    measured = dict(
        lists_right=float(right.all(axis=1).mean()), numbers_right=float(right[:, :-1].mean()),
        seconds=seconds, parameters=params.flat.size,
    )  # fmt: skip
    print(f"\nOf {TESTED:,} new lists, {measured['lists_right']:.1%} are right, ", end="")
    print(f"and {measured['numbers_right']:.2%} of their numbers; {seconds:.0f} s")
    if options.json:
        write_json(options.json, measured)
    example = given[:1]
    _, cache = model.forward(params, example, wanted[:1, :-1])
    attention = [block["cross"]["att"][0] for block in cache["decoder"]["blocks"]]
    columns, rows = (list(map(str, tokens - SPECIAL)) for tokens in (example[0], written[0, :-1]))
    if options.reverse:
        origin = [[LENGTH - 1 - place] for place in range(LENGTH)]
    else:
        origin = [[i for i, name in enumerate(columns) if name == row] for row in rows]
    rows, origin = [*rows, "end"], [*origin, []]
    write_file(options.out, figures.png(looks(attention, rows, columns, origin)))
    print(f"Written: {options.out}", file=sys.stderr)
    propose("train a reader of strips of digits", "read")


def train(model, params, options, rng):
    """Teach it: each step a batch of new lists."""
    optimizer, grads = minivit.Adam(params, RATE, betas=(0.9, 0.98)), params.zeros_like()
    for step in range(options.steps):
        given, wanted = lists(rng, BATCH, options.reverse)
        logits, cache = model.forward(params, given, wanted[:, :-1], rng)
        targets = wanted[:, 1:]
        loss, dlogits = sequence_cross_entropy(logits, targets, np.full(BATCH, LENGTH + 1))
        model.backward(params, dlogits, cache, grads.zero())
        optimizer.lr = warmup_inverse_sqrt(step, warmup=WARMUP, peak=RATE)
        optimizer.step(grads)
        if (step + 1) % TOLD == 0:
            right = (logits.argmax(axis=-1) == targets).all(axis=1).mean()
            print(f"  step {step + 1:5}   loss {loss:.4f}   lists right {right:.0%}", flush=True)


def lists(rng, count, reverse):
    """Lists of numbers as tokens (count, LENGTH), and what is to be written of each.

    That is (count, LENGTH + 2), with its begin and end.
    """
    given = rng.integers(0, LARGEST + 1, (count, LENGTH)) + SPECIAL
    ordered = given[:, ::-1] if reverse else np.sort(given, axis=1)
    ends = [np.full((count, 1), token) for token in (BEGIN, END)]
    return given, np.concatenate([ends[0], ordered, ends[1]], axis=1)


def answers(model, params, given):
    """What the model writes, (count, LENGTH + 1)."""
    memory, _ = model.encode(params, given)
    decoder, its_params = model.decoder, params["decoder"]

    def step(tokens, state):
        return decoder.step(its_params, tokens, state)

    state, words = decoder.begin(its_params, memory), dict(begin=BEGIN, end=END)
    written, _ = greedy(step, state, len(given), longest=LENGTH, never=(PADDING, BEGIN), **words)
    return written


def shown(tokens):
    return " ".join(f"{token - SPECIAL:2}" for token in tokens if token >= SPECIAL)


if __name__ == "__main__":
    sys.exit(main())
