"""Targeted: the enemy wants one answer and no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.errors import UsageError, nearest
from frenemy.objectives.objective import Surrogate
from frenemy.objectives.surrogates import CrossEntropy, answers
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = ["Targeted"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Targeted:
    r"""Succeed where `f(x') = t`, by lowering the surrogate of the target t.

    Args:
        target: a class number for all; a `(batch,)` tensor with one for each row; or a rule on the clean answer:
            `"least-likely"` (lowest logit), `"runner-up"` (highest logit but the label's), `"next"` (y + 1).
        surrogate: what is lowered.

    Raises:
        UsageError: the target is no class, or is not one of the rules, or rows and targets differ in number.
    """

    target: int | Tensor | str = "least-likely"
    surrogate: Surrogate = CrossEntropy()

    card: ClassVar[Card] = Card(
        authors="Kurakin, Goodfellow, Bengio",
        title="Adversarial examples in the physical world",
        year=2016,
        link="arXiv:1607.02533",
        place="Section 2.3 (least-likely class)",
        deviations=("a target equal to the label is taken as it is; the paper's rule never gives one",),
    )
    towards: ClassVar[bool] = True

    def goal(self, clean: Logits, y: Labels) -> Goal:
        """The target of each row."""
        classes = clean.shape[1]
        if isinstance(self.target, str):
            rules = {
                "least-likely": lambda: clean.argmin(1),
                "runner-up": lambda: clean.scatter(1, y[:, None], -torch.inf).argmax(1),
                "next": lambda: (y + 1) % classes,
            }
            if self.target not in rules:
                raise UsageError(
                    f"unknown target rule '{self.target}'{nearest(self.target, rules)}; or a class number"
                )
            return rules[self.target]()
        goal = torch.as_tensor(self.target, device=y.device, dtype=torch.int64)
        if goal.ndim and goal.shape != y.shape:
            raise UsageError(f"expected one target or {len(y)}, one a row, got {tuple(goal.shape)}")
        if bool(((goal < 0) | (goal >= classes)).any()):
            raise UsageError(f"expected targets from 0 to {classes - 1}, got {self.target}")
        return goal.expand(y.shape).contiguous()

    def loss(self, logits: Logits, goal: Goal) -> PerExample:
        """Minus the surrogate of the target."""
        return -self.surrogate(logits, goal)

    def success(self, logits: Logits, goal: Goal) -> Flags:
        """The target, finitely."""
        return answers(logits, goal)
