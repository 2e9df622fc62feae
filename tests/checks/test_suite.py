"""The suite is whole, and every property that it checks can fail."""

import numpy as np
import pytest

import minivit
from minivit import layers
from minivit.checks import optimizers, training
from minivit.checks.cases import CASES
from minivit.checks.faults import Fault, faults, planted
from minivit.checks.suite import CHECKS, check
from minivit.training.batches import batches


def test_every_layer_is_checked():
    checked = {type(case.make()).__name__ for case in CASES.values()}
    assert set(layers.__all__) <= checked


def test_sizes_of_a_case_differ_from_each_other():
    for name, case in CASES.items():
        assert len(set(case.shape)) == len(case.shape) or name == "vit", name


def test_the_seed_decides_on_the_input():
    values = [check("gelu", seed=seed).rows[0].numeric for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    assert np.isfinite(values).all()


ADAM = "-p -= self.lr * self.rates * m_hat / (xp.sqrt(v_hat) + self.eps)\n"
CLIP = "-grads.flat *= xp.minimum(1.0, max_norm / unit / (norm + 1e-6 / unit))\n"
LINEAR, COSINE = "optim.warmup_linear", "optim.warmup_cosine"
BROKEN = [  # check, place, lines, the first property that fails
    ("structure", "layers.layernorm.LayerNorm.forward",
     "-rstd = 1 / xp.sqrt(var + self.eps)\n+rstd = 2 / xp.sqrt(var + self.eps)",
     "layer norm gives"),
    ("structure", "layers.pool.FirstToken.forward",
     "-y = x[:, 0].copy()\n+y = 2 * x[:, 0]", "equal tokens pool"),
    ("structure", "layers.mlp.MLP.init",
     '-return {"fc1": self.fc1.init(rng, dtype), "fc2": self.fc2.init(rng, dtype)}\n'
     '+nest = {"fc1": self.fc1.init(rng, dtype), "fc2": self.fc2.init(rng, dtype)}\n'
     '+nest["fc2"]["w"] *= 1e-9\n+return nest', "initial gradients"),
    ("sgd", "optim.SGD.update", "-self.velocity += g\n+self.velocity += 2 * g", "the first step"),
    ("sgd", "optim.SGD.update",
     "-p -= self.lr * self.velocity\n+p -= self.lr * self.velocity * (g != 0)", "the third step"),
    ("adam", "optim.Adam.update", "-self.m += (1 - beta1) * g\n+self.m += g", "the first step"),
    ("adam", "optim.Adam.update", ADAM + "+p -= self.lr * m_hat / (v_hat + self.eps)",
     "the first step has"),
    ("adam", "optim.Adam.update", "-beta1, beta2 = self.betas\n+beta2, beta1 = self.betas",
     "both averages"),
    ("adam", "optim.Adam.update", ADAM + "+p -= self.lr * m_hat / xp.sqrt(v_hat + self.eps**2)",
     "eps is outside"),
    ("adamw", "optim.AdamW.update",
     "-p -= (self.lr * self.decay * self.rates) * (self.decays * p)\n"
     "+p -= self.decay * (self.decays * p)",
     "eight steps"),
    ("muon", "optim.Muon._turn", "-w -= size * step\n+w += size * step", "a step goes downhill"),
    ("muon", "optim.Muon._turn",
     "-size = self.lr * math.sqrt(max(1, d_out / d_in))\n+size = 2 * self.lr", "a step of qkv"),
    ("clipping", "optim.clip_by_global_norm", CLIP + "+grads.flat *= 0.5", "a large gradient"),
    ("clipping", "optim.clip_by_global_norm", CLIP + "+grads.flat *= max_norm / norm / unit",
     "a small gradient"),
    ("schedules", COSINE, "-return peak * (step + 1) / (warmup + 1)\n+return peak",
     "it rises during"),
    ("schedules", LINEAR, "-return peak * (steps - step) / (steps - warmup)\n+return peak",
     "it falls after"),
    ("schedules", COSINE,
     "-return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))\n"
     "+return 1.1 * peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2",
     "it peaks at"),
    ("schedules", COSINE,
     "-return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))\n"
     "+return peak * (2 - (step - warmup) / steps) / 2", "the last rate"),
    ("average", "optim.EMA.update",
     "-decay = min(self.decay, (1 + self.t) / (10 + self.t))\n+decay = self.decay",
     "the first update"),
    ("average", "optim.EMA.update", "-self.t += 1\n+self.t += 1\n+self.source.flat += 1e-3",
     "the parameters stay"),
    ("average", "optim.EMA.update",
     "-decay = min(self.decay, (1 + self.t) / (10 + self.t))\n"
     "+decay = (1 + self.t) / (10 + self.t)", "it follows"),
    ("training_step", "training.step.shard_pass",
     "-shard_loss += loss * share\n+shard_loss += loss", "shards change nothing"),
    ("training_step", "training.step.loss_and_gradients",
     "-return sum(losses), sum(right) / B\n+return sum(losses), sum(right)", "a step computes"),
    ("training_step", "losses.cross_entropy.cross_entropy",
     "-loss = (losses / B).sum()\n+loss = losses.mean() + 0.1", "a new model has"),
    ("training_step", "layers.positions.Positions.backward",
     '-grads["pos"] += dy.sum(axis=0)', "every parameter learns"),
    ("batches", "training.batches.batches",
     "-maps = augment.draw(rng, len(chosen), *split.images.shape[1:3]) if changing else None\n"
     "+rng = np.random.default_rng(seed)\n"
     "+maps = augment.draw(rng, len(chosen), *split.images.shape[1:3]) if changing else None",
     "every image is augmented"),
    ("batches", "training.batches.batches",
     "-rng = np.random.default_rng([seed, step + 1])\n"
     "+rng = np.random.default_rng([0, step + 1])", "another seed"),
    ("training_step", "training.step.answered",
     "-y, cache = model.forward(params, images, rng, **given)\n"
     "+y, cache = model.forward(params, images, **given)",
     "a step drops out"),
    ("layer_rates", "optim.layer_rates.layer_rates",
     "-place[...] = decay ** (depth - int(block[1]))\n+place[...] = decay ** (int(block[1]) + 1)",
     "the rate halves"),
    ("layer_rates", "optim.layer_rates.layer_rates",
     "-place[...] = decay ** (depth + 1)\n+place[...] = decay**depth", "below the blocks"),
    ("muon", "optim.Muon.update", "-self.rest.lr = self.lr * self.rest_share", "the rest moves"),
    ("muon", "optim.Muon.update", "-self.velocity *= self.momentum", "old gradients fade"),
    ("initial", "layers.linear.Linear.init",
     "-w = truncated_normal(rng, (self.d_in, self.d_out), self.gain * self.d_in**-0.5, dtype)\n"
     "+w = truncated_normal(rng, (self.d_in, self.d_out), self.gain * self.d_out**-0.5, dtype)",
     "matrices have std"),
    ("initial", "layers.layernorm.LayerNorm.init",
     '-return {"w": np.ones(self.dim, dtype), "b": np.zeros(self.dim, dtype)}\n'
     '+return {"w": np.ones(self.dim, dtype), "b": np.ones(self.dim, dtype)}', "biases and head"),
    ("structure", "models.encoder.Encoder.forward",
     "-x, block_cache = block.forward(block_params, x, rng)\n"
     "+x, block_cache = block.forward(block_params, x)", "every dropout takes part"),
    ("evaluation", "models.cnn.CNN.forward", "-if number:\n+if number and keep:",
     "without a cache"),
    ("batches", "training.batches.batches",
     "-if step < first:\n+if step < first - 1:", "a resumed run"),
    ("structure", "models.encoder.Encoder.__init__",
     "-dict(dropout=dropout, drop_path=drop_path * (number / depth))\n"
     "+dict(dropout=dropout, drop_path=drop_path * ((number - 1) / depth))", "stochastic depth"),
    ("loss", "losses.cross_entropy.cross_entropy",
     "-loss = (losses / B).sum()\n+loss = (losses / B).sum() * np.float64(1)", "float32 stays"),
    ("evaluation", "classifier.Classifier._logits",
     "-return self.model.forward(self.params, normalized, keep=False)[0]\n"
     "+return self.model.forward(self.params, normalized, np.random.default_rng(), keep=False)[0]",
     "evaluation draws nothing"),
    ("sequences", "layers.cross_attention.CrossAttention.forward",
     "-scores *= self.scale\n+scores *= self.scale\n+scores[..., -1] = -np.inf",
     "every token of the memory"),
    ("sequences", "layers.rotary.angles",
     "-place = xp.arange(start, start + T)[:, None]\n+place = xp.arange(T)[:, None]",
     "scores depend on the difference of places"),
    ("sequences", "layers.rotary.turned",
     "-y[..., 1::2] = first * sin + second * cos\n+y[..., 1::2] = first * sin - second * cos",
     "scores depend on the difference of places only"),
    ("sequences", "losses.sequence.sequence_cross_entropy",
     "-dlogits[rows] = dreal\n+dlogits += abs(dreal).mean()\n+dlogits[rows] = dreal",
     "padding gets no gradient from the loss"),
    ("sequences", "losses.sequence.sequence_cross_entropy",
     "-real = np.flatnonzero(np.arange(T) < ends[:, None])\n+real = np.arange(B * T)",
     "the loss is the mean"),
    ("schedules", "optim.warmup_inverse_sqrt",
     "-return peak * math.sqrt((warmup + 1) / (step + 1))\n"
     "+return peak * (warmup + 1) / (step + 1)",
     "it falls as the root"),
    ("texts", "layers.hiding.hide_later",
     "-later = places > places[:, None]\n+later = places > places[:, None] + 1",
     "a text step by step"),
    ("texts", "layers.hiding.hide_later",
     "-later = places > places[:, None]\n+later = places != places[:, None]",
     "a text step by step"),
    ("texts", "models.decoder.Decoder._places",
     "-return sinusoids(xp, self.length, self.dim)[first : first + T].astype(words.dtype)\n"
     "+return xp.zeros((T, self.dim), words.dtype)", "places matter"),
    ("texts", "models.reader.Reader.told",
     '-return {"tokens": to_device(labels, "cpu")[:, :-1]}\n'
     '+return {"tokens": to_device(labels, "cpu")[:, 1:]}', "a reader is told"),
    ("texts", "models.reader.Reader.grade",
     "-lengths = (targets != PADDING).sum(axis=1)\n"
     "+lengths = np.full(len(targets), targets.shape[1])", "who is sure"),
    ("texts", "models.reader.Reader.grade",
     "-right = ((best == targets) | (targets == PADDING)).all(axis=1).sum()\n"
     "+right = (best == targets).all(axis=1).sum()", "a text is right"),
    ("texts", "models.reader.Reader.grade",
     "-tokens_a_text = float(lengths.mean())\n+tokens_a_text = 1.0", "parts of a batch"),
]  # fmt: skip


def failures(name, place, lines):
    with planted(Fault("broken", "", "", name, "", {place: lines})):
        return [finding.name for finding in CHECKS[name]() if not finding.ok]


@pytest.mark.parametrize("name, place, lines, expected", BROKEN)
def test_a_property_fails_where_its_formula_is_broken(name, place, lines, expected):
    assert failures(name, place, lines)[0].startswith(expected)


def test_every_property_can_fail():
    changes = [(name, {place: lines}) for name, place, lines, _ in BROKEN]
    changes += [(fault.check, fault.change) for fault in faults().values()]
    never = {(name, each.name) for name in CHECKS.keys() - CASES.keys() for each in CHECKS[name]()}
    for name, change in changes:
        if name not in CASES:
            with planted(Fault("broken", "", "", name, "", change)):
                never -= {(name, each.name) for each in CHECKS[name]() if not each.ok}
    assert never == {("batches", "a seed determines the order")}  # see below


@pytest.mark.parametrize(
    "name, place, lines, expected",
    [
        ("gelu", "layers.gelu.GELU.forward", "-gate *= 0.5\n+gate *= 0.501",
         "forward does not give GELU's formula (formulas.py): off by 0.002"),
        ("dropout", "layers.dropout.Dropout.forward",
         "-mask /= (1 - self.rate) * (1 - self.path_rate)\n+mask /= 1 - self.rate",
         "forward turns 1 into 0.79 on average"),
        ("sinusoids_1d", "layers.sinusoids.SinusoidalPositions.forward",
         "-y = x + pos\n+y = x + pos + xp.zeros(1)", "forward returns float64 for float32"),
        ("linear", "layers.linear.Linear.backward",
         "-dx = drows.reshape(x.shape)\n+dx = drows.reshape(x.shape) + np.zeros(1)",
         "backward returns float64 for float32"),
    ],
)  # fmt: skip
def test_a_case_is_held_to_its_formula_its_masks_and_its_dtype(name, place, lines, expected):
    with planted(Fault("broken", "", "", name, "", {place: lines})):
        (problem,) = check(name).problems
    assert problem.startswith(expected)


def test_an_adam_that_looks_at_the_size_of_gradients_fails():
    class Plain(minivit.Adam):
        def update(self, p, g):
            super().update(p, g)
            p -= 1e-3 * self.lr * np.sign(g) * (abs(g) > 100)

    failed = [finding.name for finding in optimizers.adam(Plain) if not finding.ok]
    assert failed == ["the size of the gradient does not matter"]


def test_a_seed_that_decides_nothing_is_seen():
    def make(split, *, seed, **options):
        seed = int(np.random.default_rng().integers(10**9))
        return batches(split, seed=seed, **options)

    failed = [finding.name for finding in training.run_batches(make) if not finding.ok]
    assert failed == ["a seed determines the order", "a resumed run has the same batches"]
