"""Retreat: from a success far off back towards the input, as long as it stays a success."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final, TypeAlias, final

import torch
from torch import Tensor

from frenemy.attacks.attack import Phase
from frenemy.attacks.border import away, bisected
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Leg, Walk
from frenemy.errors import UsageError

__all__ = ["Estimate", "Retreat"]

_HALVINGS: Final = 5
"""Steps tried before the set is made to shrink more slowly."""
_SLOWEST: Final = 1e-4
"""Least shrinking of the set at once, as a share of it; slower than this, it begins anew."""
_COARSE: Final = 0.01
"""To so much of the way the border is found before the first step."""
_TINY: Final = 1e-30

Estimate: TypeAlias = Callable[[Site, Tensor, float, int], Leg[Tensor]]
"""Gives the slope at a point `(features,)` in a set of a size, at a step: `(features,)`, which way success is surer."""


@final
@dataclass(frozen=True, slots=True)
class Retreat:
    r"""Step up an estimated slope and shrink the set around the input, so that the point stays a success (Algorithm 2).

    $$ x_{t+1} = \Pi_{S(\varepsilon_t - \delta)}(x_t + \eta \operatorname{steepest}(\hat g_t)), \quad
       \varepsilon_{t+1} = \|x_{t+1} - x\| $$

    with eta halved until the point is a success; where none is, delta is halved and the point stays. The search begins
    at a given example, or at a random success, and where the way from there to the input meets the border.

    Args:
        step_size: eta as a share of the size of the set; above 0.
        shrink: delta as a share of the size of the set, in (0, 1).

    Raises:
        UsageError: a setting is out of range.
    """

    step_size: float
    shrink: float

    def __post_init__(self) -> None:
        if not (0 < self.step_size < math.inf and 0 < self.shrink < 1):
            raise UsageError(
                f"expected step_size above 0 and 0 < shrink < 1, got step_size={self.step_size}, shrink={self.shrink}"
            )

    @classmethod
    def by(cls, attack: Any) -> Retreat:
        """Take the settings from an attack that has them."""
        return cls(attack.step_size, attack.shrink)

    def walk(self, site: Site, estimate: Estimate) -> Walk:
        """Search one row."""
        point = yield from away(site)
        if point is None:
            return
        point, share = (yield from bisected(site, point, _COARSE)), self.shrink
        for step in count(1):
            size = float(site.norm(point - site.x))
            slope = yield from estimate(site, point, size, step)
            way = slope.sign() if site.order == math.inf else slope / slope.norm().clamp(min=_TINY)
            nearer = replace(site, eps=(1 - share) * size)
            for halving in range(_HALVINGS):
                trial = nearer.within(torch.add(point, way, alpha=self.step_size * size / 2**halving))
                if bool((yield Phase.STEP, trial[None]).won.all()):
                    point = trial
                    break
            else:
                share = share / 2 if share > _SLOWEST else self.shrink
