"""Objective: what the perturber wants, seen on outputs only."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from frenemy.card import Card
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = ["Objective", "Surrogate"]


@runtime_checkable
class Objective(Protocol):
    """A wish about the model's answer, as a test (`success`) and as a slope towards it (`loss`).

    `goal` is asked once for each example, on the clean answer; what it returns is handed back to `loss` and
    `success` row by row. So the same attack serves a wish about the label, about a target, or about the
    model's own answer.

    Success is about the label that the goal speaks of (`surrogates.answer`): with `towards` it is that very answer,
    otherwise any other. Searches for the nearest border read this instead of the loss.
    """

    card: ClassVar[Card]
    towards: ClassVar[bool]

    def goal(self, clean: Logits, y: Labels) -> Goal:
        """What each example is measured against, from its clean logits and its label."""
        ...

    def loss(self, logits: Logits, goal: Goal) -> PerExample:
        """One number an example, larger is better for the perturber; never reduced over the batch."""
        ...

    def success(self, logits: Logits, goal: Goal) -> Flags:
        """Whether each example is where the perturber wants it; a non-finite answer never is."""
        ...


@runtime_checkable
class Surrogate(Protocol):
    """A differentiable distance of an answer from a label or from a distribution.

    It grows as the answer leaves the goal. `soft` surrogates compare with a whole distribution and are given
    the clean logits where an objective speaks of the model's own answer; the others are given its label.
    """

    @property
    def soft(self) -> bool: ...

    def __call__(self, logits: Logits, goal: Goal) -> PerExample: ...
