"""Allowed: a search that may only end where something besides the model agrees, by any attack of the house."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias, final

import torch
from torch import Tensor, nn

from frenemy.card import Card
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = ["Allowed", "Both", "Leave"]

Leave: TypeAlias = Callable[[Tensor, Labels], Tensor]
"""From what the witness said, `(batch, columns)`, and the labels to one number a row: 0 or more where a point may lie,
less the further it is from there."""

_OUTSIDE: Final = 100.0
"""No loss inside is below minus this, and all losses outside are; asinh of the largest float32 is 89."""


@final
class Both(nn.Module):
    """The logits of a model, and beside them what a witness says of the same points.

    Args:
        model: gives `(batch, classes)`.
        witness: gives `(batch, columns)`, differentiably if gradients are to lead back to where points may lie.
    """

    def __init__(self, model: Model, witness: Model) -> None:
        super().__init__()
        self.model, self.witness = model, witness

    def forward(self, x: Tensor) -> Tensor:
        """Give `(batch, classes + columns)`."""
        return torch.cat([self.model(x), self.witness(x).flatten(1)], dim=1)


@final
@dataclass(frozen=True, slots=True)
class Allowed:
    """A wish that only counts where a witness allows it; for the logits of `Both`.

    Inside, the loss is asinh of the loss of the wish, which keeps the order and has a slope at any size; outside, it is
    below all of those and rises towards the inside, so that a search that strays finds back, and a point outside is
    never its best if it saw one inside.

    Args:
        wanted: the wish about the model; one that leaves the label.
        classes: how many logits the model has.
        leave: what the witness allows.
    """

    wanted: Objective
    classes: int
    leave: Leave

    card: ClassVar[Card] = Card()
    towards: ClassVar[bool] = False

    def goal(self, clean: Logits, y: Labels) -> Goal:
        """The goal of the wish, a label."""
        return self.wanted.goal(clean[:, : self.classes], y)

    def loss(self, logits: Logits, goal: Goal) -> PerExample:
        """The loss of the wish inside, and less than any such outside."""
        value = self.leave(logits[:, self.classes :], goal)
        inside = self.wanted.loss(logits[:, : self.classes], goal).asinh().clamp(min=-_OUTSIDE)
        return torch.where(value >= 0, inside, -_OUTSIDE + value)

    def success(self, logits: Logits, goal: Goal) -> Flags:
        """What the wish calls a success, where the witness allows it."""
        won = self.wanted.success(logits[:, : self.classes], goal)
        return won & (self.leave(logits[:, self.classes :], goal) >= 0)
