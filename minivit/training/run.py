"""A run's folder: how it was started, how far it has come, and what it has learned.

    runs/mnist/training.json          how the run was started; never changed
    runs/mnist/checkpoints/           where it stands (checkpoint.py)
    runs/mnist/metrics.csv            the metrics of every step (rows.py)
    runs/mnist/weights.safetensors    the best classifier so far (classifier.py)
    runs/mnist/config.json
    runs/mnist/checksums.json         sums of the files that are read again (checksums.py)

A checkpoint has sums of itself and of metrics.csv. Nothing is pickled. Every file appears whole or
not at all, except metrics.csv, which grows by a row a step and whose torn last row is dropped.
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
import warnings
from pathlib import Path

from ..checksums import expect_undamaged, write_summed
from ..files import ASIDE, flush_folder, locked, read_json, remove_unfinished, write_json
from .checkpoint import newest_checkpoint, write_checkpoint
from .fit import fit
from .interrupt import AtOnce, ctrl_c_waits
from .not_finite import parameter_not_finite
from .rows import Rows, read_rows
from .settings import differences


class Run:
    """A training run, kept in a folder so that it can be resumed after it was stopped or killed.

        with Run.start("mnist", started, progress) as run:          in a new folder
            run.fit(progress, train, validation, **options)

        with Run.open("runs/mnist") as run:
            run.resume(progress, started)
            run.fit(progress, train, validation, **options)

    Only one process at a time is inside the `with` of a run.

    folder:  a Path
    started: what the run was started with, a dict that JSON can write
    """

    def __init__(self, folder, started):
        self.folder, self.started = Path(folder), started
        self.checkpoints = self.folder / "checkpoints"

    @classmethod
    def read(cls, folder):
        """Return the run in a folder, to look at it only.

        Errors: FileNotFoundError if the folder holds no run; ValueError if training.json is no
        JSON object.
        """
        path = Path(folder, "training.json")
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder} cannot be resumed: it has no training.json; expected a folder such as "
                "runs/mnist"
            )
        try:
            return cls(folder, read_json(path))
        except ValueError as error:
            raise ValueError(f"{error}. Put back a good copy, or start a new run") from error

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder):
        """Yield the run in a folder, to resume it.

        Errors: those of `read`; OSError if another process is at work in the folder; ValueError if
        it has no good checkpoint of a run that was started as training.json says.
        """
        run = cls.read(folder)
        with locked(folder):
            newest_checkpoint(run.checkpoints, run._mark())  # before anyone uses `started`
            yield run

    @classmethod
    @contextlib.contextmanager
    def start(cls, name, started, progress, root="runs"):
        """Yield a new run in the folder root/name, or root/name-2, -3, …: none is overwritten.

        The folder gets its name when training.json and a first checkpoint are in it, so a run that
        has a folder can be resumed. What a process left that was killed before is removed.
        Errors: ValueError for a name that leads elsewhere, or begins with a dot, as what is not
        finished does; OSError if nothing can be written there.
        """
        if name == "" or name.startswith(".") or Path(name).name != name:
            raise ValueError(
                f"a run's name is a plain folder name that begins with no dot, got {name!r}"
            )
        root = Path(root)
        root.mkdir(parents=True, exist_ok=True)
        with locked(root, wait=True):  # so whatever is unfinished there has no living process
            for lost in root.glob(f".*{ASIDE}"):
                shutil.rmtree(lost, ignore_errors=True)
            aside = Path(tempfile.mkdtemp(ASIDE, f".{name}.", root))
            try:
                aside.chmod(0o755)
                run = cls(aside, started)
                run._write_started()
                run.save(progress)
                number, folder = 1, root / name
                while folder.exists():
                    number += 1
                    folder = root / f"{name}-{number}"
                aside.rename(folder)
            except BaseException:
                shutil.rmtree(aside)
                raise
            flush_folder(root)
        with locked(folder):
            yield cls(folder, started)

    def resume(self, progress, started):
        """Load the newest good checkpoint into `progress`, and write anew what is damaged.

        Returns why newer checkpoints were refused, and what was damaged.
        Errors: ValueError if the run was started with something else, has no good checkpoint, or
        lacks rows of metrics.csv.
        """
        for name, then, now in differences(self.started, json.loads(json.dumps(started))):
            raise ValueError(
                f"{self.folder} was started with {name} {then!s:.80}, which is now {now!s:.80}; "
                "put back what it was started with, or start a new run"
            )
        state, refused = newest_checkpoint(self.checkpoints, self._mark())
        progress.load_state(state)
        path = self.folder / "metrics.csv"
        progress.rows[:] = read_rows(path, progress.steps, progress.rows_sum)
        remove_unfinished(self.folder)
        return refused + self._repair(progress)

    def _repair(self, progress):
        """Write anew what is damaged, or has no sum, as in earlier versions; say what was damaged.

        What training.json says is good, since its mark is that of the checkpoint.
        """
        damaged, any_saved = [], bool(progress.validation_losses)
        try:
            good = expect_undamaged(self.folder, "training.json")
            if good and any_saved:
                type(progress.classifier).load(self.folder)
        except (ValueError, OSError) as error:
            good, damaged = False, [str(error)]
        if not good:
            self._write_started()
            if any_saved:
                progress.best_classifier().save(self.folder)
        return damaged

    def _write_started(self):
        write_json(self.folder / "training.json", self.started, write_summed)

    def save(self, progress):
        """Write a checkpoint.

        Errors: OSError if it cannot be written, FloatingPointError if a parameter is inf or nan;
        the checkpoints that were there still are.
        """
        if name := parameter_not_finite(progress.params):
            raise FloatingPointError(
                f"after {progress.steps} steps the parameter {name} is not finite, so no "
                "checkpoint is written. Try a lower learning rate"
            )
        write_checkpoint(self.checkpoints, self._mark(), progress.steps, progress.state())

    def fit(self, progress, train, validation, *, checkpoint_every, after_epoch=None, **options):
        """Call `fit` with these `options`, and keep its results in the folder.

        after_epoch: called with `progress` after each epoch, for example to draw a picture

        A checkpoint is written after each epoch and every `checkpoint_every` steps, and the best
        classifier is saved after each epoch.

        Errors: those of `fit`, and OSError. On Ctrl-C, KeyboardInterrupt with a text, once the step
        is complete and saved; AtOnce, without saving, if it was pressed again.
        """
        with Rows(self.folder / "metrics.csv") as rows, warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # fit itself says what is not finite

            def after_step(progress):
                rows.append(progress.rows[-1])
                progress.rows_sum = rows.sum()
                if progress.at_epoch_end:
                    progress.best_classifier().save(self.folder)
                    if after_epoch:
                        after_epoch(progress)
                if progress.at_epoch_end or progress.steps % checkpoint_every == 0:
                    rows.flush()
                    self.save(progress)

            try:
                fit(progress, train, validation, after_step=after_step, **options)
            except AtOnce:
                raise
            except KeyboardInterrupt:
                with ctrl_c_waits() as again:
                    rows.flush()
                    self.save(progress)
                    again.clear()  # it has stopped already
                raise KeyboardInterrupt(f"stopped and saved after {progress.steps} steps") from None

    def _mark(self):
        """The SHA-256 sum of how the run was started, which marks its checkpoints."""
        return hashlib.sha256(json.dumps(self.started, sort_keys=True).encode()).hexdigest()
