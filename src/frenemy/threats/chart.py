"""Chart: coordinates in which a box can be searched without a constraint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from frenemy.threats.slack import bounds
from frenemy.threats.threat import Threat
from frenemy.types import Inputs

__all__ = ["Chart", "chart"]

_PAST: Final = 0.1
_EDGE: Final = 2 * math.atanh(1 - _PAST)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    r"""A smooth map from free coordinates `w` onto the box, per feature.

    $$ x = \tfrac{low + high}{2} + \tfrac{high - low}{2 (1 - 0.1)} \tanh \tfrac{w}{2} $$

    where both ends of the box are finite, and `x = w` elsewhere. The curve runs a tenth past the box and is cut at
    its ends. So an input at an end has a finite `w` and a slope, 0.19 of that in the middle: it can be moved, where
    tanh onto the box alone would have it at infinity.

    Args:
        low, high: ends of the box.
        base, span: lower end and width of the curve.
        closed: where both ends are finite; None for everywhere.

    Source: Carlini and Wagner 2017, arXiv:1608.04644, Section V.B, which does not run past the box.
    """

    low: Tensor
    high: Tensor
    base: Tensor
    span: Tensor
    closed: Tensor | None

    def enter(self, x: Inputs) -> Inputs:
        """The coordinates of points of the box."""
        inner = ((x - self.base) / self.span).logit_(_PAST / 2)
        return inner if self.closed is None else torch.where(self.closed, inner, x)

    def leave(self, w: Inputs) -> Inputs:
        """The points at `w`, which is held to the box in place."""
        if self.closed is None:
            point = w.clamp_(-_EDGE, _EDGE).sigmoid().mul_(self.span).add_(self.base)
        else:
            w.clamp_(torch.where(self.closed, -_EDGE, self.low), torch.where(self.closed, _EDGE, self.high))
            point = torch.where(self.closed, w.sigmoid().mul_(self.span).add_(self.base), w)
        return point.clamp_(self.low, self.high)

    def rate(self, x: Inputs) -> Inputs:
        """How fast each coordinate of the point moves with its `w`: `dx / dw` at the points `x`."""
        share = (x - self.base).div_(self.span)
        slowed = share.addcmul_(share, share, value=-1).mul_(self.span)
        return slowed if self.closed is None else torch.where(self.closed, slowed, 1)


def chart(threat: Threat, x: Inputs) -> Chart:
    """The chart of a threat's box, in the dtype and on the device of `x`."""
    low, high = bounds(threat.low, threat.high, x)
    closed = low.isfinite() & high.isfinite()
    span = torch.where(closed, (high - low) / (1 - _PAST), 1)
    base = torch.where(closed, low - _PAST / 2 * span, 0)
    return Chart(low, high, base, span, None if bool(closed.all()) else closed)
