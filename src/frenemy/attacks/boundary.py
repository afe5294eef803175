"""Boundary: a random walk along the border of the answers, inwards where it may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from frenemy.attacks.asking import Asking
from frenemy.attacks.attack import Found, admit
from frenemy.attacks.others import Others
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Walk
from frenemy.attacks.wander import wander
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["Boundary"]


@final
@dataclass(frozen=True, slots=True)
class Boundary:
    r"""Walk at random along the border: a step aside at the same distance, then one inwards; stay where it fails.

    $$ x' = x + (1 - \epsilon) d \frac{x_t + \eta - x}{|x_t + \eta - x|}, \quad |\eta| = \delta d, \; \eta \perp x_t -
    x,
       \quad d = |x_t - x| $$

    Both step sizes follow how often steps succeed.

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        aside: first step aside as a share of the distance; above 0.
        inwards: first step inwards, likewise; below 1.
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
        >>> found = Boundary(queries=50)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 4000
    aside: float = 0.1
    inwards: float = 0.01
    others: Others | None = None
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Brendel, Rauber, Bethge",
        title="Decision-Based Adversarial Attacks: Reliable Attacks Against Black-Box Machine Learning Models",
        year=2018,
        venue="ICLR",
        link="arXiv:1712.04248",
        place="Algorithm 1",
        deviations=(
            "the first step aside is a tenth of the distance, the released code's a hundredth: it is found again "
            "anyway",
            "each example adapts its own steps; Foolbox does so too, with noise that the batch shares",
            "the start is bisected to the border first, as in Foolbox",
        ),
        access=Access.LABELS,
        nearest=1.2,
        threats=("l2",),
    )

    def __post_init__(self) -> None:
        if not (self.aside > 0 and 0 < self.inwards < 1):
            raise UsageError(
                f"expected aside above 0 and 0 < inwards < 1, got aside={self.aside}, inwards={self.inwards}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asking = Asking(self.queries, self.batch_size, self.early_stop, False, True, self.others)
        return asking(model, batch, threat=threat, objective=objective, key=key, walk=self._walk)

    def _walk(self, site: Site) -> Walk:
        return wander(site, self.aside, self.inwards, _white)


def _white(site: Site, point: Tensor, name: str, count: int) -> Tensor:
    return site.noise(name, count)
