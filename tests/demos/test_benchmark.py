import importlib
import json
import re

import numpy as np
import pytest

import minivit
from demos.benchmark import engines, workers
from demos.benchmark.workers import Worker, race, serve_engine
from minivit.checks.numeric import random_params
from tests.numeric import passes, relative_error

benchmark = importlib.import_module("demos.benchmark.__main__")
TINY = dict(
    image_size=[6, 4], patch_size=2, channels=3, dim=6, depth=2, heads=3, mlp_dim=5, classes=7
)


def twins():
    """Our model and PyTorch's with the same random parameters, and a batch, all in float64."""
    torch = pytest.importorskip("torch")
    from demos.benchmark import torch_vit

    rng = np.random.default_rng(0)
    model = minivit.ViT(**TINY)
    params = random_params(model, rng)
    images, labels = rng.standard_normal((5, 6, 4, 3)), rng.integers(0, 7, 5)
    return torch, torch_vit, model, params, torch_vit.twin(TINY, params), images, labels


def torch_loss(torch, twin, images, labels):
    return torch.nn.functional.cross_entropy(twin(torch.tensor(images)), torch.tensor(labels))


def of_torch(name, tensor):
    return tensor.detach().numpy().T if name.endswith(".w") else tensor.detach().numpy()


def test_the_pytorch_model_is_ours():
    torch, _, model, params, twin, images, labels = twins()
    loss, _, gradients = passes(model, params, images, labels)
    twin_loss = torch_loss(torch, twin, images, labels)
    twin_loss.backward()
    assert twin_loss.item() == pytest.approx(loss, rel=1e-12)
    named = {name: gradient for name, gradient in gradients.items() if name != "images"}
    assert len(named) == len(list(twin.parameters()))
    for (name, gradient), theirs in zip(named.items(), ordered(twin, params), strict=True):
        assert relative_error(gradient, of_torch(name, theirs.grad)) <= 1e-10, name


def ordered(twin, params):
    """The twin's parameters in our order."""
    theirs = dict(twin.named_parameters())
    for name, _ in params.named():
        stem = name.rpartition(".")[0]
        yield theirs[
            {"w": f"{stem}.weight", "b": f"{stem}.bias"}.get(name.rpartition(".")[2], name)
        ]


def test_the_optimizers_take_the_same_steps():
    torch, torch_vit, model, params, twin, images, labels = twins()
    optimizer = minivit.AdamW(params, 0.01, betas=(0.8, 0.9), decay=0.5)
    twin_optimizer = torch_vit.adamw(twin.named_parameters(), 0.01, (0.8, 0.9), 0.5)
    grads = params.zeros_like()
    for _ in range(4):
        logits, cache = model.forward(params, images)
        _, dlogits = minivit.cross_entropy(logits, labels)
        model.backward(params, dlogits, cache, grads.zero())
        optimizer.step(grads)
        twin_optimizer.zero_grad()
        torch_loss(torch, twin, images, labels).backward()
        twin_optimizer.step()
    for (name, leaf), theirs in zip(params.named(), ordered(twin, params), strict=True):
        if name.endswith("attn.qkv.b"):  # the key's has no gradient but rounding, which Adam scales
            leaf, theirs = leaf[[*range(6), *range(12, 18)]], theirs[[*range(6), *range(12, 18)]]
        assert relative_error(leaf, of_torch(name, theirs)) <= 1e-9, name


def test_both_engines_start_at_the_same_loss_and_learn():
    pytest.importorskip("torch")
    losses = {}
    for engine in (engines.minivit_engine, engines.torch_engine):
        with engine(TINY, 9) as (step, amount):
            losses[engine] = [step() for _ in range(30)]
        assert amount == 9
    ours, theirs = losses.values()
    assert ours[0] == pytest.approx(np.log(7), rel=1e-5)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    assert ours[-1] < 0.99 * ours[0]


def test_operations_are_those_that_pytorch_counts():
    torch, *_, twin, images, _ = twins()
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        twin(torch.tensor(images[:1]))
    assert engines.operations(TINY) == 3 * counter.get_total_flops()


def test_the_ceiling_counts_what_it_multiplies(monkeypatch):
    sizes = []

    def watched(a, b):
        sizes.append((a.shape, b.shape))

    with engines.matrix_products(TINY, 9) as (step, operations):
        monkeypatch.setattr(np, "matmul", watched)
        step()
    assert operations == sum(2 * a[0] * a[1] * b[1] for a, b in sizes)


def worker_of(engine, config):
    return Worker(serve_engine, engine, config, 5)


def test_a_worker_measures_and_tells_its_memory():
    worker = worker_of("minivit", TINY)
    assert worker.ask(0.01) > 5
    memory = worker.finish()
    assert memory is None or 20 < memory < 200 * (1 + engines.cores())
    assert worker.process.exitcode == 0


def test_a_worker_that_cannot_start_says_why():
    with pytest.raises(ChildProcessError, match="^ValueError: .*image of 6 x 4 pixels"):
        worker_of("minivit", TINY | dict(patch_size=5))


def test_a_worker_that_fails_or_is_killed_while_it_measures_says_why():
    worker = worker_of("Classifier", TINY)
    with pytest.raises(ChildProcessError, match="^TypeError: "):
        worker.ask("long")
    assert worker.process.exitcode == 0
    killed = worker_of("Classifier", TINY)
    killed.process.kill()
    killed.process.join()
    with pytest.raises(ChildProcessError, match="the process was killed"):
        killed._answer()


def test_a_worker_ends_quietly_when_nobody_asks_any_more(capfd):
    worker = worker_of("Classifier", TINY)
    worker.pipe.close()
    worker.process.join()
    assert worker.process.exitcode == 0
    assert capfd.readouterr().err == ""


def test_an_engine_of_ours_that_fails_ends_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "MODELS", {"tiny": TINY | dict(patch_size=5)})
    monkeypatch.setattr(benchmark, "ENGINES", ["minivit", "matrix products"])
    assert benchmark.main(["--rounds", "1"]) == 2
    assert re.fullmatch("benchmark: tiny: ValueError: .*\n", capsys.readouterr().err)


@pytest.mark.parametrize("torch", [True, False])
def test_prints_and_writes_a_row_for_each_engine(tmp_path, monkeypatch, capsys, torch):
    if torch:
        pytest.importorskip("torch")
    names = ["minivit", "matrix products", *(["torch-eager"] if torch else [])]
    monkeypatch.setattr(benchmark, "MODELS", {"tiny": TINY})
    monkeypatch.setattr(benchmark, "ENGINES", names)
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: torch or None)
    file = tmp_path / "rows.json"
    options = ["--rounds", "2", "--seconds", "0.02", "--batch-size", "8", "--json", str(file)]
    assert benchmark.main(options) == 0
    printed = capsys.readouterr().out
    assert ("pip install torch" in printed) == (not torch)
    rows = json.loads(file.read_text())
    assert [row["engine"] for row in rows] == (["minivit", "torch-eager"] if torch else ["minivit"])
    for row in rows:
        assert list(row) == [
            "model", "engine", "images_per_second", "ratio", "peak_share", "peak_memory_mb"
        ]  # fmt: skip
        assert row["ratio"] == pytest.approx(
            rows[0]["images_per_second"] / row["images_per_second"], rel=0.01
        )
        assert 0 <= row["peak_share"] < 1  # rounded: nearly 0 on a busy machine
        assert f"{row['engine']:<15}{row['images_per_second']:>9,.0f}" in printed


def test_a_rival_that_cannot_run_is_left_out(monkeypatch, capsys):
    class Failing(Worker):
        def __init__(self, serve, name, config, batch_size):
            wrong = dict(patch_size=5) if name == "torch-eager" else {}
            super().__init__(serve, name, config | wrong, batch_size)

    monkeypatch.setattr(workers, "Worker", Failing)
    options = benchmark.arguments(["--rounds", "1", "--seconds", "0.01"])
    found = race(["minivit", "torch-eager", "matrix products"], TINY, 9, options)
    assert list(found) == ["minivit", "matrix products"]
    assert "torch-eager: not measured, " in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--rounds", "0"], ["--seconds", "-1"], ["--epochs", "0"]])
def test_refuses_numbers_that_measure_nothing(option, capsys):
    with pytest.raises(SystemExit):
        benchmark.arguments(option)
    assert f"{option[0]} must be greater than 0" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["profile", "costs", "recipe"])
def test_each_task_is_done_instead_of_the_table_and_written(task, tmp_path, monkeypatch, capsys):
    from demos.benchmark import recipe

    asked = {}

    def fake(name):
        return lambda *arguments: asked.setdefault(name, arguments) and {"done": name}

    for module, name in [(benchmark, "profile"), (benchmark, "costs"), (recipe, "compare_recipes")]:
        monkeypatch.setattr(module, name, fake(name))
    monkeypatch.setattr(benchmark, "MODELS", {"tiny": TINY})
    file = tmp_path / "rows.json"
    assert benchmark.main([f"--{task}", "--epochs", "3", "--json", str(file)]) == 0
    done = {"recipe": "compare_recipes"}.get(task, task)
    expected = {"done": done}
    assert json.loads(file.read_text()) == ([expected] if task == "profile" else expected)
    assert list(asked) == [done]
    first = asked[done][0]
    assert first == {"profile": "tiny", "costs": TINY}.get(task, first)
    if task == "recipe":  # train_mnist's defaults, but for the number of epochs
        assert (first.epochs, first.batch_size, first.optimizer) == (3, 250, "muon")


def test_only_one_task_at_a_time(capsys):
    with pytest.raises(SystemExit):
        benchmark.arguments(["--profile", "--costs"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_refuses_a_file_that_it_could_not_write_in_the_end(tmp_path, capsys):
    with pytest.raises(SystemExit):
        benchmark.arguments(["--json", str(tmp_path / "nowhere" / "rows.json")])
    assert f"--json: there is no folder {tmp_path / 'nowhere'}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_the_compiled_model_takes_the_same_steps():
    pytest.importorskip("torch")
    losses = []
    for engine in (engines.torch_engine, engines.compiled_torch_engine):
        with engine(TINY, 9) as (step, _):
            losses.append([step() for _ in range(10)])
    np.testing.assert_allclose(*losses, rtol=1e-3)
