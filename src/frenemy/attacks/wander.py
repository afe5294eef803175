"""Wander: the random walk along the border of the answers, at a distance that shrinks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Final

import torch
from torch import Tensor

from frenemy.attacks.attack import Phase
from frenemy.attacks.border import away, bisected
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Walk

__all__ = ["wander"]

_DRAWN: Final = 50
"""Steps for which noise is drawn at once."""
_EVERY: Final = 5
"""Of so many steps, one asks as well whether the step aside alone succeeds."""
_FACTOR: Final = 1.5
_FINE: Final = 1e-3
_TINY: Final = 1e-30


def wander(
    site: Site, aside: float, inwards: float, noise: Callable[[Site, Tensor, str, int], Tensor]
) -> Walk:
    """Step aside at the same distance, then inwards, and stay where that is no success.

    The step aside grows while more than half of the steps aside alone succeed, and shrinks while fewer than a fifth do;
    the step inwards grows while more than a quarter of both together do, and shrinks while fewer than a tenth do.

    Args:
        aside, inwards: first steps, as shares of the distance.
        noise: draws `(count, features)` directions to step aside, given a point, a name and a count.
    """
    point = yield from away(site)
    if point is None:
        return
    point = yield from bisected(site, point, _FINE)
    turned, taken = [], []
    for block in count(1):
        drawn = noise(site, point, f"aside {block}", _DRAWN)
        for step, way in enumerate(drawn):
            change = point - site.x
            far = change.norm()
            way = way - (way @ change) / far.square().clamp(min=_TINY) * change
            turn = change + aside * far * way / way.norm().clamp(min=_TINY)
            turn = turn * (far / turn.norm().clamp(min=_TINY))
            if step % _EVERY == 0:
                turned.append(bool((yield Phase.SLOPE, (site.x + turn)[None]).won.all()))
            trial = site.hold(torch.add(site.x, turn, alpha=1 - inwards))
            taken.append(bool((yield Phase.STEP, trial[None]).won.all()))
            if taken[-1]:
                point = trial
        aside *= _paced(turned, 0.5, 0.2)
        inwards = min(0.5, inwards * _paced(taken, 0.25, 0.1))
        turned, taken = [], []


def _paced(succeeded: list[bool], many: float, few: float) -> float:
    share = sum(succeeded) / len(succeeded)
    return _FACTOR if share > many else 1 / _FACTOR if share < few else 1.0
