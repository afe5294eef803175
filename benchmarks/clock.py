"""CPU time: what a row of a model takes, and an end to what takes too long."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

from frenemy import Batch
from frenemy.models.still import still

_WORK: Final = 0.2


class Cut(BaseException):
    """The time is up; no `except Exception` on the way may stop it."""


def unit(model: Any, batch: Batch) -> tuple[float, float]:
    """CPU seconds that a row takes forward without a graph, and what it takes more for a gradient of its input."""

    def forward() -> None:
        with torch.no_grad():
            model(batch.x)

    def gradient() -> None:
        x = batch.x.detach().requires_grad_()
        torch.autograd.grad(model(x).sum(), x)

    with still(model):
        spent = [_mean(call) / len(batch) for call in (forward, gradient)]
    return spent[0], max(spent[1] - spent[0], 0.0)


def _mean(call: Callable[[], None]) -> float:
    call()
    began, times = time.process_time(), 0
    while time.process_time() - began < _WORK:
        call()
        times += 1
    return (time.process_time() - began) / times


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise Cut once the process has worked so many CPU seconds inside, and every second from then on."""

    def stop(*_: object) -> None:
        raise Cut(f"more than {seconds:g} CPU seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
