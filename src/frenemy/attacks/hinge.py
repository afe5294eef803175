"""Hinge: what C&W and EAD weigh against the distance, max(kappa - h, 0): which margin h, and how heavily."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.approach import Look
from frenemy.attacks.faces import rivals, towards
from frenemy.attacks.slope import slope
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import answer
from frenemy.threats.threat import Threat

__all__ = ["Aim", "aim", "bracket"]

_RIVALS: Final = 9
_BOLDER: Final = 10


@final
@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """What each row climbs.

    Args:
        margin: `(batch,)` how far the answer stands on the perturber's side: at or above 0 where it succeeds.
        gap: `(batch,)` height of what is climbed: the margin, or what one class alone makes of it.
        normal: `(batch, *shape)` slope of the gap with respect to the input.
        rival: `(batch,)` the other class in the gap.
        backwards: how often each row went back through the model.
    """

    margin: Tensor
    gap: Tensor
    normal: Tensor
    rival: Tensor
    backwards: int


def aim(active: Active, seen: Look, *, threat: Threat, objective: Objective, settled: int) -> Aim:
    r"""Choose the margin that each row climbs, and take its slope.

    $$ h = \max_{k \ne y} z_k - z_y \quad \text{away from } y, \qquad h = z_t - \max_{k \ne t} z_k \quad
    \text{towards } t $$

    A row that leaves its class compares, when it enters, how far the borders of the other classes are to first order;
    it keeps to the nearest until it is `settled` steps old.

    Args:
        active: the state of its rows has `rival`.
        seen: the model's answers there; their graph is used up.
        threat: says the norm.

    Cost: one backward, and where rows have just entered one more for each other class, at most 9.
    """
    logits, goal = seen.logits, active.goal
    own, best = logits.gather(1, answer(goal)[:, None]), rivals(logits, goal, 1)
    sign = -1.0 if towards(objective) else 1.0
    margin = sign * (logits.gather(1, best) - own).detach().squeeze(1)
    chosen, backwards = best.squeeze(1), int(logits.requires_grad)
    if sign > 0:
        kept = (active.age > 0) & (active.age < settled)
        chosen = torch.where(kept, active.state["rival"], chosen)
        tried = rivals(logits, goal, _RIVALS) if active.fresh else best
        if tried.shape[1] > 1:
            chosen = torch.where(active.age == 0, _nearest(logits, own, tried, seen.x, threat), chosen)
            backwards *= 1 + tried.shape[1]
    gap = sign * (logits.gather(1, chosen[:, None]) - own).squeeze(1)
    return Aim(margin, gap.detach(), slope(gap, seen.x), chosen, backwards)


def _nearest(logits: Tensor, own: Tensor, tried: Tensor, x: Tensor, threat: Threat) -> Tensor:
    """Of the classes tried, that whose border is nearest to first order."""
    nearest, least = tried[:, 0], torch.full_like(own.detach().squeeze(1), math.inf)
    for rival in tried.unbind(1):
        gap = (own - logits.gather(1, rival[:, None])).squeeze(1)
        far = gap.detach() / threat.dual_norm(slope(gap, x, again=True))
        nearest, least = torch.where(far < least, rival, nearest), torch.where(far < least, far, least)
    return nearest


def bracket(state: State, over: Tensor) -> State:
    """Halve the bracket of the weight `c` of each row whose round is over; tenfold while nothing has held.

    Args:
        state: `c`, `low` (largest weight that did not do), `high` (least that did, or inf), and `held` (this one did).
        over: `(batch,)` rows whose round is over.
    """
    c, low, high, held = state["c"], state["low"], state["high"], state["held"]
    high = torch.where(over & held, torch.minimum(c, high), high)
    low = torch.where(over & ~held, torch.maximum(c, low), low)
    c = torch.where(over, torch.where(high < math.inf, (low + high) / 2, _BOLDER * c), c)
    return {"c": c, "low": low, "high": high, "held": held & ~over}
