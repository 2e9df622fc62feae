"""Ctrl-C that waits until a step is whole."""

import contextlib
import signal
import threading
import time

NERVOUS = 1.0  # seconds in which pressing it again means no more than pressing it once


class AtOnce(KeyboardInterrupt):
    """Ctrl-C was pressed again, so what was under way is not whole."""


@contextlib.contextmanager
def ctrl_c_waits():
    """Hold Ctrl-C back inside the `with`; yield an Event that is set when it is pressed.

    KeyboardInterrupt is raised at the end of the `with`, unless there is another error or the event
    was cleared. Pressed again, more than a second later, it does not wait: AtOnce is raised where
    the program is. Where Ctrl-C does not mean KeyboardInterrupt, because something else handles it
    or this is not the main thread, nothing is held back.
    """
    pressed, first = threading.Event(), 0.0
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def press(*_):
        nonlocal first
        if pressed.is_set() and time.monotonic() > first + NERVOUS:
            raise AtOnce("stopped at once, without saving")
        first = first if pressed.is_set() else time.monotonic()
        pressed.set()

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed.is_set():
        raise KeyboardInterrupt
