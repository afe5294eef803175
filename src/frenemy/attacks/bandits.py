"""Bandits: a prior on the slope that every pair of questions corrects."""

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
from frenemy.attacks.walk import Walk
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["Bandits"]

_ROUNDING: Final = 1e-5
"""Differences below this share of a loss are rounding, and no slope."""
_TINY: Final = 1e-30


@final
@dataclass(frozen=True, slots=True)
class Bandits:
    r"""Step along a prior `v` on the slope, which is itself improved by the losses at two points on either side of it.

    $$ \Delta = \frac{\ell(x + \eta q_1) - \ell(x + \eta q_2)}{\delta \eta} u, \quad
       q_{1, 2} = \frac{v \pm \delta u}{|v \pm \delta u|} $$

    with `u` normal of length 1; `v` moves along `Delta`, for Linf by exponentiated gradients in [-1, 1].

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        tile: side of the squares of a picture in which the prior is constant, at least 1; a flat row has none.
        probe: `eta` as a share of eps; above 0.
        explore: `delta`, above 0.
        rate: how fast the prior moves for Linf, above 0; a tenth of it for L2.
        step_size: step of the input as a share of eps; above 0.
        early_stop: a row leaves at its first success inside the threat.
        batch_size: the most rows in one forward; None is 1024. Results do not depend on it.

    Returns:
        Found, with `x` the best point inside the threat: a success, or the highest loss.

    Raises:
        UsageError: a setting is out of range, or the threat is not among those on the card.

    Cost: one forward a query a row, at most `queries`; 3 a step; no backward.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> found = Bandits(queries=50)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 5000
    tile: int = 4
    probe: float = 0.1
    explore: float = 1.0
    rate: float = 1.0
    step_size: float = 0.1
    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Ilyas, Engstrom, Madry",
        title="Prior Convictions: Black-Box Adversarial Attacks with Bandits and Priors",
        year=2019,
        venue="ICLR",
        link="arXiv:1807.07978",
        place="Algorithms 1 to 3",
        deviations=(
            "every step is asked about and counted, so that an iteration costs three questions; the released code"
            " counts two",
            "probes scale with eps",
            "the slope is divided by the size of the losses, so that the rate does not depend on the scale of the"
            " logits; with the paper's 100 the prior would be at its ends after one step",
        ),
        access=Access.SCORES,
        reach=0.3,
        threats=("l2", "linf"),
    )

    def __post_init__(self) -> None:
        if not (self.tile >= 1 and min(self.probe, self.explore, self.rate, self.step_size) > 0):
            raise UsageError(
                f"expected tile >= 1, and probe, explore, rate and step_size above 0, got tile={self.tile}, "
                f"probe={self.probe}, explore={self.explore}, rate={self.rate}, step_size={self.step_size}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asking = Asking(self.queries, self.batch_size, self.early_stop, scores=True, nearest=False)
        return asking(model, batch, threat=threat, objective=objective, key=key, walk=self._walk)

    def _walk(self, site: Site) -> Walk:
        grid = _Tiles.of(site.shape, self.tile)
        prior, x, scale = torch.zeros(grid.size, dtype=site.x.dtype), site.x, 0.0
        probe = self.probe * site.eps
        for step in count(1):
            noise = site.key.fold(f"prior {step}").noise(site.index, (grid.size,), prior.dtype)
            ways = self.explore * noise / math.sqrt(grid.size)
            pair = grid.spread(torch.stack([prior + ways, prior - ways]))
            pair = pair / site.norm(pair).clamp(min=_TINY)[:, None]
            loss = (yield Phase.SLOPE, x + probe * pair).loss
            rise = float(loss[0] - loss[1]) / (self.explore * self.probe)
            scale = max(0.9 * scale, abs(rise), _ROUNDING * float(loss.abs().max()), _TINY)
            slope = rise / scale * ways
            if site.order == math.inf:
                up, down = (
                    (1 + prior) * torch.exp(self.rate * slope),
                    (1 - prior) * torch.exp(-self.rate * slope),
                )
                prior = (up - down) / (up + down)
                way = grid.spread(prior[None])[0].sign()
            else:
                prior = prior + self.rate / 10 * slope
                way = grid.spread(prior[None])[0]
                way = way / way.norm().clamp(min=_TINY)
            x = site.within(x + self.step_size * site.eps * way)
            yield Phase.STEP, x[None]


@final
@dataclass(frozen=True, slots=True)
class _Tiles:
    """Squares of a picture, or the places of a flat row, that share one number."""

    lead: int
    height: int
    width: int
    side: int

    @classmethod
    def of(cls, shape: tuple[int, ...], side: int) -> _Tiles:
        if len(shape) < 2:
            return cls(1, 1, math.prod(shape), 1)
        return cls(math.prod(shape[:-2]), shape[-2], shape[-1], side)

    @property
    def size(self) -> int:
        return self.lead * -(-self.height // self.side) * -(-self.width // self.side)

    def spread(self, numbers: Tensor) -> Tensor:
        """`(rows, size)` numbers to `(rows, features)`."""
        rows, columns = (torch.arange(side) // self.side for side in (self.height, self.width))
        tiles = numbers.reshape(len(numbers), self.lead, int(rows[-1]) + 1, int(columns[-1]) + 1)
        return tiles[:, :, rows][..., columns].flatten(1)
