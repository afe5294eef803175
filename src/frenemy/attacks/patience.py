"""Patience: when a walk along the border is given up, since it will not come within the size that is asked about."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from frenemy.attacks.active import State
from frenemy.threats.threat import Threat

__all__ = ["fresh", "hopeless", "walked"]

_LEFT: Final = {10: (2.0, 3.0), 25: (1.5, 2.0), 50: (1.25, 1.5)}
"""So many steps after its first success, how many times nearer a walk may still come; the second number is for L1.

On a perceptron and two LeNets, 278 to 1,800 walks of 100 steps for each norm came at most 1.40, 1.24 and 1.16 times
nearer, and 2.19, 1.68 and 1.24 times for L1. On a ResNet that had no part in the choice (351 walks, Linf) it was 1.43,
1.18 and 1.09.
"""


def fresh(eps: Tensor) -> State:
    """A walk that has met no success: how near one was (`reach`), and how many steps ago the first (`since`)."""
    return {"reach": torch.full_like(eps, torch.inf), "since": torch.zeros_like(eps, dtype=torch.int64)}


def walked(state: State, success: Tensor, distance: Tensor) -> State:
    """The walk after one more step, which came to a success at some distance or to none."""
    far = distance.masked_fill(~success, torch.inf)
    return {"reach": far.minimum(state["reach"]), "since": state["since"] + state["reach"].isfinite()}


def hopeless(walk: State, limit: Tensor, threat: Threat) -> Tensor:
    """Say of each row whether its walk has no way back into the set.

    Args:
        walk: as `walked` gives it.
        limit: `(batch,)` what is asked about: a success farther out does not count.
        threat: says the norm.
    """
    reach, worst = walk["reach"], int(getattr(threat, "order", 0.0) == 1)
    over = torch.zeros_like(reach, dtype=torch.bool)
    for steps, times in _LEFT.items():
        over |= (walk["since"] >= steps) & (reach > times[worst] * limit)
    return over & reach.isfinite()
