"""Reversal: anybody who wants the model's own answer to flip, right or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from frenemy.card import Card
from frenemy.objectives.objective import Surrogate
from frenemy.objectives.surrogates import CrossEntropy, leaves
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = ["Reversal"]


@final
@dataclass(frozen=True, slots=True)
class Reversal:
    r"""Flip the answer: succeed where `f(x') != f(x)`, by raising the surrogate of the model's own clean answer.

    Args:
        surrogate: what is raised; cross-entropy or margin against the clean label, or KL against the whole clean
            distribution (TRADES' inner problem).

    References:
        000, Theorem 1 (x_rev) and Proposition 2.
    """

    surrogate: Surrogate = CrossEntropy()

    card: ClassVar[Card] = Card(
        authors="Tao, Chen",
        title="With false friends like these, who can have self-knowledge?",
        year=2020,
        link="arXiv:2012.14738",
        place="Theorem 1, Proposition 2",
    )
    towards: ClassVar[bool] = False

    def goal(self, clean: Logits, y: Labels) -> Goal:
        """The clean answer: its logits for a soft surrogate, else its label."""
        return clean if self.surrogate.soft else clean.argmax(1)

    def loss(self, logits: Logits, goal: Goal) -> PerExample:
        """The surrogate of the clean answer."""
        return self.surrogate(logits, goal)

    def success(self, logits: Logits, goal: Goal) -> Flags:
        """A finite answer other than the clean one."""
        return leaves(logits, goal)
