"""Ctrl-C that waits until a step is whole."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def ctrl_c_waits():
    """Hold Ctrl-C back inside the `with`; yield an Event that is set when it is pressed.

    KeyboardInterrupt is raised at the end of the `with`, unless there is another error. Where
    Ctrl-C does not mean KeyboardInterrupt, because something else handles it or this is not the
    main thread, nothing is held back.
    """
    pressed = threading.Event()
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed.is_set():
        raise KeyboardInterrupt
