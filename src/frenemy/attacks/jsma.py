"""JSMA: few coordinates, each moved far, namely those that raise one class and lower the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.approach import Approach, Look, Stride
from frenemy.attacks.attack import Found, admit
from frenemy.attacks.best import Best
from frenemy.attacks.faces import towards
from frenemy.attacks.slope import leads, slope
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import answer
from frenemy.rng import Key
from frenemy.threats.slack import bounds, hold_
from frenemy.threats.threat import Threat

__all__ = ["JSMA"]

_SCALES: Final = tuple(2.0 ** (k / 2) for k in range(-12, 13))
"""Weights of the two sums: bounds at each of them thin out the coordinates."""
_SLACK: Final = 1e-3
"""A size this little below a whole number is that number, as for the threat."""
_ROUNDING: Final = 1e-4
"""Products this near to the best one seen are compared exactly."""
_FAR: Final = 1e6
"""How far below zero a coordinate is put that may not be chosen; others are at most 1."""
_FEW: Final = 128
"""Rows with more coordinates left to compare are taken one by one."""
_ROOM: Final = 1 << 20
"""Pairs looked at in one go."""


@final
@dataclass(frozen=True, slots=True)
class JSMA:
    r"""Change few coordinates: each step moves the pair of greatest saliency, until one succeeds or none is left.

    $$ \max_{p, q} \; -(\alpha_p + \alpha_q)(\beta_p + \beta_q), \quad
    \alpha_p + \alpha_q > 0 > \beta_p + \beta_q, \qquad
    \alpha_i = \frac{\partial z_t}{\partial x_i} \operatorname{sign} \theta, \;
    \beta_i = \sum_{k \neq t} \frac{\partial z_k}{\partial x_i} \operatorname{sign} \theta $$

    with `z` the logits and `t` the class to reach. To leave a class, alpha and beta change places: the pair lowers it
    and raises the others. A coordinate at its end of the box is not moved again, and no more than the threat's eps are
    changed. The point found is the first success.

    Args:
        theta: how far a coordinate moves, as a share of the width of its box (units of the inputs where it has no end):
            above 0 it rises, below 0 it falls. With 1 or -1 each goes to its end.
        steps: pairs moved, at most; with 0 only the input is judged.
        batch_size: the most rows in one forward; None is all rows of the call. Results do not depend on it.

    Returns:
        Found, with `x` differing from the input in at most eps coordinates.

    Raises:
        UsageError: a setting is out of its range, or the threat is not L0.

    Cost: a row takes at most steps + 3 forwards and 2 steps backwards; steps are no more than eps / 2 + 1 with theta 1.
    The best pair is found exactly without a table of all pairs, in about 75 passes over the coordinates.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> from frenemy.threats.l0 import L0
        >>> JSMA()(model, batch, threat=L0(2), objective=frenemy.Untargeted(), key=frenemy.Key(0)).x.shape
        torch.Size([8, 4])
    """

    theta: float = 1.0
    steps: int = 1000
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Papernot, McDaniel, Jha, Fredrikson, Celik, Swami",
        title="The Limitations of Deep Learning in Adversarial Settings",
        year=2016,
        venue="EuroS&P",
        link="arXiv:1511.07528",
        place="Algorithm 3, equations 8 to 10",
        access=Access.GRADIENTS,
        threats=("l0",),
        deviations=(
            "leaving a class, which the paper does not treat, changes the places of alpha and beta (Wiyatno and Xu "
            "2018, arXiv:1808.07945)",
            "a coordinate goes alone where no partner adds to its saliency, or where one is all that eps leaves",
            "coordinates already changed may move on after eps of them have been changed",
        ),
    )

    def __post_init__(self) -> None:
        if not 0 < abs(self.theta) < math.inf:
            raise UsageError(f"expected a finite theta other than 0, got {self.theta}; 1 and -1 are usual")

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        path = _Salient(self.theta, threat, towards(objective))
        return Approach(path, self.steps, True, self.batch_size)(
            model, batch, threat=threat, objective=objective
        )


@final
@dataclass(frozen=True, slots=True)
class _Salient:
    """The path: nothing to remember, since the point tells what has changed."""

    theta: float
    threat: Threat
    towards: bool

    def begin(self, best: Best, rows: Tensor) -> State:
        """At the input itself."""
        return {"x": best.batch.x[rows]}

    def onward(self, active: Active, seen: Look) -> Stride:
        """Move the best pair."""
        own = seen.logits.gather(1, answer(active.goal)[:, None]).squeeze(1)
        alpha = slope(own, seen.x, again=True)
        beta = slope(seen.logits.sum(1) - own, seen.x)
        with torch.no_grad():
            blind = ~(leads(alpha) & leads(beta))
            sign = math.copysign(1.0, self.theta) * (1.0 if self.towards else -1.0)
            low, high = bounds(self.threat.low, self.threat.high, seen.x)
            free = (seen.x < high if self.theta > 0 else seen.x > low).flatten(1)
            changed = (seen.x != active.origin).flatten(1)
            left = active.eps + _SLACK - changed.sum(1)
            free = free & (changed | (left >= 1)[:, None]) & ~blind[:, None]
            rise, fall = sign * alpha.flatten(1), -sign * beta.flatten(1)
            pair, some = _best_pair(rise, fall, free, (left >= 1) & (left < 2))
            chosen = torch.zeros_like(free).scatter_(1, pair, some[:, None].expand_as(pair))
            width = torch.where((high - low).isfinite(), high - low, 1.0)
            moved = hold_(seen.x + self.theta * width, self.threat.low, self.threat.high)
            x = torch.where(chosen.reshape(seen.x.shape), moved, seen.x)
        return Stride({"x": x}, ~some, blind, 2)


def _best_pair(a: Tensor, b: Tensor, free: Tensor, alone: Tensor) -> tuple[Tensor, Tensor]:
    r"""The pair of free coordinates with the greatest `(a_p + a_q)(b_p + b_q)`, both sums above 0.

    For every pair and every `s > 0`, `2 sqrt((a_p + a_q)(b_p + b_q)) <= f_s(p) + f_s(q)` with `f_s = s a + b / s`. So
    where `f_s(p) + max f_s` falls short of twice the root of a product already seen, for one `s` of a few, `p` is in no
    better pair; all pairs of the coordinates that remain are compared. A coordinate alone counts with its own product.

    Args:
        a, b: `(batch, d)`.
        free: `(batch, d)` coordinates to choose from.
        alone: `(batch,)` rows that may have one coordinate only.

    Returns:
        `(batch, 2)` the pair, twice the same where no partner adds to a coordinate, and the first of equal pairs in
        order; and `(batch,)` whether there is one.
    """
    a, b = (_scaled(values, free) for values in (a, b))
    single = torch.where((a > 0) & (b > 0), a * b, 0).max(1)
    seen, bound = single.values, torch.full_like(a, torch.inf)
    for scale in _SCALES:
        height = scale * a + b / scale
        top = height.topk(min(2, a.shape[1]), 1)
        seen = torch.maximum(seen, _product(a.gather(1, top.indices), b.gather(1, top.indices)))
        bound = torch.minimum(bound, height + top.values[:, :1])
    alive = (bound > 0) & ((bound / 2).square() >= seen[:, None] * (1 - _ROUNDING)) & ~alone[:, None]
    many = alive.sum(1)
    pair, value = single.indices[:, None].repeat(1, 2), single.values
    few = ((many > 1) & (many <= _FEW)).nonzero().flatten()
    for rows in [few, *(many > _FEW).nonzero()]:
        width = int(many[rows].max()) if len(rows) else 0
        if width > 1:
            places = torch.where(alive, bound, -torch.inf)[rows].topk(width, 1).indices.sort(1).values
            two, most = _compared(a[rows].gather(1, places), b[rows].gather(1, places), places)
            pair[rows] = torch.where((most > value[rows])[:, None], two, pair[rows])
            value[rows] = torch.maximum(most, value[rows])
    return pair, value > 0


def _scaled(values: Tensor, free: Tensor) -> Tensor:
    """Scale each row to at most 1, and put what is not free out of reach."""
    values = torch.where(free, values, 0)
    peak = values.abs().amax(1, keepdim=True)
    return torch.where(free, values / peak.masked_fill(peak == 0, 1), -_FAR)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """The product of the sums over the last axis, 0 where one of them is not above 0."""
    first, second = a.sum(-1), b.sum(-1)
    return torch.where((first > 0) & (second > 0), first * second, 0)


def _compared(a: Tensor, b: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Compare all pairs of each row, a few first members at a time."""
    rows, width = a.shape
    best, pair = torch.zeros_like(a[:, 0]), places[:, :2].clone()
    step = max(1, _ROOM // (rows * width))
    for start in range(0, width, step):
        part = slice(start, start + step)
        first, second = a[:, part, None] + a[:, None], b[:, part, None] + b[:, None]
        value = (first * second).masked_fill_((first <= 0) | (second <= 0), 0)
        value = value.triu_(start + 1).flatten(1)
        most, where = value.max(1)
        spot = torch.stack([start + where // width, where % width], 1)
        pair = torch.where((most > best)[:, None], places.gather(1, spot), pair)
        best = torch.maximum(best, most)
    return pair, best
