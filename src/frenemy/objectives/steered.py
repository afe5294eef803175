"""Steered: away from one class by the road of another, chosen where the clean answer ranks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.errors import UsageError
from frenemy.objectives.surrogates import TargetedDLR, leaves
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = ["Steered"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Steered:
    r"""Succeed where the answer leaves the label, by climbing towards the class that the clean answer ranks `rank`-th.

    $$ \ell(z) = -\frac{z_y - z_t}{z_{\pi_1} - (z_{\pi_3} + z_{\pi_4}) / 2}, \quad t = \text{the } rank \text{-th} $$

    A search that tries the ranks 1, 2, ... in turn goes round walls that stop every search for "any other class". The
    target is chosen on the clean answer and does not change on the way; an answer that becomes some third class
    succeeds as well. With fewer than four classes the loss is `z_t - z_y`.

    Args:
        rank: place of the target among the classes other than the one that is left; 1 is the best of them. One number,
            or a `(batch,)` tensor with one for each row.
        own: leave the model's own clean answer instead of the label.

    Raises:
        UsageError: a rank is below 1, there are not so many other classes, or rows and ranks differ in number.
    """

    rank: int | Tensor = 1
    own: bool = False

    card: ClassVar[Card] = Card(
        authors="Croce, Hein",
        title="Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
        year=2020,
        venue="ICML",
        link="arXiv:2003.01690",
        place="Section 4, eq. 7",
        deviations=(
            "with fewer than four classes the lead of the target over the label is climbed",
            "targets are ranked among the classes other than the label, also where the label is not on top",
        ),
    )
    towards: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if bool((torch.as_tensor(self.rank) < 1).any()):
            raise UsageError(f"expected a rank of 1 or more, got {self.rank}; 1 is the best other class")

    def goal(self, clean: Logits, y: Labels) -> Goal:
        """The class to leave, and the class to climb towards."""
        rank = torch.as_tensor(self.rank, device=y.device)
        if rank.ndim and rank.shape != y.shape:
            raise UsageError(f"expected one rank or {len(y)}, one a row, got {tuple(rank.shape)}")
        if bool((rank >= clean.shape[1]).any()):
            raise UsageError(
                f"expected a rank from 1 to {clean.shape[1] - 1}, since there are {clean.shape[1]} classes, "
                f"got {int(rank.max())}"
            )
        label = clean.argmax(1) if self.own else y
        others = clean.scatter(1, label[:, None], -torch.inf)
        order = others.argsort(dim=1, descending=True, stable=True)
        target = order.gather(1, (rank - 1).expand(y.shape)[:, None]).squeeze(1)
        return torch.stack([label, target], dim=1)

    def loss(self, logits: Logits, goal: Goal) -> PerExample:
        """The targeted difference of logits ratio."""
        return TargetedDLR()(logits, goal)

    def success(self, logits: Logits, goal: Goal) -> Flags:
        """A finite answer other than the class to leave."""
        return leaves(logits, goal)
