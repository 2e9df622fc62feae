"""Check every hand-written gradient against numerical ones, and what no gradient check can see."""

import sys

import numpy as np

from minivit.checks.cases import CASES
from minivit.checks.faults import faults, planted
from minivit.checks.numeric import step_sweep
from minivit.checks.suite import CHECKS
from minivit.files import write_file
from minivit.study import figures

from .options import new_file, one_of, parser_of, propose, seed, status


def arguments(argv=None):
    parser = parser_of("check_gradients", __doc__)
    add = parser.add_argument
    layer = one_of(CHECKS, "--help lists all")
    add("--layer", type=layer, metavar="NAME", help=f"check only one of {', '.join(CHECKS)}")
    add("--seed", type=seed, default=0, help="of all that is random")
    fault = one_of(faults(), "--list-faults lists all")
    add("--fault", type=fault, metavar="NAME", help="switch on a bug and see what is said")
    add("--list-faults", action="store_true", help="list the bugs with their sources, and stop")
    add("--sweep", type=new_file, metavar="FILE.png", help="draw errors against the step")
    options = parser.parse_args(argv)
    if options.sweep and (options.fault or options.layer not in (None, *CASES)):
        parser.error("--sweep draws a layer as it is: give --layer LAYER, or neither")
    return options


def main(argv=None):
    return status("check_gradients", lambda: run(arguments(argv)))


def run(options):
    """Run the checks that the options name; return 1 if one is not right, else 0."""
    outcome = list_faults() if options.list_faults else check_named(options)
    propose("write a backward yourself", "write_backward", "attention")
    return outcome


def list_faults():
    for fault in faults().values():
        print(f"{fault.name} ({fault.check})\n    {fault.bug}\n    {fault.source}")


def check_named(options):
    if options.fault:
        fault = faults()[options.fault]
        print(f"Switched on: {fault}\n")
        with planted(fault):
            return check([options.layer or fault.check], options.seed)
    names = [options.layer] if options.layer else list(CHECKS)
    outcome = check(names, options.seed)
    if options.sweep:
        sweep(options.layer or "attention", options)
    return outcome


def check(names, seed):
    """Print the report of each check; return 1 if one is not right, else 0."""
    right, wrong, missing = [], [], []
    for name in names:
        try:
            report = CHECKS[name](seed=seed) if name in CASES else CHECKS[name]()
        except ImportError as error:  # a layer that needs an extra
            print(f"{name}\nnot checked: {error}\n")
            missing.append(name)
            continue
        print(f"{name}\n{report}\n")
        (right if report.ok else wrong).append(name)
    print(f"NOT RIGHT: {', '.join(wrong)}" if wrong else f"All right: {', '.join(right)}")
    if missing:
        print(f"NOT CHECKED: {', '.join(missing)}")
    return 1 if wrong or missing else 0


def sweep(name, options):
    """Draw the error of the slope along one random direction, for steps from 1e-16 to 1."""
    make, shape, loss = CASES[name]
    x = np.random.default_rng([options.seed, 1]).standard_normal(shape)
    steps = 10.0 ** np.arange(-16, 0.5, 0.5)
    errors = step_sweep(make(), x, steps, seed=options.seed, loss=loss)
    write_file(options.sweep, figures.png(figures.step_sweep(steps, errors, name)))
    print(f"Error against step, of {name}: {options.sweep}\n")


if __name__ == "__main__":
    sys.exit(main())
