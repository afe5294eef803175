"""Spatial: turn the picture a little and shift it a little."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.errors import ThreatError, nearest
from frenemy.rng import Key
from frenemy.threats.finite import (
    changed,
    drawn,
    matches,
    numbered,
    pictures,
    refuse,
    sources,
    tolerance,
    warp,
)
from frenemy.threats.slack import bounds, check, hold_, inside
from frenemy.threats.threat import broadcast
from frenemy.types import Counts, Flags, Inputs, PerExample

__all__ = ["Spatial"]

_PADDINGS: Final = ("zeros", "border", "reflection")
_PROBES: Final = 16
_ROOM: Final = 1 << 15
"""Values read at once while a member is looked for: small enough to stay in the cache of one core."""


@final
@dataclass(frozen=True, slots=True)
class Spatial:
    r"""All pictures turned about their centre and then shifted, each by an amount on a grid.

    $$ T(u, v) = (u \cos a + v \sin a + r, \; v \cos a - u \sin a + d) $$

    is where the pixel `u` right of the centre and `v` below it goes; the angle a is one of `angles` from `-degrees` to
    `degrees`, r and d are each one of `shifts` from `-shift` to `shift`. Member 0 is the picture itself; with growing
    number, the shift down, the shift right and the angle go outwards in turn (0, +1, -1, +2, ... places of the grid).

    Args:
        degrees: largest angle, 0 to 180, either way; member angles are counter-clockwise.
        shift: largest shift, 0 or more, in pixels, which may be a fraction.
        angles, shifts: places of the grid for the angle, and for each of the two shifts; odd, so that 0 is among them.
        low: lower end of the box, one number or one a feature; may be -inf. Members are cut at the box.
        high: upper end of the box, above `low`; may be +inf.
        padding: what comes in from beyond the edge: `zeros`, the `border` pixel, or the picture's `reflection`.

    Raises:
        ThreatError: a setting is out of its range; or what should be pictures has no height and width.

    Cost:
        A member is one bilinear reading. `contains` reads 16 pixels of each of the `angles * shifts^2` members, and
        makes those that fit there.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[[0.1, 0.2, 0.3]]]])
        >>> Spatial(degrees=0, shift=1, angles=1, shifts=3).member(x, torch.tensor([3]))
        tensor([[[[0.0000, 0.1000, 0.2000]]]])
    """

    card: ClassVar[Card] = Card(
        authors="Engstrom, Tran, Tsipras, Schmidt, Madry",
        title="Exploring the landscape of spatial robustness",
        year=2019,
        venue="ICML",
        link="arXiv:1712.02779",
        place="Section 3.1",
        deviations=(
            "a finite set: the angles and shifts of a grid; the paper's worst-of-k draws between its ends",
            "the largest shift is 3 pixels whatever the size of the picture, as for the paper's MNIST and CIFAR-10",
        ),
    )

    degrees: float = 30.0
    shift: float = 3.0
    angles: int = 31
    shifts: int = 5
    low: float | Tensor = 0.0
    high: float | Tensor = 1.0
    padding: str = "zeros"

    def __post_init__(self) -> None:
        check(1.0, self.low, self.high)
        if not (0 <= self.degrees <= 180 and 0 <= self.shift < math.inf):
            raise ThreatError(
                f"expected degrees from 0 to 180 and a finite shift of 0 or more, got {self.degrees} and {self.shift}; "
                "30 degrees and 3 pixels are usual"
            )
        if any(places < 1 or places % 2 == 0 for places in (self.angles, self.shifts)):
            raise ThreatError(
                f"expected odd numbers of angles and shifts, got {self.angles} and {self.shifts}; 31 and 5 are usual"
            )
        if self.padding not in _PADDINGS:
            raise ThreatError(f"unknown padding '{self.padding}'{nearest(self.padding, _PADDINGS)}")

    @property
    def eps(self) -> float:
        """1: the set has no size but its settings."""
        return 1.0

    @property
    def count(self) -> int:
        """How many members there are: `angles * shifts^2`."""
        return self.angles * self.shifts**2

    def at(self, eps: float | Tensor) -> Spatial:
        """The same set, for eps 1; there is none of another size."""
        if not bool((torch.as_tensor(eps) == 1).all()):
            raise ThreatError(f"expected eps 1 for spatial, got {eps}; change its degrees and shift instead")
        return self

    def member(self, x: Inputs, number: Counts) -> Inputs:
        """Make member `number` of each row, `(batch, channels, height, width)`; number 0 is the row, bit for bit."""
        numbered(number, x, self.count)
        height, width = x.shape[-2:]
        plain = x if x.dtype in (torch.float32, torch.float64) else x.float()
        down, right = (_centred(side, plain) for side in (height, width))
        places = self._back(right[None, None], down[None, :, None], number[:, None, None])
        made = hold_(warp(plain, *places, self.padding).to(x.dtype), self.low, self.high)
        return torch.where(broadcast(number == 0, x), x, made)

    def norm(self, delta: Inputs) -> PerExample:
        """0 for a row that did not change, 1 for any other."""
        return changed(delta)

    def dual_norm(self, gradient: Inputs) -> PerExample:
        """Refused: the set has no slope."""
        refuse("spatial")

    def steepest(self, gradient: Inputs) -> Inputs:
        """Refused: the set has no slope."""
        refuse("spatial")

    def move(self, x: Inputs, gradient: Inputs, size: PerExample) -> Inputs:
        """Refused: the set has no slope."""
        refuse("spatial")

    def retract(self, x: Inputs, origin: Inputs, eps: PerExample) -> Inputs:
        """Leave members where they are and bring any other row back to its origin; not the nearest member."""
        return torch.where(broadcast(self.contains(x, origin, eps), x), x, origin)

    def sample(self, origin: Inputs, index: Tensor, key: Key, eps: PerExample) -> Inputs:
        """Draw one member of each row, all equally likely."""
        return drawn(self, origin, index, key)

    def contains(self, x: Inputs, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether it is a member in the box, but for float32 rounding of positions and pixels."""
        return matches(self, x, origin, self._likely) & inside(x, self.low, self.high)

    def empty(self, origin: Inputs, eps: PerExample) -> Flags:
        """Never: every picture is a member of its own set."""
        pictures(origin)
        return torch.zeros(len(origin), dtype=torch.bool, device=origin.device)

    def _back(self, right: Tensor, down: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Where members `number` read what they show at places `right` and `down` of the centre."""
        turn, across = number // self.shifts**2, number // self.shifts % self.shifts
        shifted = (
            right - _outwards(across, self.shifts, self.shift).to(right.dtype),
            down - _outwards(number % self.shifts, self.shifts, self.shift).to(down.dtype),
        )
        return sources(*shifted, _outwards(turn, self.angles, self.degrees))

    def _likely(self, x: Tensor, origin: Tensor) -> Tensor:
        """Say which members agree with each row at bright pixels that changed most; `(batch, count)`."""
        near = tolerance(origin)[:, None]
        x, origin = (rows if rows.dtype == torch.float64 else rows.float() for rows in (x, origin))
        telling = (x * (x - origin)).abs().amax(1).flatten(1)
        places = telling.topk(min(_PROBES, telling.shape[1]), dim=1).indices[:, None]
        down = _centred(x.shape[-2], x)[places // x.shape[-1]]
        right = _centred(x.shape[-1], x)[places % x.shape[-1]]

        def probed(values: Tensor) -> Tensor:
            return values.expand_as(x).flatten(2).gather(2, places.expand(-1, x.shape[1], -1))[:, :, None]

        floor, ceiling, seen = (probed(values) for values in (*bounds(self.low, self.high, x), x))
        numbers = torch.arange(self.count, device=x.device)
        fits = []
        for part in torch.split(numbers, max(1, _ROOM // seen.numel())):
            read = warp(origin, *self._back(right, down, part[None, :, None]), self.padding)
            off = (read.clamp(floor, ceiling) - seen).abs().amax((1, 3))
            fits.append(off <= near)
        return torch.cat(fits, dim=1)


def _centred(side: int, x: Tensor) -> Tensor:
    """Places of the pixels of one side, relative to its middle."""
    return torch.arange(side, dtype=x.dtype, device=x.device) - (side - 1) / 2


def _outwards(place: Tensor, places: int, most: float) -> Tensor:
    """Read places 0, 1, 2, ... as 0, +1, -1, +2, ... steps; the last pair lies at `most`."""
    steps = (place + 1) // 2 * (2 * (place % 2) - 1)
    return steps.double() * (most / max((places - 1) // 2, 1))
