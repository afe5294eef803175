"""PartialNES: from a far success back to the input, by a slope estimated from the scores that are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.attacks.asking import Asking
from frenemy.attacks.attack import Found, Phase, admit
from frenemy.attacks.others import Others
from frenemy.attacks.retreat import Retreat
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Leg, Walk
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["PartialNES"]


@final
@dataclass(frozen=True, slots=True)
class PartialNES:
    r"""Keep a success and come nearer, climbing by natural evolution strategies: for models that show their top scores.

    $$ \hat g = \frac{1}{2 n \sigma} \sum_{i=1}^n (\ell(x_t + \sigma u_i) - \ell(x_t - \sigma u_i)) u_i $$

    with `u_i` normal, in the loop of `Retreat`. Since the point is always a success, the class that matters is always
    among the shown: `Veiled(model, Access.SCORES, top=1)` will do.

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        pairs: `n`, at least 1; each costs two questions.
        probe: length of a probe, `sigma u`, as a share of the distance; above 0.
        step_size: first step tried, as a share of the distance; above 0.
        shrink: by how much of the distance a step comes nearer, in (0, 1); less where that fails.
        others: given examples to start from, where there are some; else the search starts from random points.
        early_stop: a row leaves at its first success inside the threat, near or not.
        batch_size: the most rows in one forward; None is 1024. Results do not depend on it.

    Returns:
        Found, with `x` the nearest success inside the threat for each row that has one.

    Raises:
        UsageError: a setting is out of range, or the threat is neither L2 nor Linf.

    Cost: one forward a query a row, exactly `queries` where a first success is found; 2 pairs and some a step; no
    backward.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> found = PartialNES(queries=50)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 5000
    pairs: int = 15
    probe: float = 0.05
    step_size: float = 0.5
    shrink: float = 0.1
    others: Others | None = None
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Ilyas, Engstrom, Athalye, Lin",
        title="Black-box Adversarial Attacks with Limited Queries and Information",
        year=2018,
        venue="ICML",
        link="arXiv:1804.08598",
        place="Section 3.2, Algorithm 2",
        access=Access.SCORES,
        threats=("l2", "linf"),
        deviations=(
            "the point stays a success; in the source its target stays among the k shown, and is the first at the end",
            "any objective, not a target alone; and it comes nearer until the budget ends, not to a given eps",
            "the start is bisected to the border first, which takes 7 questions",
            "sizes are shares of the distance that is left; the source has them in units of pixels of ImageNet",
            "15 pairs a step; the source takes 25",
        ),
    )

    def __post_init__(self) -> None:
        Retreat.by(self)
        if not (self.pairs >= 1 and self.probe > 0):
            raise UsageError(
                f"expected pairs >= 1 and probe above 0, got pairs={self.pairs}, probe={self.probe}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asking = Asking(self.queries, self.batch_size, self.early_stop, True, True, self.others)
        return asking(model, batch, threat=threat, objective=objective, key=key, walk=self._walk)

    def _walk(self, site: Site) -> Walk:
        return Retreat.by(self).walk(site, self._slope)

    def _slope(self, site: Site, point: Tensor, size: float, step: int) -> Leg[Tensor]:
        noise = site.noise(f"slope {step}", self.pairs)
        sigma = self.probe * size / len(point) ** (1 / site.order)
        answer = yield Phase.SLOPE, torch.cat([point + sigma * noise, point - sigma * noise])
        slope: Tensor = (answer.loss[: self.pairs] - answer.loss[self.pairs :]) @ noise
        return slope
