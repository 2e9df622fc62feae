"""Every shape comment of the engine is held to the shape that the line really makes.

A comment tells a shape if it has a bracket with a comma, such as `# (B, h, T, d)`. It is about each
array that its statement binds, or returns; on a line of its own, about all that come after it in
the function. `3 x (B, h, T, d)` says how many there are, and `at last (B, N, D)` speaks of the last
turn of a loop. The letters are those of the legend in `layers/__init__.py`.
"""

import io
import re
import tokenize
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit import layers
from minivit.checks.numeric import random_params
from minivit.checks.one_input import SharedWords, one_input
from minivit.layers import Dropout, FillTokens, Halve, KeepTokens, Linear, Patches, Stage, Stem
from minivit.losses.reconstruction import patches_of
from minivit.models import Decoder, Detector, Masked, Permutation, Reader, Seq2Seq
from minivit.study import trace
from minivit.study.tracing.statements import statement_at

ENGINE = Path(minivit.__file__).parent
OTHERS = [
    "models/encoder.py", "models/vit.py", "models/masked.py", "models/permutation.py",
    "models/detector.py", "models/decoder.py", "models/reader.py", "models/seq2seq.py",
    "losses/cross_entropy.py", "losses/reconstruction.py", "losses/boxes.py",
]  # fmt: skip
FILES = [*sorted((ENGINE / "layers").glob("*.py")), *(ENGINE / name for name in OTHERS)]
OWN_LETTERS = {  # for these, a letter is what a call makes of it
    "linear.py": "R", "sums.py": "RD", "keys_first.py": "BhTSd", "hiding.py": "BTS",
    "rotary.py": "T", "stem.py": "RSD",
}  # fmt: skip
# No two letters have the same size, so that none can stand for another; but a ViT has Q = P.
SIZES = dict(B=8, H=6, W=15, C=4, P=3, Q=3, N=10, h=7, d=12, D=84, F=17, K=13, S=19, M=5, A=9, E=16)


def shape_comments(path):
    """(line, comment, whether it stands alone) of each comment that tells a shape."""
    text = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and re.search(r"\([^()]*,[^()]*\)", token.string):
            yield token.start[0], token.string, token.line.strip().startswith("#")


def shape_error(comment, shape, sizes):
    """None if a comment tells the shape, else what is wrong. A letter of size None is given one."""
    inside = re.search(r"\(([^()]*,[^()]*)\)", comment)[1]
    axes = [axis.strip() for axis in inside.split(",") if axis.strip()]
    if "..." in axes:
        place = axes.index("...")
        after = len(axes) - place - 1
        if len(shape) < len(axes) - 1:
            return f"{comment} has more axes than {shape}"
        axes = axes[:place] + axes[place + 1 :]
        shape = shape[:place] + shape[len(shape) - after :]
    if len(axes) != len(shape):
        return f"{comment} has other axes than {shape}"
    for axis, size in zip(axes, shape, strict=True):
        if not re.fullmatch(r"[\w/·+ ]+", axis):
            return f"{comment}: {axis!r} cannot be read"
        formula = re.sub(r"(\d)([A-Za-z])", r"\1*\2", axis).replace("·", "*").replace("/", "//")
        letters = set(re.findall(r"[A-Za-z]\w*", formula))
        if sizes.get(formula, 0) is None:
            sizes[formula] = size
        if not letters <= sizes.keys():
            return f"{comment}: {axis!r} is no letter of the legend"
        if eval(formula, {}, sizes) != size:
            return f"{comment} is {shape}"
    return None


def seeded(kind):
    """A kind of layer at work that draws; a trace runs layers without a generator."""

    class Seeded(kind):
        def forward(self, *arguments):
            return super().forward(*arguments, np.random.default_rng(0))

    return Seeded


UNLABELLED = ["masked.py", "permutation.py", "reconstruction.py", "twice.py"]  # T and D vary below


TEXTS = ["decoder.py", "reader.py", "seq2seq.py"]


class Graded:
    """A model that learns without labels, and what it says of its answers."""

    def __init__(self, model):
        self.model, self.init, self.backward = model, model.init, model.backward

    def forward(self, params, images):
        places = self.model.draw(np.random.default_rng(0), len(images))
        answer, cache = self.model.forward(params, images, places=places)
        self.model.grade(answer, images, places)
        if isinstance(self.model, Masked):
            patches_of(answer)
        return answer, cache


class Detection:
    """The loss of a detector, as a layer."""

    def __init__(self, detector, targets):
        self.detector, self.targets = detector, targets

    def forward(self, x):
        loss, dx, _, _ = self.detector.grade(x, None, self.targets)
        return np.reshape(loss, 1), {"dx": dx}

    def backward(self, dy, cache):
        return dy * cache["dx"]


class Written:
    """A block that writes one token more, from what it remembers of those before and the memory."""

    def __init__(self, block):
        self.block, self.init, self.backward = block, block.init, block.backward

    def forward(self, params, x):
        memory = [x[:, 10:]] if hasattr(self.block, "begin") else []
        y, cache = self.block.forward(params, x[:, :10], *memory)
        past = {name: cache["attn"][name][:, :, :9] for name in ("k", "v")}
        if memory:
            lengths = np.full(len(x), 19)
            past = self.block.begin(params, *memory, lengths) | {"attn": past}
        self.block.step(params, x[:, 9:10], past)
        return y, cache


class Text:
    """A model that writes a text of 10 tokens, all at once, and then one token step by step.

    write: (model, params, x, tokens) -> logits, cache
    """

    def __init__(self, model, write, x_has_slopes=True):
        self.model, self.write, self.init, self.slopes = model, write, model.init, x_has_slopes

    def forward(self, params, x):
        tokens = np.arange(8 * 10).reshape(8, 10) % 11
        if isinstance(self.model, Decoder):
            _, state = self.model.step(params, tokens[:, 0], self.model.begin(params, x))
            self.model.step(params, tokens[:, 1], state)
        logits, cache = self.write(self.model, params, x, tokens)
        if isinstance(self.model, Reader):
            labels = np.concatenate([tokens, np.zeros((8, 1), int)], axis=1)
            self.model.grade(logits, x, labels)
        return logits, cache

    def backward(self, params, dy, cache, grads):
        dx = self.model.backward(params, dy, cache, grads)
        return dx if self.slopes else np.zeros((8, 19))


ONLY = {Graded: UNLABELLED, Text: TEXTS}  # the files whose letters are those of such traces


def traces_of_texts(rng):
    """Those of models that write, of 11 words."""
    sizes = dict(words=11, dim=84, depth=1, heads=7, mlp_dim=17)
    letters, dy = SIZES | {"T": 10, "V": 11}, rng.standard_normal((8, 10, 11))
    memory = rng.standard_normal((8, 19, 84))
    for changes in ({}, dict(shared=False, positions="rotary")):
        text = Text(
            Decoder(length=10, **sizes, **changes),
            lambda model, params, x, tokens: model.forward(params, tokens, x),
        )
        yield trace(text, random_params(text, rng), memory, dy=dy), letters
    alone = Text(
        Decoder(length=10, memory=False, **sizes),
        lambda model, params, x, tokens: model.forward(params, tokens),
        False,
    )
    alone.model.begin = lambda params, x: Decoder.begin(alone.model, params)
    yield trace(alone, random_params(alone, rng), memory[..., 0], dy=dy), letters
    reader = Text(
        Reader(image_size=(6, 15), patch_size=3, channels=4, longest=9, decoder_depth=1, **sizes),
        lambda model, params, x, tokens: model.forward(params, x, tokens=tokens),
    )
    images = rng.standard_normal((8, 6, 15, 4))
    yield trace(reader, random_params(reader, rng), images, dy=dy), letters | {"S": 10}
    given = Text(
        Seq2Seq(source=19, length=10, **sizes),
        lambda model, params, x, tokens: model.forward(params, np.zeros((8, 19), int), tokens),
        False,
    )
    yield trace(given, random_params(given, rng), memory[..., 0], dy=dy), letters


def traces_of_sequences(rng):
    """Those of layers with a memory of 19 tokens, with lengths, and one token at a time."""
    x, letters = rng.standard_normal((8, 29, 84)), SIZES | {"T": 10}
    for kind in (layers.PreNormDecoderBlock, layers.PostNormDecoderBlock):
        padded = one_input(kind, 10, padded=True)(84, 7, 17, rotary=True)
        yield trace(padded, random_params(padded, rng), x, dy=x[:, :10]), letters
        block = kind(84, 7, 17, rotary=True)
        yield trace(Written(block), random_params(block, rng), x, dy=x[:, :10]), letters
    block = layers.CausalBlock(84, 7, 17)
    yield trace(Written(block), random_params(block, rng), x[:, :10], dy=x[:, :10]), letters
    q, dq = rng.standard_normal((2, 8, 7, 10, 12))
    yield trace(layers.Rotary(12), {}, q, dy=dq), letters
    words = SharedWords(19, 84)
    shared = trace(words, random_params(words, rng), x[:, :10], dy=rng.random((8, 10, 19)))
    yield shared, letters | {"V": 19, "R": 80}


def traces():
    """(Trace, the sizes of its letters) of passes that go through every line with a shape."""
    rng = np.random.default_rng(0)
    for changes in CONFIGS:
        model = minivit.ViT(
            image_size=(6, 15), patch_size=3, channels=4, dim=84, depth=1, heads=7, mlp_dim=17,
            classes=13, **changes,
        )  # fmt: skip
        images, labels = rng.standard_normal((8, 6, 15, 4)), rng.integers(0, 13, 8)
        yield trace(model, random_params(model, rng), images, labels), SIZES | {"T": model.tokens}
    sizes = dict(dim=84, depth=1, heads=7, mlp_dim=17, classes=13)
    detector = Detector(image_size=(6, 15), patch_size=3, channels=4, **sizes)
    answers = rng.standard_normal((8, 10, 18))
    yield trace(detector, random_params(detector, rng), images, dy=answers), SIZES | {"T": 10}
    targets = np.stack([detector.targets([[7, 1, 1, 5, 4]])] * 8)
    boxes, _ = detector.boxes.forward(answers[..., -4:])
    answers = np.concatenate([answers[..., :-4], boxes], axis=-1)
    one_patch = trace(Detection(detector, targets[:, :1]), {}, answers[:, :1], dy=np.ones(1))
    yield one_patch, SIZES | {"N": 1}  # as cross-entropy takes all patches of all images for its B
    oblong, oblong_sizes = Patches(6, 15, (2, 5), 4, 84), SIZES | {"P": 2, "Q": 5, "N": 9}
    dy = rng.standard_normal((8, 9, 84))
    yield trace(oblong, oblong.init(rng, np.float64), images, dy=dy), oblong_sizes
    stage, dy = Stage(4, 84), rng.standard_normal((8, 6, 15, 84))
    yield trace(stage, stage.init(rng, np.float64), images, dy=dy), SIZES
    stem, dy = Stem(6, 15, 4, [(2, 1, 5), (3, 1, 84)]), rng.standard_normal((8, 3, 12, 84))
    yield trace(stem, stem.init(rng, np.float64), images, dy=dy), SIZES
    halved = trace(Halve(), {}, images[:, :, :14], dy=rng.standard_normal((8, 3, 7, 4)))
    yield halved, SIZES | {"W": 14}
    small = dict(image_size=(6, 15), patch_size=3, channels=4, dim=84, depth=1, heads=7, mlp_dim=17)
    masked = Masked(**small, seen=0.5, decoder_dim=16, decoder_depth=1)
    for model, numbers in [(masked, 38), (Permutation(**small, shown=0.1), 10)]:
        dy = rng.standard_normal((8, getattr(model, "asked", 10), numbers))
        yield trace(Graded(model), random_params(model, rng), images, dy=dy), SIZES | {"T": 10}
    x = rng.standard_normal((8, 10, 84))
    yield trace(seeded(KeepTokens)(0.5), {}, x, dy=x[:, :5]), SIZES | {"T": 10}
    filling = seeded(FillTokens)(10, 84)
    yield trace(filling, {"mask": x[0, 0]}, x[:, :5], dy=x), SIZES | {"T": 10}
    x = rng.standard_normal((8, 11, 84))
    yield trace(seeded(Dropout)(0.3, 0.2), {}, x, dy=x), SIZES | {"T": 11}
    yield from traces_of_sequences(rng)
    yield from traces_of_texts(rng)


CONFIGS = [
    dict(pool="mean", positions="sincos1d"),
    dict(pool="cls"),
    dict(pool="cls", positions="sincos2d", norm="post"),
    dict(pool="patch_mean", layer_scale=0.1, pre_logits=19, activation="gelu_exact"),
]


@pytest.fixture(scope="module")
def calls():
    """[(Call, its records, the sizes of the letters)] of all the passes."""
    found = []
    for record, sizes in traces():
        of_call, only = {}, ONLY.get(type(record.layer))
        for r in record:
            of_call.setdefault(r.call, []).append(r)
        for call, records in of_call.items():
            if only and Path(call.file).name not in only:
                continue
            own_sizes = {k: v for k, v in call.arguments.items() if isinstance(v, int)}
            letters = sizes | own_sizes
            if own := OWN_LETTERS.get(Path(call.file).name):
                layer = call.arguments.get("self")
                letters = vars(layer) if isinstance(layer, Linear) else SIZES
                letters = letters | dict.fromkeys(own)
            found.append((call, records, letters))
    return found


def told(calls, path, line, comment, alone):
    """The arrays of which a comment speaks: [(shape, letters)], and how many a turn."""
    statement = statement_at(str(path), line)
    found = []
    for call, records, letters in calls:
        if call.file != str(path):
            continue
        if alone:
            last = call.statement.line
            here = [r for r in records if call.head.line < line < r.line <= last]
        elif statement.source.startswith("return"):
            here = [call.returned] if call.statement is statement else []
        else:
            here = [
                r for r in records if r.statement is statement and r.variable in statement.bound
            ]
        if "at last" in comment:
            here = here[-1:]
        count = re.search(r"(\d+) x \(", comment)
        if count and here:
            assert len(here) == int(count[1]), f"{path.name}:{line} {comment} are {len(here)}"
        found += [(r.shape, letters) for r in here]
    return found


COMMENTED = [path for path in FILES if any(shape_comments(path))]


@pytest.mark.parametrize("path", COMMENTED, ids=lambda path: path.name)
def test_no_shape_comment_lies(path, calls):
    for line, comment, alone in shape_comments(path):
        spoken_of = told(calls, path, line, comment, alone)
        assert spoken_of, f"{path.name}:{line} {comment}: no pass goes there"
        for shape, letters in spoken_of:
            error = shape_error(comment, shape, letters)
            assert not error, f"{path.name}:{line} {error}"


def test_shape_comments_are_found_where_they_are():
    names = {path.name for path in COMMENTED}
    assert names >= {"attention.py", "block.py", "dropout.py", "linear.py", "encoder.py", "vit.py"}


@pytest.mark.parametrize(
    "comment, shape, error",
    [
        ("# (B, 3D)", (8, 252), None),
        ("# 3 x (B, h), views", (8, 7), None),
        ("# (..., D)", (84,), None),
        ("# (..., D)", (5, 8, 84), None),
        ("# (B, ...)  of any shape", (8, 1, 2), None),
        ("# (B, 1, ...)", (8, 1), None),
        ("# (D,)", (84,), None),
        ("# (B, N + 1, P·P·C, W/P)", (8, 11, 36, 5), None),
        ("# (B, D)", (8, 9), "is (8, 9)"),
        ("# (B, T, D)", (8, 84), "other axes"),
        ("# (..., D, D)", (84,), "more axes"),
        ("# (..., D)", (84, 9), "is (9,)"),
        ("# (B, X)", (8, 9), "no letter of the legend"),
        ("# (B, √d)", (8, 3), "cannot be read"),
    ],
)
def test_lies_are_told_apart(comment, shape, error):
    found = shape_error(comment, shape, dict(SIZES))
    assert found is None if error is None else error in found


def test_the_letters_of_a_helper_must_agree_with_each_other():
    letters = {"R": None, "D": None}
    assert shape_error("# (R, D)", (3, 5), letters) is None
    assert shape_error("# (D,)", (5,), letters) is None
    assert "is (3,)" in shape_error("# (D,)", (3,), letters)
