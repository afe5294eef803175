"""Untargeted: the enemy wants any answer but the label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from frenemy.card import Card
from frenemy.objectives.objective import Surrogate
from frenemy.objectives.surrogates import CrossEntropy, leaves
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = ["Untargeted"]


@final
@dataclass(frozen=True, slots=True)
class Untargeted:
    r"""The enemy: succeed where `f(x') != y`, by raising the surrogate of the label.

    Args:
        surrogate: what is raised; cross-entropy, margin or KL (which, against a label, is cross-entropy).

    References:
        000, Definition 1 and eq. 3.
    """

    surrogate: Surrogate = CrossEntropy()

    card: ClassVar[Card] = Card(
        authors="Madry, Makelov, Schmidt, Tsipras, Vladu",
        title="Towards deep learning models resistant to adversarial attacks",
        year=2018,
        venue="ICLR",
        link="arXiv:1706.06083",
        place="eq. 2.1",
    )
    towards: ClassVar[bool] = False

    def goal(self, clean: Logits, y: Labels) -> Goal:
        """The label."""
        return y

    def loss(self, logits: Logits, goal: Goal) -> PerExample:
        """The surrogate of the label."""
        return self.surrogate(logits, goal)

    def success(self, logits: Logits, goal: Goal) -> Flags:
        """A finite answer other than the label."""
        return leaves(logits, goal)
