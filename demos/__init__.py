"""Runnable recipes, `python -m demos.NAME`; `python -m demos` lists them."""

import signal
import sys

# While a demo is imported, and after its work, there is nothing to save and nothing to say: Ctrl-C
# is the system's then, and ends the process in silence. `options.status` takes it in between.
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
