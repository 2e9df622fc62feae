import signal
import threading

import pytest

from minivit.training.interrupt import AtOnce, ctrl_c_waits


def test_ctrl_c_waits_for_the_end_and_works_as_usual_afterwards():
    done = []
    with pytest.raises(KeyboardInterrupt), ctrl_c_waits() as pressed:
        assert not pressed.is_set()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append(pressed.is_set())
    assert done == [True]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_pressed_again_later_it_does_not_wait(monkeypatch):
    now = 100.0
    monkeypatch.setattr("minivit.training.interrupt.time.monotonic", lambda: now)
    done = []
    with pytest.raises(AtOnce, match="stopped at once, without saving"), ctrl_c_waits():
        for now in (100.0, 100.9):
            signal.raise_signal(signal.SIGINT)
            done.append(now)
        now = 101.1
        signal.raise_signal(signal.SIGINT)
        done.append(now)
    assert done == [100.0, 100.9]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_event_that_was_cleared_raises_nothing():
    with ctrl_c_waits() as pressed:
        signal.raise_signal(signal.SIGINT)
        pressed.clear()


def test_works_again_after_an_error():
    with pytest.raises(ZeroDivisionError), ctrl_c_waits():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_leaves_a_handler_of_somebody_else_alone():
    caught = []

    def handler(*_):
        caught.append(1)

    signal.signal(signal.SIGINT, handler)
    try:
        with ctrl_c_waits() as pressed:
            signal.raise_signal(signal.SIGINT)
        assert caught
        assert not pressed.is_set()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_in_another_thread_nothing_is_held_back():
    done = []

    def run():
        with ctrl_c_waits():
            done.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [True]
