"""SPSA: a slope estimated by probes of random signs, and steps of Adam."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Final, final

import torch

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

__all__ = ["SPSA"]

_TINY: Final = 1e-30


@final
@dataclass(frozen=True, slots=True)
class SPSA:
    r"""Step along the moments of a slope that is estimated by simultaneous perturbation.

    $$ \hat g = \frac{1}{n} \sum_{i=1}^n \frac{\ell(x + \delta v_i) - \ell(x - \delta v_i)}{2 \delta} v_i, \quad
       v_i \in \{-1, 1\}^d $$

    with Adam's step on the estimate, brought back into the set.

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        pairs: `n`, at least 1; each costs two questions.
        probe: length of a probe, `delta v`, as a share of eps; above 0.
        step_size: rate of Adam as a share of eps a coordinate; above 0.
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
        >>> found = SPSA(queries=50)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 5000
    pairs: int = 25
    probe: float = 0.1
    step_size: float = 0.1
    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Uesato, O'Donoghue, van den Oord, Kohli",
        title="Adversarial Risk and the Dangers of Evaluating Against Weak Attacks",
        year=2018,
        venue="ICML",
        link="arXiv:1802.05666",
        place="Algorithm 1",
        deviations=(
            "25 pairs, and probes and steps that scale with eps; the paper has 128 to 8192 pairs, and 0.01 for both",
            "every step is asked about, and the best point kept",
        ),
        access=Access.SCORES,
        reach=0.5,
        threats=("l2", "linf"),
    )

    def __post_init__(self) -> None:
        if not (self.pairs >= 1 and self.probe > 0 and self.step_size > 0):
            raise UsageError(
                f"expected pairs >= 1, and probe and step_size above 0, got pairs={self.pairs}, "
                f"probe={self.probe}, step_size={self.step_size}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asking = Asking(self.queries, self.batch_size, self.early_stop, scores=True, nearest=False)
        return asking(model, batch, threat=threat, objective=objective, key=key, walk=self._walk)

    def _walk(self, site: Site) -> Walk:
        unit = site.eps / len(site.x) ** (1 / site.order)
        x, mean, square = site.x, torch.zeros_like(site.x), torch.zeros_like(site.x)
        for step in count(1):
            signs = torch.where(site.noise(f"slope {step}", self.pairs) < 0, -1.0, 1.0).to(x.dtype)
            probe = self.probe * unit
            answer = yield Phase.SLOPE, torch.cat([x + probe * signs, x - probe * signs])
            above, below = answer.loss[: self.pairs], answer.loss[self.pairs :]
            slope = (above - below) @ signs / (2 * probe * self.pairs)
            mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope.square()
            pace = (mean / (1 - 0.9**step)) / (square / (1 - 0.99**step)).sqrt().clamp(min=_TINY)
            x = site.within(x + self.step_size * unit * pace)
            yield Phase.STEP, x[None]
