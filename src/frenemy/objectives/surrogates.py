"""Surrogates: differentiable distances of an answer from a label or from a distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch.nn.functional import cross_entropy, log_softmax

from frenemy.errors import UsageError, nearest
from frenemy.objectives.objective import Surrogate
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = ["KL", "SURROGATES", "CrossEntropy", "Margin", "answer", "answers", "finite", "leaves", "surrogate"]


@final
@dataclass(frozen=True, slots=True)
class CrossEntropy:
    r"""Cross-entropy of the answer, in nats: `-log p_y`, or `-sum_k q_k log p_k` for a distribution q."""

    soft: bool = False

    def __call__(self, logits: Logits, goal: Goal) -> PerExample:
        """Loss of each row; in [0, inf)."""
        if goal.is_floating_point():
            return cross_entropy(logits, goal.softmax(1), reduction="none")
        return cross_entropy(logits, goal, reduction="none")


@final
@dataclass(frozen=True, slots=True)
class Margin:
    r"""How far the best other class stands above the goal's class: `max_{k != y} z_k - z_y`, in logits.

    Positive only if the answer is not `y`, negative only if it is; unlike cross-entropy it does not saturate when the
    logits are scaled.
    """

    soft: bool = False

    def __call__(self, logits: Logits, goal: Goal) -> PerExample:
        """Loss of each row; any real number."""
        label = goal.argmax(1) if goal.is_floating_point() else goal
        own = logits.gather(1, label[:, None])
        others = logits.scatter(1, label[:, None], -torch.inf)
        return others.amax(1) - own.squeeze(1)


@final
@dataclass(frozen=True, slots=True)
class KL:
    r"""Divergence `KL(q || p) = sum_k q_k (log q_k - log p_k)` of the answer p from the goal q, in nats.

    The goal is given as logits of q (TRADES, Zhang et al. 2019, eq. 5; 000, eq. 8); for a label, q is the point
    mass there and the divergence is the cross-entropy. Its gradient is exactly zero where p = q, so a search from
    the clean input itself stands still: start at a random point.
    """

    soft: bool = True

    def __call__(self, logits: Logits, goal: Goal) -> PerExample:
        """Loss of each row; in [0, inf)."""
        if not goal.is_floating_point():
            return cross_entropy(logits, goal, reduction="none")
        q = log_softmax(goal, 1)
        return (q.exp() * (q - log_softmax(logits, 1))).sum(1)


SURROGATES: Final[dict[str, Surrogate]] = {"ce": CrossEntropy(), "margin": Margin(), "kl": KL()}


def surrogate(name: str) -> Surrogate:
    """Find a surrogate by its short name: `ce`, `margin` or `kl`."""
    if name.lower() not in SURROGATES:
        raise UsageError(f"unknown loss '{name}'{nearest(name.lower(), SURROGATES)}")
    return SURROGATES[name.lower()]


def answer(goal: Goal) -> Labels:
    """The label a goal speaks of: itself, or the top class of its distribution."""
    return goal.argmax(1) if goal.is_floating_point() else goal


def answers(logits: Logits, goal: Goal) -> Flags:
    """Whether each row finitely answers with the label of its goal; the first class wins a tie."""
    return (logits.argmax(1) == answer(goal)) & finite(logits)


def leaves(logits: Logits, goal: Goal) -> Flags:
    """Whether each row finitely answers with another label than that of its goal."""
    return (logits.argmax(1) != answer(goal)) & finite(logits)


def finite(logits: Logits) -> Flags:
    """Whether each row is free of NaN and infinity: a number less itself is 0, and only a number."""
    return (logits - logits).sum(1) == 0
