import importlib
import json
import os
import re
import signal
import types

import numpy as np
import pytest

import minivit
from demos.benchmark import classifying, engines, report, workers
from demos.benchmark.workers import Worker, race
from demos.options import command
from minivit.backend import device_of
from minivit.checks.numeric import random_params
from minivit.models import Reader, micro_batch
from tests.numeric import passes, relative_error
from tests.stand_in import installed

benchmark = importlib.import_module("demos.benchmark.__main__")
TINY = dict(
    image_size=[6, 4], patch_size=2, channels=3, dim=6, depth=2, heads=3, mlp_dim=5, classes=7
)

READER = dict(
    image_size=[4, 6], patch_size=[4, 2], channels=3, dim=6, depth=2, heads=3, mlp_dim=5, words=7,
    longest=3, decoder_depth=2,
)  # fmt: skip


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


def of_twin(twin, name):
    """The twin's parameter of minivit's name."""
    stem, _, last = name.rpartition(".")
    names = {"w": f"{stem}.weight", "b": f"{stem}.bias"}
    return twin.get_parameter(names.get(last, name))


def as_ours(name, tensor):
    return tensor.detach().numpy().T if name.endswith(".w") else tensor.detach().numpy()


def assert_same_parameters(params, twin, tolerance):
    for name, leaf in params.named():
        theirs = as_ours(name, of_twin(twin, name))
        if name.endswith("attn.qkv.b"):  # the key's gradient is rounding alone, which Adam scales
            leaf, theirs = leaf[[*range(6), *range(12, 18)]], theirs[[*range(6), *range(12, 18)]]
        assert relative_error(leaf, theirs) <= tolerance, name


def test_the_pytorch_model_is_ours():
    torch, _, model, params, twin, images, labels = twins()
    loss, _, gradients = passes(model, params, images, labels)
    twin_loss = torch_loss(torch, twin, images, labels)
    twin_loss.backward()
    assert twin_loss.item() == pytest.approx(loss, rel=1e-12)
    assert len(list(params.named())) == len(list(twin.parameters()))
    for name, _ in params.named():
        theirs = as_ours(name, of_twin(twin, name).grad)
        assert relative_error(gradients[name], theirs) <= 1e-10, name


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
    assert_same_parameters(params, twin, 1e-9)


def test_the_jax_model_and_its_optimizer_are_ours():
    jax = pytest.importorskip("jax")
    from demos.benchmark import jax_vit

    rng, model = np.random.default_rng(0), minivit.ViT(**TINY)
    params = random_params(model, rng)
    images, labels = rng.standard_normal((5, 6, 4, 3)), rng.integers(0, 7, 5)
    how = dict(lr=0.01, betas=(0.8, 0.9), decay=0.5)
    optimizer, grads = minivit.AdamW(params, **how), params.zeros_like()
    with jax.enable_x64(True):
        p, state = jax_vit.started(params.nest)
        step = jax_vit.step_of(TINY, lambda images: images, **how)
        for _ in range(4):
            logits, cache = model.forward(params, images)
            loss, dlogits = minivit.cross_entropy(logits, labels)
            model.backward(params, dlogits, cache, grads.zero())
            optimizer.step(grads)
            p, state, theirs = step(p, state, images, labels)
            assert float(theirs) == pytest.approx(loss, rel=1e-12)
        theirs = dict(minivit.Params(to_numpy(p)).named())
    for name, leaf in params.named():
        both = leaf, theirs[name]
        if name.endswith("qkv.b"):  # the keys' have no gradient but rounding, which Adam enlarges
            both = (np.delete(one, range(6, 12)) for one in both)
        np.testing.assert_allclose(*both, rtol=1e-9, atol=1e-12, err_msg=name)


def to_numpy(nest):
    """A nest of JAX's arrays as one of NumPy's."""
    if isinstance(nest, dict):
        return {name: to_numpy(each) for name, each in nest.items()}
    return [to_numpy(each) for each in nest] if isinstance(nest, list) else np.asarray(nest)


def test_the_pytorch_reader_is_ours():
    torch = pytest.importorskip("torch")
    from demos.benchmark import torch_reader, torch_vit

    rng, model = np.random.default_rng(0), Reader(**READER)
    params, images = random_params(model, rng), rng.standard_normal((5, 4, 6, 3))
    labels, grads = rng.integers(1, 7, (5, 5)), params.zeros_like()
    logits, cache = model.forward(params, images, **model.told(labels))
    loss, dlogits, *_ = model.grade(logits, images, labels)
    model.backward(params, dlogits, cache, grads)
    twin = torch_vit.twin(READER, params, torch_reader.TorchReader)
    twin_loss = torch_reader.loss_of(twin, torch.tensor(images), torch.tensor(labels))
    twin_loss.backward()
    assert twin_loss.item() == pytest.approx(loss, rel=1e-12)
    assert len(list(params.named())) == len(list(twin.parameters()))
    for name, leaf in grads.named():
        theirs = of_twin(twin, name).grad.numpy()
        turned = name.endswith(".w") and leaf.ndim == 2 and not name.endswith("embed.w")
        assert relative_error(leaf, theirs.T if turned else theirs) <= 1e-10, name


def losses_of(engine, steps, config=TINY):
    with engine(config, 9) as (step, amount):
        assert amount == 9
        return [step() for _ in range(steps)]


def test_the_engines_for_a_gpu_take_the_same_steps_there(device, monkeypatch):
    if device == "cpu":
        pytest.skip("only on a GPU, or the stand-in")
    ours, places, adamw = losses_of(engines.ENGINES["minivit"], 5), [], engines.adamw
    monkeypatch.setattr(
        engines, "adamw", lambda params: places.append(device_of(params.flat)) or adamw(params)
    )
    for name in ("minivit", "minivit, 2^20 at once"):
        np.testing.assert_allclose(losses_of(engines.ON_GPU[name], 5), ours, rtol=1e-5)
    assert places == ["cuda", "cuda"]
    usual = micro_batch.GPU_BATCH
    with engines.ON_GPU["minivit, 2^20 at once"](TINY, 9):
        assert micro_batch.GPU_BATCH == 2**20 != usual
    assert usual == micro_batch.GPU_BATCH
    with engines.matrix_products_on_gpu(TINY, 9, size=24) as (step, operations):
        assert step() == [24.0]
    assert operations == 2 * 24**3


def test_classifiers_give_the_same_logits(monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    model = minivit.ViT(**TINY)
    params = random_params(model, np.random.default_rng(0)).astype(np.float32)
    monkeypatch.setattr(classifying, "start", lambda config: (model, params))
    logits = {}
    for name in ("minivit", "torch-eager", "onnxruntime"):
        with classifying.CLASSIFIERS[name](TINY, 9) as (step, amount):
            logits[name] = step()
        assert amount == 9 == len(logits[name])
    for name in ("torch-eager", "onnxruntime"):
        assert relative_error(logits[name], logits["minivit"]) <= 1e-5


def test_rows_of_classifiers_have_seconds_and_speed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(report, "race", fake_race)
    file = tmp_path / "rows.json"
    assert benchmark.main(["--classify", "--json", str(file), "--batch-size", "1", "50"]) == 0
    rows = json.loads(file.read_text())
    assert {row["batch_size"] for row in rows} == {1, 50}
    ours = [row for row in rows if row["engine"] == "minivit"]
    assert [row["seconds"] for row in ours] == [1 / 200] * 3 + [50 / 200] * 3
    assert all(row["processor"] == report.processor() for row in rows)
    printed = capsys.readouterr().out
    assert len(re.findall(r"^minivit +250\.00 ms +200 +1\.00 × +50$", printed, re.M)) == 3


def test_a_gpu_is_compared_with_its_own_batches_and_models(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "race", fake_race)
    file = tmp_path / "gpu.json"
    with installed():
        assert benchmark.main(["--device", "cuda", "--json", str(file)]) == 0
    rows = json.loads(file.read_text())
    assert {row["batch_size"] for row in rows} == {128, 1024}
    assert {row["model"] for row in rows} == set(benchmark.MODELS | benchmark.VIT_S)
    assert {(row["device"], row["gpu"]) for row in rows} == {("cuda", "stand-in")}
    with pytest.raises(SystemExit):
        benchmark.arguments(["--device", "cuda", "--classify"])


@pytest.mark.parametrize("config", [TINY, READER])
def test_both_engines_start_at_the_same_loss_and_learn(config):
    pytest.importorskip("torch")
    names = ("minivit", "torch-eager")
    ours, theirs = (losses_of(engines.ENGINES[name], 30, config) for name in names)
    assert config is READER or ours[0] == pytest.approx(np.log(7), rel=1e-5)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    assert ours[-1] < 0.99 * ours[0]


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_the_compiled_model_takes_the_same_steps():
    pytest.importorskip("torch")
    losses = [losses_of(engines.ENGINES[name], 10) for name in ("torch-eager", "torch-compile")]
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_operations_are_those_that_pytorch_counts():
    torch, *_, twin, images, _ = twins()
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        twin(torch.tensor(images[:1]))
    assert engines.operations(TINY) == 3 * counter.get_total_flops()


def test_operations_of_a_reader_are_those_that_pytorch_counts():
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from demos.benchmark.torch_reader import TorchReader

    counter, images = FlopCounterMode(display=False), torch.zeros(1, 4, 6, 3)
    with counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        TorchReader(READER)(images, torch.ones(1, 4, dtype=int))
    assert engines.operations(READER) == 3 * counter.get_total_flops()


def test_the_peak_counts_what_it_multiplies():
    with engines.matrix_products(TINY, 9) as (step, operations):
        products = step()
    assert len(products) == engines.cores()
    assert operations == sum(2 * len(product) ** 3 for product in products)


def multiply(turn, factor):
    """What a Worker of these tests runs: its last answer is None."""
    number = turn()
    while number is not None:
        number = turn(factor * number)


def test_a_worker_answers_in_turns():
    worker = Worker(multiply, 3)
    assert [worker.ask(number)[0] for number in (1, 2, None)] == [3, 6, None]


def test_the_seconds_of_a_turn_leave_out_the_wait_for_it(monkeypatch):
    now, sent = 0, []

    def elapse(seconds):
        nonlocal now
        now += seconds

    def work(turn):
        turn("ready")
        elapse(1)
        turn("first")
        elapse(10)
        return "last"

    pipe = types.SimpleNamespace(recv=lambda: elapse(1000), send=sent.append)
    monkeypatch.setattr(workers, "time", types.SimpleNamespace(perf_counter=lambda: now))
    workers.serve(pipe, work, ())
    assert sent[1:] == [("first", 1), ("last", 10)]


def test_a_worker_that_fails_or_is_killed_says_why():
    with pytest.raises(ChildProcessError, match="^ValueError: .*image of 6 x 4 pixels"):
        Worker(workers.run_engine, engines.minivit_engine, TINY | dict(patch_size=5), 5)
    with pytest.raises(ChildProcessError, match="^TypeError: "):
        Worker(multiply, None).ask(1)
    with pytest.raises(ChildProcessError, match="its process ended unexpectedly"):
        Worker(kill_itself)


def kill_itself(turn):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_race_gives_speed_and_memory_and_leaves_out_a_rival_that_cannot_run(monkeypatch, capsys):
    class Failing(Worker):
        def __init__(self, function, engine, config, batch_size):
            wrong = dict(patch_size=5) if engine is engines.torch_engine else {}
            super().__init__(function, engine, config | wrong, batch_size)

    monkeypatch.setattr(workers, "Worker", Failing)
    options = benchmark.arguments(["--rounds", "2", "--seconds", "0.02"])
    names = ("minivit", "torch-eager", "matrix products")
    results = race({name: engines.ENGINES[name] for name in names}, TINY, 9, options)
    assert list(results) == ["minivit", "matrix products"]
    assert "torch-eager: not measured, " in capsys.readouterr().out
    speed, memory = results["minivit"]
    assert speed > 9
    assert np.isnan(memory) or 20 < memory < 200 * (1 + engines.cores())


def test_rows_say_where_they_were_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "race", fake_race)
    assert benchmark.main(["--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {row["model"] for row in rows} == set(benchmark.MODELS | benchmark.READERS)
    assert all(row["processor"] == report.processor() != "" for row in rows)
    assert all(row["blas"] == report.blas() for row in rows)
    ours = [row for row in rows if row["engine"] == "minivit"]
    assert [row["images_per_second"] for row in ours] == [200.0] * 4
    assert {row["minivit_is"] for row in ours} == {1.0}
    with pytest.raises(SystemExit):
        benchmark.arguments(["--json", str(tmp_path / "rows.json"), "--profile"])


def fake_race(raced, config, batch_size, options):
    """100 images/s of each engine, and a machine whose peak is four times as fast as training."""
    speeds = {"minivit": 200.0, "matrix products": 800.0 * engines.operations(config)}
    return {name: (speeds.get(name, 100.0), 50) for name in raced}


@pytest.mark.parametrize("torch", [True, False])
def test_prints_the_machine_and_a_row_for_each_engine(monkeypatch, capsys, torch):
    assert f"{engines.cores()} cores, Python 3." in report.machine()
    assert f"numpy {np.__version__}" in report.machine()
    monkeypatch.setattr(report, "race", fake_race)
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: torch or None)
    monkeypatch.setattr(report.importlib.metadata, "version", lambda name: "1.0")
    assert benchmark.main([]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{report.machine()}\n")
    assert printed.endswith(f": {command('benchmark', '--profile')}\n")
    assert ("pip install torch" in printed) == ("pip install jax" in printed) == (not torch)
    assert len(re.findall("^minivit +200 +1.00 × +25.0% +50$", printed, re.M)) == 4  # models
    assert len(re.findall("^(torch-eager|torch-compile|jax-jit) +100 +2.00 × ", printed, re.M)) == (
        12 * torch
    )


def test_an_engine_of_ours_that_fails_ends_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "MODELS", {"tiny": TINY | dict(patch_size=5)})
    assert benchmark.main(["--rounds", "1"]) == 2
    assert re.fullmatch("benchmark: ValueError: .*\n", capsys.readouterr().err)
