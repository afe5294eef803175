"""Invariances: four changes of a whole picture that should not change what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.errors import ThreatError
from frenemy.rng import Key
from frenemy.threats.finite import changed, drawn, matches, numbered, pictures, refuse, sources, warp
from frenemy.threats.slack import check, hold_, inside
from frenemy.threats.threat import broadcast
from frenemy.types import Counts, Flags, Inputs, PerExample

__all__ = ["Invariances"]

_DEGREES, _BRIGHTNESS, _CONTRAST = 10.0, 1.5, 2.0


@final
@dataclass(frozen=True, slots=True)
class Invariances:
    r"""The picture itself, turned by 10 degrees, 1.5 times as bright, with twice the contrast, and in grey.

    $$ \{x, \; x \circ R_{10°}, \; 1.5 x, \; \bar x + 2 (x - \bar x), \; \tfrac13 (x_r + x_g + x_b)\} $$

    each cut at the box, with $\bar x$ the mean of all values of the picture. Members are numbered in this order.

    Args:
        low: lower end of the box, one number or one a feature; may be -inf.
        high: upper end of the box, above `low`; may be +inf.

    Raises:
        ThreatError: `low < high` fails somewhere; or what should be pictures has no height and width.

    Cost:
        All five are made, at any call of `member`, and one is kept.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[[0.4, 0.8]]]])
        >>> Invariances().member(x, torch.tensor([2]))
        tensor([[[[0.6000, 1.0000]]]])
    """

    card: ClassVar[Card] = Card(
        authors="Cheng",
        title="On the Robustness of Neural Network: Attacks and Defenses",
        year=2021,
        venue="PhD thesis, University of California, Los Angeles",
        link="https://escholarship.org/uc/item/3k2780bg",
        place="Section 5.3.4.4 and Table 5.4",
        deviations=(
            "the worst of the four is a threat; the source reports the accuracy under each",
            "turned counter-clockwise, read bilinearly and filled with 0; the source does not say",
            "contrast is about the mean of all values; the source does not say",
        ),
    )
    names: ClassVar[tuple[str, ...]] = ("identity", "rotation", "brightness", "contrast", "grey")

    low: float | Tensor = 0.0
    high: float | Tensor = 1.0

    def __post_init__(self) -> None:
        check(1.0, self.low, self.high)

    @property
    def eps(self) -> float:
        """1: the set has no size."""
        return 1.0

    @property
    def count(self) -> int:
        """How many members there are: 5."""
        return len(self.names)

    def at(self, eps: float | Tensor) -> Invariances:
        """The same set, for eps 1; there is none of another size."""
        if not bool((torch.as_tensor(eps) == 1).all()):
            raise ThreatError(f"expected eps 1 for invariances, got {eps}; the set has one size only")
        return self

    def member(self, x: Inputs, number: Counts) -> Inputs:
        """Make member `number` of each row, `(batch, channels, height, width)`; number 0 is the row, bit for bit."""
        numbered(number, x, self.count)
        plain = (x if x.dtype in (torch.float32, torch.float64) else x.float()).contiguous()
        mean = plain.mean((1, 2, 3), keepdim=True)
        made = torch.zeros_like(plain)
        for change, values in enumerate(
            (
                _turned(plain),
                _BRIGHTNESS * plain,
                mean + _CONTRAST * (plain - mean),
                plain.mean(1, keepdim=True).expand_as(plain),
            )
        ):
            made = torch.where(broadcast(number == change + 1, x), values, made)
        return torch.where(broadcast(number == 0, x), x, hold_(made.to(x.dtype), self.low, self.high))

    def norm(self, delta: Inputs) -> PerExample:
        """0 for a row that did not change, 1 for any other."""
        return changed(delta)

    def dual_norm(self, gradient: Inputs) -> PerExample:
        """Refused: the set has no slope."""
        refuse("invariances")

    def steepest(self, gradient: Inputs) -> Inputs:
        """Refused: the set has no slope."""
        refuse("invariances")

    def move(self, x: Inputs, gradient: Inputs, size: PerExample) -> Inputs:
        """Refused: the set has no slope."""
        refuse("invariances")

    def retract(self, x: Inputs, origin: Inputs, eps: PerExample) -> Inputs:
        """Leave members where they are and bring any other row back to its origin; not the nearest member."""
        return torch.where(broadcast(self.contains(x, origin, eps), x), x, origin)

    def sample(self, origin: Inputs, index: Tensor, key: Key, eps: PerExample) -> Inputs:
        """Draw one member of each row, all equally likely."""
        return drawn(self, origin, index, key)

    def contains(self, x: Inputs, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether it is a member in the box, but for float32 rounding."""
        return matches(self, x, origin) & inside(x, self.low, self.high)

    def empty(self, origin: Inputs, eps: PerExample) -> Flags:
        """Never: every picture is a member of its own set."""
        pictures(origin)
        return torch.zeros(len(origin), dtype=torch.bool, device=origin.device)


def _turned(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    down = torch.arange(height, dtype=x.dtype, device=x.device)[None, :, None] - (height - 1) / 2
    right = torch.arange(width, dtype=x.dtype, device=x.device)[None, None] - (width - 1) / 2
    degrees = torch.full((len(x), 1, 1), _DEGREES, device=x.device)
    return warp(x, *sources(right, down, degrees), "zeros")
