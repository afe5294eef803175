"""NES: a slope estimated from the losses at pairs of random points, and steps up it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.attacks.asking import Asking
from frenemy.attacks.attack import Found, Phase, admit
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Leg, Walk
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["NES"]

_PATIENCE: Final = 5
"""Steps in a row that find no higher loss before they are halved."""
_TINY: Final = 1e-30


@final
@dataclass(frozen=True, slots=True)
class NES:
    r"""Step up a slope that is estimated by natural evolution strategies.

    $$ \hat g = \frac{1}{2 n \sigma} \sum_{i=1}^n (\ell(x + \sigma u_i) - \ell(x - \sigma u_i)) u_i, \quad
       x_{t+1} = \Pi_S(x_t + \alpha \, \text{steepest}(m_t)), \quad m_t = \mu m_{t-1} + \hat g $$

    with `u_i` normal.

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        pairs: `n`, at least 1; each costs two questions.
        probe: length of a probe, `sigma u`, as a share of eps; above 0.
        step_size: first step as a share of eps; above 0. It is halved whenever five steps in a row find no higher loss.
        momentum: `mu`, in [0, 1).
        early_stop: a row leaves at its first success inside the threat.
        batch_size: the most rows in one forward; None is 1024. Results do not depend on it.

    Returns:
        Found, with `x` the best point inside the threat: a success, or the highest loss.

    Raises:
        UsageError: a setting is out of range, or the threat is not among those on the card.

    Cost: one forward a query a row, at most `queries`; 2 pairs + 1 a step; no backward.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> found = NES(queries=50)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 5000
    pairs: int = 25
    probe: float = 0.1
    step_size: float = 0.1
    momentum: float = 0.5
    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Ilyas, Engstrom, Athalye, Lin",
        title="Black-box Adversarial Attacks with Limited Queries and Information",
        year=2018,
        venue="ICML",
        link="arXiv:1804.08598",
        place="Algorithm 1; 004, Algorithm 1",
        deviations=(
            "25 pairs, a momentum of a half and probes that scale with eps; the paper's are for ImageNet, in "
            "units of pixels",
            "every step is asked about, and the best point kept",
            "004 divides the sum by 2 n sigma for n pairs and calls their number T",
        ),
        access=Access.SCORES,
        reach=0.5,
        threats=("l2", "linf"),
    )

    def __post_init__(self) -> None:
        if not (self.pairs >= 1 and self.probe > 0 and self.step_size > 0 and 0 <= self.momentum < 1):
            raise UsageError(
                f"expected pairs >= 1, probe and step_size above 0, and 0 <= momentum < 1, got "
                f"pairs={self.pairs}, probe={self.probe}, step_size={self.step_size}, momentum={self.momentum}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asking = Asking(self.queries, self.batch_size, self.early_stop, scores=True, nearest=False)
        return asking(model, batch, threat=threat, objective=objective, key=key, walk=self._walk)

    def _walk(self, site: Site) -> Walk:
        x, slope, height, failed = site.x, torch.zeros_like(site.x), -math.inf, 0
        size = self.step_size * site.eps
        for step in count(1):
            slope = self.momentum * slope + (yield from self._slope(site, x, step))
            way = slope.sign() if site.order == math.inf else slope / slope.norm().clamp(min=_TINY)
            x = site.within(x + size * way)
            loss = float((yield Phase.STEP, x[None]).loss)
            height, failed = max(height, loss), 0 if loss > height else failed + 1
            if failed == _PATIENCE:
                size, failed = size / 2, 0

    def _slope(self, site: Site, x: Tensor, step: int) -> Leg[Tensor]:
        noise = site.noise(f"slope {step}", self.pairs)
        sigma = self.probe * site.eps / len(site.x) ** (1 / site.order)
        answer = yield Phase.SLOPE, torch.cat([x + sigma * noise, x - sigma * noise])
        above, below = answer.loss[: self.pairs], answer.loss[self.pairs :]
        slope: Tensor = (above - below) @ noise / (2 * sigma * self.pairs)
        return slope
