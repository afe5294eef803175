"""Softened: what an attack raises when labels are distributions: cross-entropy, and a margin that stops to count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor
from torch.nn.functional import cross_entropy

from frenemy.objectives.surrogates import Margin
from frenemy.types import Goal, Logits, PerExample

__all__ = ["Softened"]


@final
@dataclass(frozen=True, slots=True)
class Softened:
    r"""Raise `-sum_k q_k log p_k + m max{max_{j != y} Z_j - Z_y, -kappa}` for a distribution q and a label y.

    Args:
        y: `(batch,)` the labels, row by row those of the batch that is searched.
        margin: m, 0 or more.
        kappa: 0 or more.

    The goal is log q; a class with q = 0 may be minus infinity.
    """

    y: Tensor
    margin: float
    kappa: float

    def loss(self, logits: Logits, goal: Goal) -> PerExample:
        """Both, for each row."""
        soft = cross_entropy(logits, goal.exp().to(logits), reduction="none")
        if self.margin == 0:
            return soft
        return soft + self.margin * Margin()(logits, self.y).clamp(min=-self.kappa)
