"""ZOO: Carlini and Wagner's search with slopes from finite differences, some coordinates at a time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.attacks.asking import Asking
from frenemy.attacks.attack import Found, Phase, admit
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Walk
from frenemy.attacks.waves import smooth
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["ZOO"]

_FIRST_WEIGHT: Final = 1.0
_PATIENCE: Final = 10
"""Steps in a row that succeed, or fail, before the weight of the loss changes."""
_TINY: Final = 1e-30


@final
@dataclass(frozen=True, slots=True)
class ZOO:
    r"""Weigh the distance against the loss, and go down coordinate by coordinate with finite differences.

    $$ \min_\delta |\delta|_2^2 - c \, \min(\ell(x + \delta), 0), \quad
       \frac{\partial \ell}{\partial x_i} \approx \frac{\ell(x + h e_i) - \ell(x - h e_i)}{2 h} $$

    with steps of Adam on the chosen coordinates; `l` is the loss of the objective, whose margin passes 0 at success.
    Or,
    with `random`, along random directions instead of coordinates (AutoZOOM).

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        coordinates: probed before each step, at least 1; each costs two questions.
        probe: `h` as a share of the box, or of the largest coordinate where the box has no end; above 0.
        step_size: rate of Adam as a share of the same; above 0.
        important: choose coordinates in proportion to how far they have moved, once some have; else evenly.
        waves: with `random`, share of the lowest frequencies that directions are made of, in (0, 1].
        random: probe random directions, as many as `coordinates`.
        early_stop: a row leaves at its first success inside the threat, near or not.
        batch_size: the most rows in one forward; None is 1024. Results do not depend on it.

    Returns:
        Found, with `x` the nearest success inside the threat for each row that has one.

    Raises:
        UsageError: a setting is out of range, or the threat is not among those on the card.

    Cost: one forward a query a row, exactly `queries`; 2 coordinates + 1 a step; no backward.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> found = ZOO(queries=50)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 4000
    coordinates: int = 16
    probe: float = 0.01
    step_size: float = 0.02
    important: bool = True
    waves: float = 1.0
    random: bool = False
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Chen, Zhang, Sharma, Yi, Hsieh",
        title="ZOO: Zeroth Order Optimization Based Black-box Attacks to Deep Neural Networks without Training "
        "Substitute Models",
        year=2017,
        venue="AISec",
        link="arXiv:1708.03999",
        place="Algorithm 2; AutoZOOM: Tu et al. 2019, arXiv:1805.11770, Section 3.1",
        deviations=(
            "c doubles after ten steps without success and halves after ten with it, instead of nine searches one"
            " after the other, which no budget allows",
            "the paper's logarithm of probabilities is the objective's loss here: the margin of logits, or of "
            "log-probabilities",
            "its space of smaller pictures is made of low frequencies; AutoZOOM's autoencoder is left out",
            "the probes are 1 % of the box, the paper's 0.01 %: differences of float32 logits need room",
        ),
        access=Access.SCORES,
        threats=("l2",),
    )

    def __post_init__(self) -> None:
        if not (self.coordinates >= 1 and self.probe > 0 and self.step_size > 0 and 0 < self.waves <= 1):
            raise UsageError(
                f"expected coordinates >= 1, probe and step_size above 0, and 0 < waves <= 1, got "
                f"coordinates={self.coordinates}, probe={self.probe}, step_size={self.step_size}, "
                f"waves={self.waves}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asking = Asking(self.queries, self.batch_size, self.early_stop, scores=True, nearest=True)
        return asking(model, batch, threat=threat, objective=objective, key=key, walk=self._walk)

    def _walk(self, site: Site) -> Walk:
        span = float((site.high - site.low).max()) if site.bounded else max(float(site.x.abs().max()), 1.0)
        x, c, run = site.x, _FIRST_WEIGHT, 0
        mean, square, times = torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x)
        won = False
        for step in count(1):
            change = x - site.x
            ways = self._ways(site, change, step)
            h = self.probe * span
            answer = yield Phase.SLOPE, torch.cat([x + h * ways, x - h * ways])
            rises = (answer.loss[: len(ways)] - answer.loss[len(ways) :]) / (2 * h)
            slope = 2 * change - (0.0 if won else c) * (rises @ ways)
            moved = (ways != 0).any(0)
            times[moved] += 1
            mean[moved] = 0.9 * mean[moved] + 0.1 * slope[moved]
            square[moved] = 0.999 * square[moved] + 0.001 * slope[moved].square()
            pace = (mean / (1 - 0.9**times)) / (square / (1 - 0.999**times)).sqrt().clamp(min=_TINY)
            x = site.hold(torch.where(moved, x - self.step_size * span * pace, x))
            won = bool((yield Phase.STEP, x[None]).won.all())
            run = run + 1 if won and run >= 0 else run - 1 if not won and run <= 0 else (1 if won else -1)
            if abs(run) == _PATIENCE:
                c, run = (c / 2 if won else c * 2), 0

    def _ways(self, site: Site, change: Tensor, step: int) -> Tensor:
        """`(coordinates, features)` directions to probe: unit vectors, or random ones of about the same length."""
        features = len(site.x)
        if self.random:
            ways = smooth(site, f"slope {step}", self.coordinates, self.waves)
            return torch.nn.functional.normalize(ways, dim=1)
        weight = torch.ones_like(site.x)
        if self.important and bool(change.any()):
            weight = change.abs() + change.abs().mean()
        race = -torch.log(torch.special.ndtr(site.noise(f"slope {step}", 1)[0]).clamp(min=_TINY)) / weight
        chosen = race.topk(min(self.coordinates, features), largest=False).indices
        return torch.zeros(len(chosen), features, dtype=site.x.dtype).scatter_(1, chosen[:, None], 1.0)
