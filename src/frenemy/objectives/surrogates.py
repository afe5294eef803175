"""Surrogates: differentiable distances of an answer from a label or from a distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch.nn.functional import cross_entropy, log_softmax

from frenemy.errors import UsageError, nearest
from frenemy.objectives.objective import Surrogate
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = [
    "DLR",
    "KL",
    "SURROGATES",
    "CrossEntropy",
    "Margin",
    "SoftMargin",
    "TargetedDLR",
    "answer",
    "answers",
    "finite",
    "leaves",
    "surrogate",
]

_TIE: Final = 1e-12


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
        label = answer(goal)
        own = logits.gather(1, label[:, None])
        others = logits.scatter(1, label[:, None], -torch.inf)
        return others.amax(1) - own.squeeze(1)


@final
@dataclass(frozen=True, slots=True)
class SoftMargin:
    r"""How far all other classes together stand above the goal's: `log sum_{k != y} exp z_k - z_y`, in logits.

    At least the margin, and at most `log(classes - 1)` above it; smooth where another class overtakes the best one.

    Source: Ding, Sharma, Lui and Huang 2020, "MMA training", ICLR, arXiv:1812.02637, eq. 6.
    """

    soft: bool = False

    def __call__(self, logits: Logits, goal: Goal) -> PerExample:
        """Loss of each row; any real number."""
        label = answer(goal)[:, None]
        others = logits.scatter(1, label, -torch.inf)
        return others.logsumexp(1) - logits.gather(1, label).squeeze(1)


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


@final
@dataclass(frozen=True, slots=True)
class DLR:
    r"""The difference of logits ratio, which neither a shift nor a positive factor on the logits changes.

    $$ \operatorname{DLR}(z, y) = -\frac{z_y - \max_{k \neq y} z_k}{z_{\pi_1} - z_{\pi_3}} $$

    with `z_{\pi_1} >= z_{\pi_2} >= ...` the logits in order: the margin over the distance of the first from the third.
    Its sign is that of the margin; where the answer is `y` it lies in [-1, 0]. With two classes there is no third
    logit, and the margin is used.

    Source: Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", ICML, arXiv:2003.01690, eq. 6. The denominator is held at 1e-12, so that three equal logits
    give a finite number and the slope of the margin; the released code adds 1e-12.
    """

    soft: bool = False

    def __call__(self, logits: Logits, goal: Goal) -> PerExample:
        """Loss of each row; at least -1, or any real number for two classes."""
        gap = Margin()(logits, goal)
        if self.undefined(logits.shape[1]):
            return gap
        top = logits.topk(3, dim=1).values
        return gap / (top[:, 0] - top[:, 2]).clamp(min=_TIE)

    def undefined(self, classes: int) -> bool:
        """Whether the margin stands in, because there are fewer than three classes."""
        return classes < 3


@final
@dataclass(frozen=True, slots=True)
class TargetedDLR:
    r"""The difference of logits ratio towards a target: grows as the target t overtakes the label y.

    $$ -\frac{z_y - z_t}{z_{\pi_1} - (z_{\pi_3} + z_{\pi_4}) / 2} $$

    The goal is a label and a target for each row. With fewer than four classes the lead `z_t - z_y` is used.

    Source: Croce and Hein 2020, arXiv:2003.01690, eq. 7; the denominator is held at 1e-12 as in `DLR`.
    """

    soft: bool = False

    def __call__(self, logits: Logits, goal: Goal) -> PerExample:
        """Loss of each row; positive where the target stands above the label."""
        own, target = logits.gather(1, goal).unbind(1)
        if self.undefined(logits.shape[1]):
            return target - own
        top = logits.topk(4, dim=1).values
        return (target - own) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2).clamp(min=_TIE)

    def undefined(self, classes: int) -> bool:
        """Whether the lead of the target stands in, because there are fewer than four classes."""
        return classes < 4


SURROGATES: Final[dict[str, Surrogate]] = {
    "ce": CrossEntropy(),
    "dlr": DLR(),
    "kl": KL(),
    "margin": Margin(),
}
"""Surrogates that can be named: those whose goal is a label or a distribution."""


def surrogate(name: str) -> Surrogate:
    """Find a surrogate by its short name: `ce`, `dlr`, `kl` or `margin`."""
    if name.lower() not in SURROGATES:
        raise UsageError(f"unknown loss '{name}'{nearest(name.lower(), SURROGATES)}")
    return SURROGATES[name.lower()]


def answer(goal: Goal) -> Labels:
    """The label a goal speaks of: itself, the first of a label and a target, or the top class of its distribution."""
    if goal.is_floating_point():
        return goal.argmax(1)
    return goal if goal.ndim == 1 else goal[:, 0]


def answers(logits: Logits, goal: Goal) -> Flags:
    """Whether each row finitely answers with the label of its goal; the first class wins a tie."""
    return (logits.argmax(1) == answer(goal)) & finite(logits)


def leaves(logits: Logits, goal: Goal) -> Flags:
    """Whether each row finitely answers with another label than that of its goal."""
    return (logits.argmax(1) != answer(goal)) & finite(logits)


def finite(logits: Logits) -> Flags:
    """Whether each row is free of NaN and infinity: a number less itself is 0, and only a number."""
    return (logits - logits).sum(1) == 0
