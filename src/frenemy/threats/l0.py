"""L0 ball: only so many coordinates may change, each as far as the box allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.rng import Key
from frenemy.threats.slack import bounds, check, hold_, inside
from frenemy.threats.threat import broadcast
from frenemy.types import Flags, Inputs, PerExample

__all__ = ["L0"]

_SLACK: Final = 1e-3
"""A size this little below a whole number is that number: a float32 count may have been divided and multiplied."""


@final
@dataclass(frozen=True, slots=True)
class L0:
    """All inputs that differ from the origin in at most `eps` coordinates, inside the box.

    `{z : #{i : z_i != x_i} <= eps and low_i <= z_i <= high_i for every i}`

    The set is no ball of a norm: twice a change counts as much as the change. So there is no sphere of it, and what
    a step gains depends on the box, not on the gradient alone. A coordinate is one number: a pixel in colour has three.

    Args:
        eps: how many coordinates, 0 or more; one number or one a row; a fraction counts as the whole number below.
        low: lower end of the box, one number or one a feature; may be -inf.
        high: upper end of the box, above `low`; may be +inf.

    Raises:
        ThreatError: `eps` is negative or not finite, or `low < high` fails somewhere.

    Cost:
        A move or a retraction sorts the coordinates of each row once.

    Example:
        >>> import torch
        >>> x = torch.zeros(1, 3)
        >>> L0(2).retract(torch.tensor([[0.9, 0.5, 0.1]]), x, torch.tensor([2.0]))
        tensor([[0.9000, 0.5000, 0.0000]])
    """

    card: ClassVar[Card] = Card(
        authors="Papernot, McDaniel, Jha, Fredrikson, Celik, Swami",
        title="The Limitations of Deep Learning in Adversarial Settings",
        year=2016,
        venue="EuroS&P",
        link="arXiv:1511.07528",
        place="Section III, distortion as the number of altered features",
    )
    order: ClassVar[float] = 0.0

    eps: float | Tensor
    low: float | Tensor = 0.0
    high: float | Tensor = 1.0

    def __post_init__(self) -> None:
        check(self.eps, self.low, self.high)

    def at(self, eps: float | Tensor) -> L0:
        """The same box with another number of coordinates."""
        return replace(self, eps=eps)

    def norm(self, delta: Inputs) -> PerExample:
        """How many coordinates of each row are not zero."""
        return (delta.flatten(1) != 0).sum(1).to(delta.dtype)

    def dual_norm(self, gradient: Inputs) -> PerExample:
        """Largest `<gradient, d>` over one coordinate changed by at most 1: the largest absolute coordinate.

        Without a limit on the change there would be no largest; `norm(d) dual_norm(g)` bounds `<g, d>` for changes
        of at most 1 a coordinate, as those inside the unit cube are.
        """
        return gradient.flatten(1).abs().amax(1)

    def steepest(self, gradient: Inputs) -> Inputs:
        """All on one coordinate: the sign of the gradient's largest, zero elsewhere."""
        flat = gradient.flatten(1)
        top = flat.abs().argmax(1, keepdim=True)
        return torch.zeros_like(flat).scatter_(1, top, flat.gather(1, top).sign()).reshape(gradient.shape)

    def move(self, x: Inputs, gradient: Inputs, size: PerExample) -> Inputs:
        """Send the `size` coordinates that gain most to the end of the box to which their gradient points.

        A coordinate gains `g_i (end_i - x_i)`; where the box has no end it moves by 1. A size between two whole numbers
        counts as the one above, so that a small step changes something. On a linear model, a move of `eps` from the
        origin is the best change of all.
        """
        low, high = bounds(self.low, self.high, x)
        end = torch.where(gradient > 0, high, low).expand_as(x)
        end = torch.where(end.isfinite(), end, x + gradient.sign())
        gain = (gradient * (end - x)).double()
        chosen = _top(gain, (size - _SLACK).ceil()) & (gain > 0)
        return _chosen(chosen, end, x)

    def retract(self, x: Inputs, origin: Inputs, eps: PerExample) -> Inputs:
        """Project each row onto the set: the nearest point of it in Euclidean distance.

        With `c` the row cut at the box, keeping coordinate `i` saves `(z_i - x_i)^2 - (z_i - c_i)^2`; the `eps` that
        save most are kept, the others go back to the origin. Inside the box these are the largest changes.
        """
        cut, count = hold_(x.clone(), self.low, self.high), (eps + _SLACK).floor()
        change = (cut - origin).double()
        saved = change * (2 * (x.double() - origin) - change)
        saved = torch.where(_within(origin, self.low, self.high), saved, torch.inf)
        fits = self.norm(change) <= count
        return _chosen(_top(saved, count) | broadcast(fits, x), cut, origin)

    def sample(self, origin: Inputs, index: Tensor, key: Key, eps: PerExample) -> Inputs:
        """Draw `eps` coordinates, and for each a value of the box, uniformly.

        Where the box has no end, values lie within 1 of the origin on that side.
        """
        shape = tuple(origin.shape[1:])
        low, high = (end.expand_as(origin) for end in bounds(self.low, self.high, origin))
        floor = torch.where(low.isfinite(), low, torch.minimum(origin, high) - 1)
        ceiling = torch.where(high.isfinite(), high, torch.maximum(origin, low) + 1)
        share = key.fold("value").uniform(index, shape, origin.dtype)
        value = torch.minimum(floor + share * (ceiling - floor), ceiling)
        order = key.fold("place").uniform(index, shape, torch.float64)
        return self.retract(_chosen(_top(order, (eps + _SLACK).floor()), value, origin), origin, eps)

    def contains(self, x: Inputs, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether it lies in the box, and differs in at most `eps` coordinates."""
        return (self.norm(x - origin) <= eps + _SLACK) & inside(x, self.low, self.high)

    def empty(self, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether more than `eps` of its coordinates lie outside the box; never, where none does."""
        return ~self.contains(hold_(origin.clone(), self.low, self.high), origin, eps)


def _top(values: Tensor, count: Tensor) -> Tensor:
    """Mark the `count` largest of each row; the first of two that are equal."""
    flat = values.flatten(1)
    order = flat.argsort(dim=1, descending=True, stable=True)
    first = torch.arange(flat.shape[1], device=flat.device) < count[:, None]
    return torch.zeros_like(first).scatter_(1, order, first).reshape(values.shape)


def _chosen(mask: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """Take `yes` where the mask says so and `no` elsewhere, bit for bit and in the layout of `no`."""
    return torch.empty_like(no).copy_(torch.where(mask, yes, no))


def _within(x: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    low, high = bounds(low, high, x)
    return (x >= low) & (x <= high)
