"""L1 ball: the absolute changes of all coordinates sum to at most `eps`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.errors import ThreatError
from frenemy.rng import Key
from frenemy.threats.slack import bounds, check, hold_, inside, slack
from frenemy.threats.threat import broadcast, room
from frenemy.types import Flags, Inputs, PerExample

__all__ = ["L1"]

_PASSES = 100
_EXACT = 1e-12


@final
@dataclass(frozen=True, slots=True)
class L1:
    """All inputs whose coordinates differ from the origin's by `eps` in sum, inside the box.

    `{z : sum_i |z_i - x_i| <= eps and low_i <= z_i <= high_i for every i}`

    Args:
        eps: size, 0 or larger, in the units of the inputs; one number or one a row.
        low: lower end of the box, one number or one a feature; may be -inf.
        high: upper end of the box, above `low`; may be +inf.
        spread: share in (0, 1] of the coordinates that a move changes, at least one coordinate.

    Raises:
        ThreatError: `eps` is negative or not finite, `low < high` fails somewhere, or `spread` is not in (0, 1].

    Cost:
        A retraction takes about six elementwise passes in float64 for each of some ten Newton steps.

    Source of the projection: Croce and Hein 2021, "Mind the box: l1-APGD for sparse adversarial attacks on image
    classifiers", ICML, arXiv:2103.01208, Section 2.

    Example:
        >>> import torch
        >>> x = torch.zeros(1, 3)
        >>> L1(1.0).retract(torch.tensor([[0.9, 0.5, 0.1]]), x, torch.tensor([1.0]))
        tensor([[0.7000, 0.3000, 0.0000]])
    """

    card: ClassVar[Card] = Card(
        authors="Tramèr, Boneh",
        title="Adversarial Training and Robustness for Multiple Perturbations",
        year=2019,
        venue="NeurIPS",
        link="arXiv:1904.13000",
        place="Section 3, the sparse l1-descent attack",
        deviations=(
            "a move changes the top share of coordinates by count, where the paper cuts at a percentile, so that "
            "ties do not widen it",
            "coordinates that the box blocks are passed over, so that no part of a move is lost",
            "projection is onto ball and box at once, not onto the ball followed by a cut",
        ),
    )
    order: ClassVar[float] = 1.0

    eps: float | Tensor
    low: float | Tensor = 0.0
    high: float | Tensor = 1.0
    spread: float = 0.01

    def __post_init__(self) -> None:
        check(self.eps, self.low, self.high)
        if not 0 < self.spread <= 1:
            raise ThreatError(
                f"expected spread to be above 0 and at most 1, got {self.spread}; 0.01 is usual"
            )

    def at(self, eps: float | Tensor) -> L1:
        """The same box and spread with a ball of another size."""
        return replace(self, eps=eps)

    def norm(self, delta: Inputs) -> PerExample:
        """Sum of the absolute coordinates of each row: `sum_i |d_i|`."""
        return delta.flatten(1).abs().sum(1)

    def dual_norm(self, gradient: Inputs) -> PerExample:
        """Largest `<gradient, d>` over `sum_i |d_i| <= 1`: the largest absolute coordinate `max_i |g_i|`."""
        return gradient.flatten(1).abs().amax(1)

    def steepest(self, gradient: Inputs) -> Inputs:
        """All on one coordinate: the sign of the gradient's largest, zero elsewhere."""
        flat = gradient.flatten(1)
        top = flat.abs().argmax(1, keepdim=True)
        return torch.zeros_like(flat).scatter_(1, top, flat.gather(1, top).sign()).reshape(gradient.shape)

    def move(self, x: Inputs, gradient: Inputs, size: PerExample) -> Inputs:
        """Step by `size`, spread evenly over the coordinates of largest gradient that the box does not block.

        The top `max(1, ceil(spread * d))` coordinates move by `size / k` each, with `k` how many of them can move.
        """
        low, high = bounds(self.low, self.high, x)
        blocked = ((x <= low) & (gradient < 0)) | ((x >= high) & (gradient > 0))
        slope = torch.where(blocked, 0, gradient).flatten(1)
        top = slope.abs().topk(max(1, math.ceil(self.spread * slope.shape[1])), dim=1).indices
        signs = slope.gather(1, top).sign()
        each = size[:, None] / signs.abs().sum(1, keepdim=True).clamp(min=1)
        return x + torch.zeros_like(slope).scatter_(1, top, each * signs).reshape(x.shape)

    def retract(self, x: Inputs, origin: Inputs, eps: PerExample) -> Inputs:
        """Project each row onto ball and box: the nearest point of both in Euclidean distance.

        `d_i -> sign(d_i) min(max(|d_i| - cut, 0), u_i)`, with `u_i` the room in that direction and `cut >= 0` the
        smallest number at which the sum of sizes is at most `eps`.
        """
        low, high = bounds(self.low, self.high, x)
        fall, rise = room(origin, low, high)
        delta = (x - origin).double()
        size, most = delta.abs(), torch.where(delta > 0, rise, -fall).double()
        cut = _cut(size.flatten(1), most.flatten(1), eps.double())
        kept = torch.minimum((size - broadcast(cut, x)).clamp_(min=0), most)
        pulled = origin + (delta.sign() * kept).to(x.dtype)
        return hold_(torch.where(broadcast(cut > 0, x), pulled, x), self.low, self.high)

    def sample(self, origin: Inputs, index: Tensor, key: Key, eps: PerExample) -> Inputs:
        """Draw uniformly from the ball, then project onto ball and box.

        `d + 1` exponential draws divided by their sum are uniform on the simplex with its inside; random signs
        spread it over the ball.
        """
        count = origin[:1].numel() if len(origin) else 0
        draws = -torch.log1p(-key.fold("size").uniform(index, (count + 1,), torch.float64))
        signs = 1.0 - 2.0 * (key.fold("sign").uniform(index, (count,), torch.float64) < 0.5).double()
        share = signs * draws[:, :-1] / draws.sum(1, keepdim=True)
        step = (eps[:, None] * share).to(origin.dtype).reshape(origin.shape)
        return self.retract(origin + step, origin, eps)

    def contains(self, x: Inputs, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether it lies in the box, and within `eps` but for float32 rounding."""
        near = self.norm(x - origin) <= eps + slack(self.norm(origin), eps)
        return near & inside(x, self.low, self.high)

    def empty(self, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether the box is farther away than `eps`; never, where the origin lies in the box."""
        return ~self.contains(hold_(origin.clone(), self.low, self.high), origin, eps)


def _cut(size: Tensor, most: Tensor, eps: Tensor) -> Tensor:
    """Smallest `cut >= 0` with `sum_i min(max(size_i - cut, 0), most_i) <= eps`, for each row.

    The sum falls in straight pieces as `cut` rises. Newton's step is exact once it starts from the right piece; where
    it would leave the bracket of the root, the bracket is halved instead.
    """
    low, high = torch.zeros_like(eps), size.amax(1)
    cut = low.clone()
    for _ in range(_PASSES):
        grown = size - cut[:, None]
        excess = torch.minimum(grown.clamp(min=0), most).sum(1) - eps
        low, high = torch.where(excess > 0, cut, low), torch.where(excess > 0, high, cut)
        moving = ((grown > 0) & (grown <= most)).sum(1)
        newton = cut + excess / moving
        good = (moving > 0) & (newton > low) & (newton < high)
        ahead = torch.where(good, newton, (low + high) / 2).clamp_(min=0)
        done = (excess.abs() <= _EXACT * eps) | (high <= low) | (ahead == cut)
        if bool(done.all()):
            break
        cut = torch.where(done, cut, ahead)
    return torch.where(eps > 0, cut, size.amax(1))
