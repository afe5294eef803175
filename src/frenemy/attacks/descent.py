"""Descent: the loop of searches for the direction in which the border lies nearest."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeAlias, final

import torch
from torch import Tensor

from frenemy.attacks.asking import Asking
from frenemy.attacks.attack import Attack, Found, Phase
from frenemy.attacks.others import Others
from frenemy.attacks.ray import Ray, aim, first_ray, nearer
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Leg, Walk
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["Descent", "Estimate"]

_GAIN: Final = 1e-4
"""How much nearer a turn must come, as a share of the distance."""
_LONGEST: Final = 8
"""How many turns are tried along a slope, at most."""
_SHORTEST: Final = 2
"""How often a turn is cut to a quarter, at most."""
_TINY: Final = 1e-30


Estimate: TypeAlias = Callable[[Site, Ray, int], Leg[Tensor]]
"""Asks around a ray, at some step from 1 on, and brings back `(features,)` a turn on which the border comes nearer."""


@final
@dataclass(frozen=True, slots=True)
class Descent:
    r"""Turn a ray step by step so that the border comes nearer: 004, Algorithms 3 to 5, but for the estimate.

    $$ \theta_{t+1} = \theta_t - \eta_t \hat g_t / |\hat g_t|, \quad
       \hat g_t = \mu \hat g_{t-1} + \text{estimate at } \theta_t $$

    with `eta_t` doubled while the border comes nearer, or cut until it does.

    Args:
        queries, batch_size, early_stop: as for `Asking`.
        directions: asked about for each estimate.
        tries: random directions of which the nearest is the first.
        alpha: first turn, as a share of the length of a ray; later ones begin with the last that was taken.
        beta: how far beside a ray directions are asked about, in each coordinate and as a share of its length.
        memory: share of the last estimate that stays in the next.
        others: given examples to start from.

    Raises:
        UsageError: a setting is out of range.
    """

    queries: int
    batch_size: int | None
    early_stop: bool
    directions: int
    tries: int
    alpha: float
    beta: float
    memory: float
    others: Others | None

    def __post_init__(self) -> None:
        if (
            self.directions < 1
            or self.tries < 1
            or not (self.alpha > 0 and self.beta > 0 and 0 <= self.memory < 1)
        ):
            raise UsageError(
                "expected directions and tries to be at least 1, alpha and beta above 0, and 0 <= memory < 1, got "
                f"directions={self.directions}, tries={self.tries}, alpha={self.alpha}, beta={self.beta}, "
                f"memory={self.memory}"
            )

    @classmethod
    def by(cls, attack: Attack) -> Descent:
        """Take the settings of an attack that has them all."""
        return cls(*(getattr(attack, name) for name in cls.__dataclass_fields__))

    def __call__(
        self,
        model: Model,
        batch: Batch,
        *,
        threat: Threat,
        objective: Objective,
        key: Key,
        estimate: Estimate,
    ) -> Found:
        """Search every row of the batch."""
        asking = Asking(self.queries, self.batch_size, self.early_stop, False, True, self.others)

        def walk(site: Site) -> Walk:
            return self._walk(site, estimate)

        return asking(model, batch, threat=threat, objective=objective, key=key, walk=walk)

    def _walk(self, site: Site, estimate: Estimate) -> Walk:
        ray = yield from first_ray(site, self.tries)
        size, slope = self.alpha, torch.zeros_like(site.x)
        for step in count(1):
            if ray is None:
                return
            slope = self.memory * slope + (yield from estimate(site, ray, step))
            length = slope.abs().mean() if site.order == math.inf else slope.norm()
            ray, size = yield from _turned(site, ray, slope / length.clamp(min=_TINY), size)
            size = max(size, self.alpha / 4**_SHORTEST)


def _turned(site: Site, ray: Ray, slope: Tensor, size: float) -> Leg[tuple[Ray, float]]:
    """Search along a slope: double the step while the border comes nearer, or cut it until it does."""
    best, taken, cuts = ray, 0.0, 0
    for _ in range(_LONGEST):
        point = aim(site, (ray.way + size * slope)[None], best.far * (1 - _GAIN))
        if bool((yield Phase.STEP, point).won.all()):
            best, taken = (yield from nearer(site, point[0])), size
            if cuts:
                break
            size *= 2
        elif taken or cuts == _SHORTEST:
            break
        else:
            size, cuts = size / 4, cuts + 1
    return best, taken or size
