"""Sphere: the change has exactly the norm `eps`, where the box allows it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.errors import ThreatError
from frenemy.rng import Key
from frenemy.threats.slack import bounds, hold_, inside, slack
from frenemy.threats.threat import Threat, broadcast, room
from frenemy.types import Flags, Inputs, PerExample

__all__ = ["Sphere"]

_HALVINGS = 60


@final
@dataclass(frozen=True, slots=True)
class Sphere:
    """All inputs at distance exactly `eps` from the origin in the norm of `ball`, inside its box.

    `{z : ||z - x|| = eps and low_i <= z_i <= high_i for every i}`

    The set is empty for an origin whose farthest corner of the box is nearer than `eps`; `empty` says where.

    Args:
        ball: an Linf, L2 or L1 ball; its size, box and way of moving are the sphere's.

    Raises:
        ThreatError: `ball` is not a ball of one of the three norms.

    Cost:
        About four to eight elementwise passes in float64 for each of a few Newton steps (L1, L2); about eight (Linf).

    Example:
        >>> import torch
        >>> from frenemy.threats.l2 import L2
        >>> x = torch.tensor([[0.5, 0.5]])
        >>> Sphere(L2(0.5)).retract(x + torch.tensor([[0.03, 0.04]]), x, torch.tensor([0.5]))
        tensor([[0.8000, 0.9000]])
    """

    card: ClassVar[Card] = Card(
        authors="Anonymous",
        title="Finding a Human-like Classifier",
        year=2019,
        venue="preprint",
        place="Definition 4, exact perturbation norm",
        deviations=(
            "points stay inside the box: a coordinate that meets its end stays there and the others make up for it",
            "rows whose box is too small for the norm are named by `empty`, and not counted as robust or wrong",
        ),
    )

    ball: Threat

    def __post_init__(self) -> None:
        if getattr(self.ball, "order", None) not in (1.0, 2.0, math.inf):
            raise ThreatError(
                f"expected a ball of norm Linf, L2 or L1, got {type(self.ball).__name__}; write Sphere(L2(0.5))"
            )

    @property
    def eps(self) -> float | Tensor:
        """The size of the ball."""
        return self.ball.eps

    @property
    def low(self) -> float | Tensor:
        """The lower end of the ball's box."""
        return self.ball.low

    @property
    def high(self) -> float | Tensor:
        """The upper end of the ball's box."""
        return self.ball.high

    def at(self, eps: float | Tensor) -> Sphere:
        """The same box with a sphere of another size."""
        return Sphere(self.ball.at(eps))

    def norm(self, delta: Inputs) -> PerExample:
        """Size of each row in the norm of the ball."""
        return self.ball.norm(delta)

    def dual_norm(self, gradient: Inputs) -> PerExample:
        """Largest `<gradient, d>` over `||d|| <= 1`, as for the ball."""
        return self.ball.dual_norm(gradient)

    def steepest(self, gradient: Inputs) -> Inputs:
        """The ball's direction of norm 1 that attains the dual norm; zero where the gradient is zero."""
        return self.ball.steepest(gradient)

    def move(self, x: Inputs, gradient: Inputs, size: PerExample) -> Inputs:
        """Step as the ball does."""
        return self.ball.move(x, gradient, size)

    def retract(self, x: Inputs, origin: Inputs, eps: PerExample) -> Inputs:
        """Bring each row to norm `eps` inside the box.

        Linf: the nearest point: cut to ball and box, and send the one coordinate that costs least to its end.
        L2 and L1: `d_i -> sign(d_i) min(scale |d_i|, u_i)`, with `u_i` the room in that direction and `scale`
        such that the norm is `eps`. Where even the corner of `d`'s orthant falls short, go on from it straight
        to the farthest corner of the box (cut to the cube of half side `eps`), until the norm is `eps`. From
        the origin itself that is the way to the farthest corner. Where the set is empty, a point of ball and box.
        """
        fall, rise = room(origin, *bounds(self.low, self.high, x))
        reach, size = eps.double(), broadcast(eps, x)
        fall = torch.maximum(fall, -size).flatten(1).double()
        rise = torch.minimum(rise, size).flatten(1).double()
        delta = (x - origin).flatten(1).double()
        short = reach - slack(self.norm(origin), eps).double()
        if self._order == math.inf:
            step = _send(delta, fall, rise, short)
        else:
            step = _stretch(delta, torch.where(delta > 0, rise, -fall), reach, self._order)
            rows = (self.norm(step) < short).nonzero().flatten()
            if len(rows):
                far = torch.where(rise >= -fall, rise, fall)
                step[rows] = self._onwards(step[rows], far[rows], reach[rows])
        return hold_(origin + step.reshape(x.shape).to(x.dtype), self.low, self.high)

    def sample(self, origin: Inputs, index: Tensor, key: Key, eps: PerExample) -> Inputs:
        """Draw a point of the ball and bring it to norm `eps`; not uniform where the box cuts."""
        return self.retract(self.ball.sample(origin, index, key, eps), origin, eps)

    def contains(self, x: Inputs, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether it lies in the box, and at distance `eps` but for float32 rounding."""
        gap = (self.norm(x - origin) - eps).abs()
        return (gap <= slack(self.norm(origin), eps)) & inside(x, self.low, self.high)

    def empty(self, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether the farthest corner of the box is nearer than `eps`."""
        fall, rise = room(origin, *bounds(self.low, self.high, origin))
        far = torch.minimum(torch.maximum(-fall, rise), broadcast(eps, origin))
        return (self.norm(far) < eps - slack(self.norm(origin), eps)) | self.ball.empty(origin, eps)

    @property
    def _order(self) -> float:
        return float(getattr(self.ball, "order", math.nan))

    def _onwards(self, start: Tensor, end: Tensor, reach: Tensor) -> Tensor:
        """Walk from `start` to `end` until the norm is `reach`, by bisection: the norm is convex on the way."""
        near, far = torch.zeros_like(reach), torch.ones_like(reach)
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            under = self.norm(start + middle[:, None] * (end - start)) < reach
            near, far = torch.where(under, middle, near), torch.where(under, far, middle)
        return start + far[:, None] * (end - start)


def _send(delta: Tensor, fall: Tensor, rise: Tensor, short: Tensor) -> Tensor:
    """Cut each row to `[fall, rise]`; where no coordinate reaches `short`, send the one that costs least to an end.

    Sending coordinate `j` to `t` instead of its cut value `c_j` costs `(d_j - t)^2 - (d_j - c_j)^2`.
    """
    cut = torch.clamp(delta, fall, rise)
    rows = (cut.abs().amax(1) < short).nonzero().flatten()
    if len(rows):
        ends = torch.cat([rise[rows], fall[rows]], dim=1)
        twice, there = delta[rows].repeat(1, 2), cut[rows].repeat(1, 2)
        cost = (there - ends) * (2 * twice - ends - there)
        best = torch.where(ends.abs() >= short[rows, None], cost, math.inf).argmin(1, keepdim=True)
        cut[rows] = cut[rows].scatter(1, best % delta.shape[1], ends.gather(1, best))
    return cut


def _stretch(delta: Tensor, most: Tensor, reach: Tensor, order: float) -> Tensor:
    """Find `sign(d_i) min(scale |d_i|, most_i)` of norm `reach`, or its corner where that falls short.

    To the power `order`, the norm is concave and made of straight pieces in `scale^order`, so Newton's steps from below
    climb to the root without passing it, and end in the right piece after a few.
    """
    size = delta.abs()
    size = size / size.amax(1, keepdim=True).clamp(min=torch.finfo(size.dtype).tiny)
    parts, ends, goal = size**order, most**order, reach**order
    scale = torch.zeros_like(reach)
    while True:
        grown = torch.where(size > 0, scale[:, None] * size, 0)
        stopped = (grown >= most) & (size > 0)
        held = torch.where(stopped, ends, 0).sum(1)
        free = torch.where(stopped, 0, parts).sum(1)
        ahead = torch.where(free > 0, ((goal - held).clamp(min=0) / free) ** (1 / order), math.inf)
        if not bool((ahead > scale).any()):
            return delta.sign() * torch.minimum(grown, most)
        scale = torch.maximum(scale, ahead)
