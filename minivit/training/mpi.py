"""A run on several machines: processes of MPI, its ranks, share the shards of every step.

    mpiexec -n 4 python -m demos.train_mnist --mpi

All ranks hold the same parameters and take the same steps; only the images differ. A rank reads
those of its own shards and computes their gradients, and one Allreduce adds up the gradients of all
ranks, which are one flat vector. Then each rank updates its own copy of the parameters. The shards
are cut and their random numbers drawn as in a single process, so the number of ranks changes
nothing but the order in which gradients are added up.

The first rank keeps the run's folder. The others write nothing.
"""

import itertools
import os
import time

import numpy as np

from ..backend import beside, floats, to_device
from .settings import differences
from .step import parts

INSTALL = "pip install 'minivit[mpi]', or mpi4py alone beside an MPI that is there"
STARTED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")  # how launchers say how many
QUIET = "MPIR_CVAR_SUPPRESS_ABORT_MESSAGE"  # MPICH's own line, when a rank ends all others
LOOK = 0.02  # seconds between two looks at whether all ranks have come


class Ranks:
    """The ranks of a run, of which this process is number `number` of `count`.

        ranks = Ranks(MPI.COMM_WORLD)       Ranks() is a process alone, for which all is simpler
        fit(progress, …, ranks=ranks)       on every rank, with the same arguments

    comm: a communicator of mpi4py, or None

    Every method but `share` is to be called on all ranks, in the same order: each waits for the
    others.
    """

    def __init__(self, comm=None):
        self.comm = comm
        self.number, self.count = (comm.rank, comm.size) if comm else (0, 1)
        self.pressed = False  # whether Ctrl-C was, on any rank, when the gradients were added up

    @property
    def first(self):
        """Whether this rank keeps the run's folder, and speaks."""
        return self.number == 0

    @property
    def gone(self):
        """The exception of a rank that waits for one which is no longer there."""
        from mpi4py import MPI

        return MPI.Exception

    def share(self, shards):
        """Which of so many shards are this rank's, a slice. Errors: ValueError if one has none."""
        if shards < self.count:
            raise ValueError(
                f"{self.count} ranks and {shards} shards of a step; expected at least one for each "
                f"rank. Start at most {shards}, or a run with more shards"
            )
        return slice(*parts(0, shards, self.count)[self.number])

    def adding(self, run, ctrl_c):
        """Return a `run` of `loss_and_gradients` that adds up what those of all ranks return.

        ctrl_c: an Event; whether it is set on any rank is added up with the gradients, so that all
                ranks stop after the same step
        """
        if self.comm is None:
            return run

        def added(model, params, grads, shards):
            results = run(model, params, grads, shards) if shards else []
            own = floats(*map(sum, zip(*results, strict=True))) if results else [0.0, 0.0]
            vector = to_device(grads.flat, "cpu")
            part = np.concatenate([vector, np.array([*own, ctrl_c.is_set()], vector.dtype)])
            total = np.empty_like(part)
            self.comm.Allreduce(part, total)
            grads.flat[...] = beside(total[:-3], grads.flat)
            loss, right, pressed = total[-3:].tolist()
            self.pressed = pressed > 0
            return [(loss, right)]

        return added

    def stop(self, ctrl_c):
        """Whether the step that was just taken is to be the last; then the Event is set too."""
        if self.comm is None:
            return ctrl_c.is_set()
        if self.pressed:
            ctrl_c.set()
        return self.pressed

    def mapping(self, mapper):
        """Return a `map` that gives each rank its part of the jobs, on which `mapper` works."""
        if self.comm is None:
            return mapper

        def mapped(function, jobs):
            own = mapper(function, itertools.islice(jobs, self.number, None, self.count))
            parts = self.each([_on_cpu(result) for result in own])
            turns = itertools.zip_longest(*parts, fillvalue=self)
            return [result for turn in turns for result in turn if result is not self]

        return mapped

    def level(self, params):
        """Give every rank the parameters of the first.

        They are the same already, unless the ranks have processors of different kinds, which round
        matrix products differently.
        """
        if self.comm is not None:
            vector = to_device(params.flat, "cpu")
            self.comm.Bcast(vector)
            if vector is not params.flat:
                params.flat[...] = beside(vector, params.flat)

    def told(self, value):
        """Return the first rank's value; that of the others does not matter."""
        return value if self.comm is None else self.comm.bcast(value)

    def tell_progress(self, progress):
        """Bring the Progress of all ranks to where the first one's stands."""
        if self.comm is not None:
            state = {name: _on_cpu(value) for name, value in progress.state().items()}
            progress.load_state(self.told(state))

    def each(self, value):
        """Return the values of all ranks, in order."""
        return [value] if self.comm is None else self.comm.allgather(value)

    def expect_same(self, settings):
        """Raise ValueError, on all ranks, unless their settings are the same.

        settings: a dict that JSON can write
        """
        first, *others = self.each(settings)
        for number, other in enumerate(others, 1):
            for name, here, there in differences(first, other):
                raise ValueError(
                    f"the ranks were not started alike: {name} is {here!s:.80} on the first, "
                    f"{there!s:.80} on rank {number}; expected the same version, data and options"
                )

    def wait(self):
        """Wait until all ranks have come here, without keeping a core busy, as MPI does."""
        if self.comm is not None:
            arrived = self.comm.Ibarrier()
            while not arrived.Test():
                time.sleep(LOOK)

    def number_on_machine(self):
        """This rank's number among those on its machine, such as to choose a GPU by."""
        if self.comm is None:
            return 0
        from mpi4py import MPI

        return self.comm.Split_type(MPI.COMM_TYPE_SHARED).rank

    def end(self, status):
        """End all ranks at once, with an exit status."""
        self.comm.Abort(status)
        os._exit(status)  # where Abort returns before it takes effect


def world():
    """Return the Ranks that mpiexec started; one, if it was not used.

    Errors: ImportError if mpi4py or the MPI that it needs is missing; ValueError if mpiexec belongs
    to another MPI, of which each rank would be alone.
    """
    os.environ.setdefault(QUIET, "1")
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # the latter: no library of MPI
        raise ImportError(
            f"a run on several ranks needs mpi4py, which cannot be imported ({error}): {INSTALL}"
        ) from error
    ranks = Ranks(MPI.COMM_WORLD)
    started = max(int(os.environ.get(name) or 1) for name in STARTED)
    if started > ranks.count == 1:
        raise ValueError(
            f"mpiexec started {started} processes, but mpi4py's MPI knows of one: expected the "
            f"mpiexec of {MPI.Get_library_version().splitlines()[0].strip()}"
        )
    return ranks


def _on_cpu(result):
    """A result as other ranks can receive it."""
    return to_device(result, "cpu") if hasattr(result, "dtype") else result
