"""GeoDA: the border as a plane, whose normal a cloud of labels around a point of it betrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.attacks.asking import Asking
from frenemy.attacks.attack import Found, Phase, admit
from frenemy.attacks.border import away, bisected
from frenemy.attacks.others import Others
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Leg, Walk
from frenemy.attacks.waves import smooth
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["GeoDA"]

_FINE: Final = 1e-4
"""Width of the interval at which bisection stops, as a share of the way."""
_SPENT: Final = 0.95
"""Share of the questions that clouds may have."""
_RADIUS: Final = 0.02
"""Length of noise as a share of the distance."""
_TINY: Final = 1e-30


@final
@dataclass(frozen=True, slots=True)
class GeoDA:
    r"""Take the border for a plane: estimate its normal at a point of it, and go along that from the input.

    $$ \hat w = \sum_b \phi_b u_b, \quad x_{t+1} = x + \hat r \, v, \quad
       v = \hat w / |\hat w| \text{ for L2}, \operatorname{sign}(\hat w) \text{ for Linf} $$

    with `phi_b` in {-1, 1} whether `x_t + sigma * u_b` succeeds and `r` the least distance at which `x + r v` does.
    Later clouds are larger.

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        normals: normals that are estimated, at least 1; the questions are shared out among them.
        growth: how many times as many points each cloud has as the one before, at least 1.
        waves: share of the lowest frequencies of a picture that noise is made of, in (0, 1]; 1 is white noise, and
            what flat rows get.
        others: given examples to start from, where there are some; else the search starts from random points.
        early_stop: a row leaves at its first success inside the threat, near or not.
        batch_size: the most rows in one forward; None is 1024. Results do not depend on it.

    Returns:
        Found, with `x` the nearest success inside the threat for each row that has one.

    Raises:
        UsageError: a setting is out of range, or the threat is not among those on the card.

    Cost: one forward a query a row, exactly `queries` where a first success is found; no backward.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> found = GeoDA(queries=50)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 4000
    normals: int = 10
    growth: float = 1.5
    waves: float = 0.35
    others: Others | None = None
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Rahmati, Moosavi-Dezfooli, Frossard, Dai",
        title="GeoDA: a geometric framework for black-box adversarial attacks",
        year=2020,
        venue="CVPR",
        link="arXiv:2003.06468",
        place="Algorithm 1 and eq. 15",
        deviations=(
            "noise is made by an inverse cosine transform of the lowest frequencies of each side; the paper keeps"
            " a number of them in all",
            "clouds grow by half each, close to the paper's rule for the rates that it assumes",
            "a normal that leads to no border nearby is dropped, and its questions are lost; the released code "
            "returns what it has",
        ),
        access=Access.LABELS,
        nearest=1.1,
        threats=("l2", "linf"),
    )

    def __post_init__(self) -> None:
        if not (self.normals >= 1 and self.growth >= 1 and 0 < self.waves <= 1):
            raise UsageError(
                f"expected normals >= 1, growth >= 1 and 0 < waves <= 1, got normals={self.normals}, "
                f"growth={self.growth}, waves={self.waves}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asking = Asking(self.queries, self.batch_size, self.early_stop, False, True, self.others)
        return asking(model, batch, threat=threat, objective=objective, key=key, walk=self._walk)

    def _walk(self, site: Site) -> Walk:
        point = yield from away(site)
        if point is None:
            return
        point = yield from bisected(site, point, _FINE)
        weight = sum(self.growth**step for step in range(self.normals))
        step, normal = 0, torch.zeros_like(site.x)
        while True:
            share = self.growth ** (step % self.normals) / weight
            points = max(2, int(_SPENT * share * self.queries))
            radius = _RADIUS * float(site.norm(point - site.x))
            noise = smooth(site, f"cloud {step}", points, self.waves)
            cloud = site.hold(torch.add(point, noise, alpha=radius / len(site.x) ** (1 / site.order)))
            won = 2.0 * (yield Phase.SLOPE, cloud).won.to(cloud.dtype) - 1
            normal = (won - won.mean() if won.min() < won.max() else won) @ (cloud - point)
            point = yield from self._along(site, point, normal)
            step += 1

    def _along(self, site: Site, point: Tensor, normal: Tensor) -> Leg[Tensor]:
        """Go from the input along a normal, at most twice as far as the point on the border; stay there if in vain."""
        way = normal.sign() if site.order == math.inf else normal / normal.norm().clamp(min=_TINY)
        far = float(site.norm(point - site.x))
        for stretch in (1.0, 1.25, 1.6, 2.0):
            trial = site.hold(torch.add(site.x, way, alpha=stretch * far))
            if bool((yield Phase.STEP, trial[None]).won.all()):
                nearer = yield from bisected(site, trial, _FINE)
                return nearer if float(site.norm(nearer - site.x)) < far else point
        return point
