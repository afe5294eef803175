"""Counted: keep the books on what a model is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast, final

from torch import Tensor, nn

from frenemy.models.model import Model

__all__ = ["Counted", "Tally"]


@final
@dataclass(frozen=True, slots=True)
class Tally:
    """What a model was asked so far.

    Args:
        calls: how often the model was called.
        forwards: rows it was called with, each time they came.
        backwards: rows of its answers through which a gradient ran back while the input wanted one.
    """

    calls: int = 0
    forwards: int = 0
    backwards: int = 0


@final
class Counted(nn.Module):
    """Count exactly what passes through `model`; change neither its answers nor its gradients.

    A call and its rows count before the model answers, so also when it then raises. Backwards count each time
    autograd takes the gradient of an answer to an input with `requires_grad`: all rows of that answer, those
    with a zero gradient too, since each costs a backward pass. A second pass through the same answer counts
    again. Gradients of parameters alone (the input wants none) do not count.

    Args:
        model: any model; a module becomes a submodule, any other callable is kept as it is.

    Cost: one view of the logits a call.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self._tally = Tally()

    @property
    def counts(self) -> Tally:
        """What was counted since the start or the last `reset`."""
        return self._tally

    def reset(self) -> None:
        """Start again from zero."""
        self._tally = Tally()

    def forward(self, x: Tensor) -> Tensor:
        """Give the model's logits, and count."""
        self._add(calls=1, forwards=len(x))
        logits = self.model(x)
        if x.requires_grad and logits.requires_grad:
            logits = logits.view_as(logits)
            cast(Any, logits).register_hook(lambda gradient: self._add(backwards=len(gradient)))
        return logits

    def _add(self, calls: int = 0, forwards: int = 0, backwards: int = 0) -> None:
        old = self._tally
        self._tally = Tally(old.calls + calls, old.forwards + forwards, old.backwards + backwards)
