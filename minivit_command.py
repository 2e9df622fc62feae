"""The command `minivit`: a module of its own, so that Ctrl-C is quiet while minivit is imported."""

import signal


def main():
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as in minivit.demos
    from minivit.demos.__main__ import main

    return main()
