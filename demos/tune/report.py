"""What a search has found: the best trials, what mattered, its plots, and the test."""

import contextlib
import io

from minivit.files import read_json, write_file

from .. import train_mnist, training
from .space import asked, told
from .study import optuna, quiet

HEADER = "trial    validation loss  accuracy  epochs  seconds   recipe"
BEST = 5  # trials in the table
LOSS = dict(target_name="validation loss")
PLOTS = {  # file: a function of optuna.visualization.matplotlib, and its options
    "history.png": ("plot_optimization_history", LOSS),
    "tenths.png": ("plot_intermediate_values", {}),
    "importances.png": ("plot_param_importances", LOSS),
    "parallel.png": ("plot_parallel_coordinate", LOSS),
    "slices.png": ("plot_slice", LOSS),
}


def line(trial):
    """A trial in a line, under HEADER."""
    known, measured = trial.user_attrs, ""
    if trial.value is not None:
        measured = (
            f"{trial.value:.4f}  {known['accuracy']:8.2%}  {known['epochs']:6}  "
            f"{known['seconds']:7.1f}"
        )
    ended = "given up" if trial.state.name == "FAIL" else known.get("ended", "")
    return f"{trial.number:5}   {ended:>10} {measured:>33}   {told(trial.params)}"


def report(search, task):
    """Print and draw what was found, and test it; return the options that train the best."""
    trials = search.study.trials
    done = sorted((trial for trial in trials if trial.state.name == "COMPLETE"), key=by_loss)
    pruned = sum(trial.state.name == "PRUNED" for trial in trials)
    if not done:
        raise ValueError(f"no trial in {search.place} has come to its end; try more --trials")
    print(f"\nThe best of {len(done) + pruned} trials, of which {pruned} were not finished:")
    print("\n".join([HEADER, *map(line, done[:BEST])]))
    if len(done) > 1:
        print("\nHow much each choice mattered:")
        for name, share in importances(search.study).items():
            print(f"  {name:<12}{share:4.0%}")
    files = draw(search) if len(done) > 1 else []
    print(f"\nDrawn in {search.folder}/: {', '.join(files) or 'nothing, of one trial'}")
    print("\nOn the test images, which no trial has seen:")
    for trial in done:
        names = [" the best"] * (trial is done[0]) + [" the usual recipe"] * usual(trial)
        if names:
            print(f"  trial {trial.number},{','.join(names)}: {tested(search, trial, task)}")
    known = done[0].user_attrs
    return [*asked(done[0].params, task.settings, known["shards"]), "--epochs", known["epochs"]]


def usual(trial):
    """Whether it is the trial of train_mnist's defaults."""
    return trial.user_attrs.get("usual", False)


def by_loss(trial):
    return trial.value


def importances(study):
    """{parameter: its share in how good a trial is}, the most important first, by PED-ANOVA."""
    with quiet():
        return optuna().importance.get_param_importances(study)


def draw(search):
    """Write Optuna's plots into the folder of a study; return their names."""
    import matplotlib
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    with matplotlib.rc_context(), quiet():
        for name, (plot, options) in PLOTS.items():
            axes = getattr(optuna().visualization.matplotlib, plot)(search.study, **options)
            figure = getattr(axes, "flat", [axes])[0].figure
            figure.set_size_inches(max(10, figure.get_figwidth()), 5)
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=100, bbox_inches="tight")
            pyplot.close(figure)
            write_file(search.folder / name, picture.getvalue())
    return list(PLOTS)


def tested(search, trial, task):
    """How good a trial is on the test images, in words. It is tested once, whoever comes first."""
    folder = search.folder / f"trial-{trial.number}"
    if not folder.is_dir():
        return f"its run {folder} is on another machine; start this again there"
    options = train_mnist.arguments(["--resume", str(folder)])
    del options.device, options.mpi
    with search.lock:
        if not (folder / "result.json").is_file():
            with contextlib.redirect_stdout(io.StringIO()):
                training.train_in_folder("train_mnist", options, task.load, task.device)
    result = read_json(folder / "result.json")
    return (
        f"accuracy {result['test_accuracy']:.2%}, loss {result['test_loss']:.4f}, trained for "
        f"{result['train_seconds']:.1f} s"
    )
