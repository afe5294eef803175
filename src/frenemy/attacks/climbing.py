"""Climbing: the loop of searches that step up an estimated slope inside a ball."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from typing import Final

import torch
from torch import Tensor

from frenemy.attacks.attack import Phase
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Leg, Walk

__all__ = ["climbing"]

_PATIENCE: Final = 5
"""Steps in a row that find no higher loss before they are halved."""
_TINY: Final = 1e-30


def climbing(
    site: Site, estimate: Callable[[Site, Tensor, int], Leg[Tensor]], step_size: float, momentum: float
) -> Walk:
    """Step up a slope, by its sign for Linf and along it for L2, and bring each step back into the ball.

    Args:
        estimate: asks around a point, at some step from 1 on, and brings back the slope there.
        step_size: first step as a share of eps.
        momentum: share of the last slope that stays in the next.
    """
    x, slope, height, failed = site.x, torch.zeros_like(site.x), -math.inf, 0
    size = step_size * site.eps
    for step in count(1):
        slope = momentum * slope + (yield from estimate(site, x, step))
        way = slope.sign() if site.order == math.inf else slope / slope.norm().clamp(min=_TINY)
        x = site.within(x + size * way)
        loss = float((yield Phase.STEP, x[None]).loss)
        height, failed = max(height, loss), 0 if loss > height else failed + 1
        if failed == _PATIENCE:
            size, failed = size / 2, 0
