"""RayS: which way each coordinate goes, by halves, for the nearest border in Linf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch

from frenemy.attacks.asking import Asking
from frenemy.attacks.attack import Found, Phase, admit
from frenemy.attacks.ray import nearer
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Walk
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["RayS"]

_FAR: Final = 64.0
_GAIN: Final = 1e-4
"""How much nearer a flip must come, as a share of the distance."""


@final
@dataclass(frozen=True, slots=True)
class RayS:
    r"""Flip the direction of ever smaller blocks of coordinates, and keep each flip with which the border is nearer.

    $$ g(v) = \min \{\lambda : x + \lambda v \text{ succeeds}\}, \quad v \in \{-1, 1\}^d $$

    A flip is asked about at the best distance so far, one question; only where that succeeds is the border searched.
    Nothing is drawn at random.

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
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
        >>> found = RayS(queries=50)(
        ...     model, batch, threat=frenemy.Linf(0.3), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 4000
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Chen, Gu",
        title="RayS: A Ray Searching Method for Hard-label Adversarial Attack",
        year=2020,
        venue="KDD",
        link="arXiv:2006.12792",
        place="Algorithms 1 to 3",
        deviations=(
            "without a box, the first questions are asked at 64 times the largest coordinate",
            "after blocks of one coordinate it begins again with halves, as the released code does, until nothing"
            " changes",
            "a flip must bring the border a ten-thousandth nearer, and from there it is searched in growing strides, "
            "then by halves; the paper halves the whole way, to 1e-3",
        ),
        access=Access.LABELS,
        nearest=1.02,
        threats=("linf",),
    )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asking = Asking(self.queries, self.batch_size, self.early_stop, scores=False, nearest=True)
        return asking(model, batch, threat=threat, objective=objective, key=key, walk=self._walk)

    def _walk(self, site: Site) -> Walk:
        features = len(site.x)
        span = (site.high - site.low).max() if site.bounded else _FAR * site.x.abs().max().clamp(min=1)
        way, far, reached, first = torch.ones_like(site.x), float(span), False, True
        level, changed = 0, False
        while True:
            size = -(-features // 2**level)
            for begin in range(0, features, size):
                trial = way.clone()
                if not first:
                    trial[begin : begin + size] *= -1
                first = False
                at = far * (1 - _GAIN) if reached else far
                phase = Phase.STEP if reached else Phase.START
                if bool((yield phase, (site.x + at * trial)[None]).won.all()):
                    way, reached, changed = trial, True, True
                    far = (yield from nearer(site, site.x + at * way)).far
            if size == 1 and not changed:
                return
            level, changed = (0, False) if size == 1 else (level + 1, changed)
