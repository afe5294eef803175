"""Guessing Smart: a random walk along the border, biased to low frequencies and to what differs already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from torch import Tensor

from frenemy.attacks.asking import Asking
from frenemy.attacks.attack import Found, admit
from frenemy.attacks.others import Others
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Walk
from frenemy.attacks.wander import wander
from frenemy.attacks.waves import smooth
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["GuessingSmart"]

_LEAST: Final = 0.05
_TINY: Final = 1e-30


@final
@dataclass(frozen=True, slots=True)
class GuessingSmart:
    r"""Walk along the border as Boundary does, with steps aside that are drawn from what is likely to help.

    $$ \eta \propto M \odot \text{low-frequency noise}, \quad M_i = |x_{t,i} - x_i| $$

    Pictures differ where their low frequencies do, and a nearer point differs where this one does already.

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        aside: first step aside as a share of the distance; above 0.
        inwards: first step inwards, likewise; below 1.
        waves: share of the lowest frequencies of a picture that noise is made of, in (0, 1]; flat rows get white noise.
        mask: weigh noise by how much each coordinate differs from the input.
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
        >>> found = GuessingSmart(queries=50)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 4000
    aside: float = 0.1
    inwards: float = 0.01
    waves: float = 0.5
    mask: bool = True
    others: Others | None = None
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Brunner, Diehl, Truong Le, Knoll",
        title="Guessing Smart: Biased Sampling for Efficient Black-Box Adversarial Attacks",
        year=2019,
        venue="ICCV",
        link="arXiv:1812.09803",
        place="Sections 3.1 and 3.2",
        deviations=(
            "low frequencies by an inverse cosine transform; the paper has Perlin noise",
            "without the third bias, the slope of another model, as in 004",
            "a twentieth is added to the mask, so that no coordinate is left out for good",
        ),
        access=Access.LABELS,
        nearest=1.2,
        threats=("l2",),
    )

    def __post_init__(self) -> None:
        if not (self.aside > 0 and 0 < self.inwards < 1 and 0 < self.waves <= 1):
            raise UsageError(
                f"expected aside above 0 and 0 < inwards < 1 and 0 < waves <= 1, got aside={self.aside}, "
                f"inwards={self.inwards}, waves={self.waves}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asking = Asking(self.queries, self.batch_size, self.early_stop, False, True, self.others)
        return asking(model, batch, threat=threat, objective=objective, key=key, walk=self._walk)

    def _walk(self, site: Site) -> Walk:
        return wander(site, self.aside, self.inwards, self._noise)

    def _noise(self, site: Site, point: Tensor, name: str, count: int) -> Tensor:
        noise = smooth(site, name, count, self.waves)
        if not self.mask:
            return noise
        differs = (point - site.x).abs()
        return noise * (differs / differs.max().clamp(min=_TINY) + _LEAST)
