"""Timed: an end to a call that takes too long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from frenemy.errors import UsageError

__all__ = ["at_most", "check_limit"]


@contextmanager
def at_most(seconds: float | None) -> Iterator[None]:
    """Raise TimeoutError once the body has taken so many seconds of wall time; None lets it take its time.

    What runs in Python is interrupted, sleeping and waiting too; a call into C that never returns is not. The timer is
    the process's own (SIGALRM), so it works in the main thread only; a timer that was running there is set again.
    """
    if seconds is None:
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"the model took more than {seconds:g} s for a batch")

    handler = signal.signal(signal.SIGALRM, stop)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, every)
        signal.signal(signal.SIGALRM, handler)


def check_limit(seconds: float | None) -> None:
    """See that a time limit can be kept.

    Raises:
        UsageError: it is not above 0, or it is asked for where there is no such timer.
    """
    if seconds is None:
        return
    if not 0 < seconds < float("inf"):
        raise UsageError(f"expected a time limit above 0 seconds, got {seconds}; leave it out for none")
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        raise UsageError(
            "expected a time limit in the main thread of a Unix process, got another; leave it out there"
        )
