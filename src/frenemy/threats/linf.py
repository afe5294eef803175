"""Linf ball: every coordinate may move by `eps`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.rng import Key
from frenemy.threats.slack import check, hold_, inside, slack
from frenemy.threats.threat import broadcast
from frenemy.types import Flags, Inputs, PerExample

__all__ = ["Linf"]


@final
@dataclass(frozen=True, slots=True)
class Linf:
    """All inputs within `eps` of the origin in every coordinate, inside the box.

    `{z : |z_i - x_i| <= eps and low_i <= z_i <= high_i for every i}`

    Args:
        eps: size, 0 or larger, in the units of the inputs; one number or one a row.
        low: lower end of the box, one number or one a feature; may be -inf.
        high: upper end of the box, above `low`; may be +inf.

    Raises:
        ThreatError: `eps` is negative or not finite, or `low < high` fails somewhere.

    Cost:
        Seven elementwise passes for a move and its retraction.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.5, 0.95]])
        >>> Linf(0.1).retract(x + 0.3, x, torch.tensor([0.1]))
        tensor([[0.6000, 1.0000]])
    """

    card: ClassVar[Card] = Card(
        authors="Goodfellow, Shlens, Szegedy",
        title="Explaining and Harnessing Adversarial Examples",
        year=2015,
        venue="ICLR",
        link="arXiv:1412.6572",
        place="Section 3",
    )
    order: ClassVar[float] = math.inf

    eps: float | Tensor
    low: float | Tensor = 0.0
    high: float | Tensor = 1.0

    def __post_init__(self) -> None:
        check(self.eps, self.low, self.high)

    def at(self, eps: float | Tensor) -> Linf:
        """The same box with a ball of another size."""
        return replace(self, eps=eps)

    def norm(self, delta: Inputs) -> PerExample:
        """Largest absolute coordinate of each row: `max_i |d_i|`."""
        return delta.flatten(1).abs().amax(1)

    def dual_norm(self, gradient: Inputs) -> PerExample:
        """Largest `<gradient, d>` over `max_i |d_i| <= 1`: the sum `sum_i |g_i|`."""
        return gradient.flatten(1).abs().sum(1)

    def steepest(self, gradient: Inputs) -> Inputs:
        """The sign of each coordinate; zero where it is zero."""
        return gradient.sign()

    def move(self, x: Inputs, gradient: Inputs, size: PerExample) -> Inputs:
        """Step every coordinate by `size` in the direction of its gradient: `x + size * sign(g)`."""
        return torch.addcmul(x, gradient.sign(), broadcast(size, x))

    def retract(self, x: Inputs, origin: Inputs, eps: PerExample) -> Inputs:
        """Project each row onto ball and box: the nearest point, coordinate by coordinate."""
        size = broadcast(eps, x)
        return hold_(torch.clamp(x, origin - size, origin + size), self.low, self.high)

    def ends(self, origin: Inputs, eps: PerExample) -> tuple[Inputs, Inputs]:
        """Lowest and highest point of each row's set; what lies between them is all of it.

        Cutting at both is `retract`, in one pass for a search that keeps them.
        """
        size = broadcast(eps, origin)
        return hold_(origin - size, self.low, self.high), hold_(origin + size, self.low, self.high)

    def sample(self, origin: Inputs, index: Tensor, key: Key, eps: PerExample) -> Inputs:
        """Draw uniformly from the ball cut by the box."""
        floor, ceiling = self.ends(origin, eps)
        share = key.uniform(index, tuple(origin.shape[1:]), origin.dtype)
        return torch.minimum(floor + share * (ceiling - floor), ceiling)

    def contains(self, x: Inputs, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether it lies in the box, and within `eps` but for float32 rounding."""
        near = self.norm(x - origin) <= eps + slack(self.norm(origin), eps)
        return near & inside(x, self.low, self.high)

    def empty(self, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether the box is farther away than `eps`; never, where the origin lies in the box."""
        return ~self.contains(hold_(origin.clone(), self.low, self.high), origin, eps)
