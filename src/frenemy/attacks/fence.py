"""Fence: where each row must stay, worked out once when it enters a search."""

from __future__ import annotations

from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat

__all__ = ["fence", "keep_"]


def fence(threat: Threat, origin: Tensor, eps: Tensor) -> State:
    """Give the lowest and highest point of each row's set where these two say all of it (an Linf ball); else nothing.

    A search that keeps them in its state brings a point back in one elementwise pass instead of four.
    """
    if not isinstance(threat, Linf):
        return {}
    floor, ceiling = threat.ends(origin, eps)
    return {"floor": floor, "ceiling": ceiling}


def keep_(x: Tensor, active: Active, threat: Threat) -> Tensor:
    """Bring every row of `active`, now at `x`, back into its set; `x` is used up."""
    if "floor" in active.state:
        return x.clamp_(active.state["floor"], active.state["ceiling"])
    return threat.retract(x, active.origin, active.eps)
