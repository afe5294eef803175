"""Random search: a random step, kept where the loss rises."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Final, final

from frenemy.attacks.asking import Asking
from frenemy.attacks.attack import Found, Phase, admit
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Walk
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["RandomSearch"]

_PATIENCE: Final = 20


@final
@dataclass(frozen=True, slots=True)
class RandomSearch:
    r"""Take random steps inside the set, and keep those with which the loss rises: what every other search should beat.

    $$ x_{t+1} = \begin{cases} x' & \ell(x') > \ell(x_t) \\ x_t & \text{otherwise} \end{cases}, \quad
       x' = \Pi_S(x_t + \alpha u) $$

    with `u` normal, for Linf its sign.

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        step_size: length of a step as a share of eps; above 0. It halves when it has failed 20 times in a row, and
            doubles with each success up to its first length.
        early_stop: a row leaves at its first success inside the threat.
        batch_size: the most rows in one forward; None is 1024. Results do not depend on it.

    Returns:
        Found, with `x` the best point inside the threat: a success, or the highest loss.

    Raises:
        UsageError: a setting is out of range, or the threat is not among those on the card.

    Cost: one forward a query a row, at most `queries`; no backward.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> found = RandomSearch(queries=50)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 5000
    step_size: float = 0.5
    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Rastrigin",
        title="The convergence of the random search method in the extremal control of a many parameter system",
        year=1963,
        venue="Automation and Remote Control",
        deviations=("step lengths adapt, and steps are brought back into the set",),
        access=Access.SCORES,
        reach=0.3,
        threats=("l2", "linf"),
    )

    def __post_init__(self) -> None:
        if not (self.step_size > 0):
            raise UsageError(f"expected step_size above 0, got {self.step_size}")

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asking = Asking(self.queries, self.batch_size, self.early_stop, scores=True, nearest=False)
        return asking(model, batch, threat=threat, objective=objective, key=key, walk=self._walk)

    def _walk(self, site: Site) -> Walk:
        x, height, failed = site.x, -math.inf, 0
        size = self.step_size * site.eps
        for step in count(1):
            noise = site.noise(f"step {step}", 1)[0]
            way = noise.sign() if site.order == math.inf else noise / noise.norm()
            trial = site.within(x + size * way)
            loss = float((yield Phase.STEP, trial[None]).loss)
            if loss > height:
                x, height, failed, size = trial, loss, 0, min(2 * size, self.step_size * site.eps)
            else:
                failed += 1
            if failed == _PATIENCE:
                failed, size = 0, size / 2
