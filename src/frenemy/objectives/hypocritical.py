"""Hypocritical: the false friend wants the label, whatever the model would have said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from frenemy.card import Card
from frenemy.objectives.objective import Surrogate
from frenemy.objectives.surrogates import CrossEntropy, answers
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = ["Hypocritical"]


@final
@dataclass(frozen=True, slots=True)
class Hypocritical:
    r"""The false friend: succeed where `f(x') = y`, by lowering the surrogate of the label.

    Args:
        surrogate: what is lowered; cross-entropy (000's choice), margin or KL.

    References:
        000, Definition 2 and eq. 1-2.
    """

    surrogate: Surrogate = CrossEntropy()

    card: ClassVar[Card] = Card(
        authors="Tao, Chen",
        title="With false friends like these, who can have self-knowledge?",
        year=2020,
        link="arXiv:2012.14738",
        place="Definition 2, eq. 1-2",
    )
    towards: ClassVar[bool] = True

    def goal(self, clean: Logits, y: Labels) -> Goal:
        """The label."""
        return y

    def loss(self, logits: Logits, goal: Goal) -> PerExample:
        """Minus the surrogate of the label."""
        return -self.surrogate(logits, goal)

    def success(self, logits: Logits, goal: Goal) -> Flags:
        """The label, finitely."""
        return answers(logits, goal)
