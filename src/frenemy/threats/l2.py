"""L2 ball: the Euclidean length of the change is at most `eps`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.rng import Key
from frenemy.threats.slack import check, hold_, inside, slack
from frenemy.threats.threat import broadcast
from frenemy.types import Flags, Inputs, PerExample

__all__ = ["L2"]

_SMALL: Final = 1e4
"""From so many times the root of the smallest normal number on, what squares lose is below rounding."""


@final
@dataclass(frozen=True, slots=True)
class L2:
    """All inputs within Euclidean distance `eps` of the origin, inside the box.

    `{z : sum_i (z_i - x_i)^2 <= eps^2 and low_i <= z_i <= high_i for every i}`

    Args:
        eps: size, 0 or larger, in the units of the inputs; one number or one a row.
        low: lower end of the box, one number or one a feature; may be -inf.
        high: upper end of the box, above `low`; may be +inf.

    Raises:
        ThreatError: `eps` is negative or not finite, or `low < high` fails somewhere.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.5, 0.5]])
        >>> L2(0.5).retract(x + torch.tensor([[0.6, 0.8]]), x, torch.tensor([0.5]))
        tensor([[0.8000, 0.9000]])
    """

    card: ClassVar[Card] = Card(
        authors="Szegedy, Zaremba, Sutskever, Bruna, Erhan, Goodfellow, Fergus",
        title="Intriguing properties of neural networks",
        year=2014,
        venue="ICLR",
        link="arXiv:1312.6199",
        place="Section 4.1",
        deviations=(
            "retraction scales into the ball and then cuts at the box: a point of both, not always the nearest",
        ),
    )
    order: ClassVar[float] = 2.0

    eps: float | Tensor
    low: float | Tensor = 0.0
    high: float | Tensor = 1.0

    def __post_init__(self) -> None:
        check(self.eps, self.low, self.high)

    def at(self, eps: float | Tensor) -> L2:
        """The same box with a ball of another size."""
        return replace(self, eps=eps)

    def norm(self, delta: Inputs) -> PerExample:
        """Euclidean length of each row: `sqrt(sum_i d_i^2)`, without underflow or overflow of the squares."""
        return _length(delta.flatten(1))

    def dual_norm(self, gradient: Inputs) -> PerExample:
        """Largest `<gradient, d>` over `|d| <= 1`: the Euclidean length itself."""
        return self.norm(gradient)

    def steepest(self, gradient: Inputs) -> Inputs:
        """The gradient at length 1, however small or large it came; zero where it is zero."""
        flat, _ = _scaled(gradient.flatten(1))
        length: Tensor = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        return (flat / length.clamp(min=1)).reshape(gradient.shape)

    def move(self, x: Inputs, gradient: Inputs, size: PerExample) -> Inputs:
        """Step by `size` along the gradient: `x + size * g / |g|`."""
        return torch.addcmul(x, broadcast(size, x), self.steepest(gradient))

    def retract(self, x: Inputs, origin: Inputs, eps: PerExample) -> Inputs:
        """Scale each row into the ball, then cut at the box.

        `x + d * min(1, eps / |d|)`, clamped. The cut only shortens `d`, since the origin lies in the box, so the
        result lies in both. It is a retraction, not the nearest point of both.
        """
        delta = x - origin
        length = torch.linalg.vector_norm(delta.flatten(1), dim=1)
        share = torch.where(eps < length, eps / length, (eps > 0).to(x.dtype))
        pulled = torch.addcmul(origin, delta, broadcast(share, x))
        return hold_(torch.where(broadcast(share < 1, x), pulled, x), self.low, self.high)

    def sample(self, origin: Inputs, index: Tensor, key: Key, eps: PerExample) -> Inputs:
        """Draw uniformly from the ball (a normal direction, a radius of `u^(1/d)`), then cut at the box."""
        shape = tuple(origin.shape[1:])
        direction = self.steepest(key.fold("direction").normal(index, shape, origin.dtype))
        share = key.fold("radius").uniform(index, (), torch.float64) ** (1 / math.prod(shape))
        radius = broadcast(eps * share.to(origin.dtype), origin)
        return hold_(torch.addcmul(origin, radius, direction), self.low, self.high)

    def contains(self, x: Inputs, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether it lies in the box, and within `eps` but for float32 rounding."""
        near = self.norm(x - origin) <= eps + slack(self.norm(origin), eps)
        return near & inside(x, self.low, self.high)

    def empty(self, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether the box is farther away than `eps`; never, where the origin lies in the box."""
        return ~self.contains(hold_(origin.clone(), self.low, self.high), origin, eps)


def _length(flat: Tensor) -> Tensor:
    """Euclidean length of each row; where squares that matter under- or overflow, of the row scaled.

    A length of 0 may be what is left of some, and is looked at again.
    """
    length: Tensor = torch.linalg.vector_norm(flat, dim=1)
    sound = (length > _SMALL * torch.finfo(length.dtype).tiny ** 0.5) & (length < torch.inf)
    if bool(sound.all()):
        return length
    scaled, largest = _scaled(flat)
    return torch.where(sound, length, largest * torch.linalg.vector_norm(scaled, dim=1))


def _scaled(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Divide each row by its largest absolute value: `(batch, d)` in [-1, 1], and `(batch,)`."""
    largest = flat.abs().amax(1)
    return flat / torch.where(largest > 0, largest, 1)[:, None], largest
