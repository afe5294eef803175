"""APGD: ascent that chooses the lengths of its steps itself, from how the search goes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.attacks.ascent import Ascent, Rule, Start
from frenemy.attacks.attack import Found, admit
from frenemy.attacks.best import Best
from frenemy.attacks.climb import Climb, Sift
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.linf import Linf
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat, broadcast

__all__ = ["APGD", "thrown"]

_WIDER: Final = (3.0, 2.0)
_SHARE: Final = 0.3


@final
@dataclass(frozen=True, slots=True)
class APGD:
    r"""Climb with momentum inside the threat, and halve the step wherever the climb stalls; no step size to choose.

    $$ z = \Pi(x_t + \eta \operatorname{steepest}(\nabla \ell(x_t))), \quad
       x_{t+1} = \Pi(x_t + \alpha (z - x_t) + (1 - \alpha)(x_t - x_{t-1})) $$

    The step begins at 2 eps. Checkpoints stand at `ceil(p_j steps)` with p = 0, 0.22, and on by 0.03 less each time,
    but at least by 0.06. There a row halves its step and goes back to its best point, and to the gradient found
    there, if (1) fewer than `rho` of its steps since the last checkpoint went up, or (2) it has found nothing better
    since, and nothing was halved there.

    For L1 a step of length eps spreads over the k largest coordinates of the gradient, k = features / 5 at
    first. Every 4 % of the steps k becomes 2/3 of the coordinates that the best point changes; where these became
    fewer by more than 5 %, the row goes back to its best point with a step of eps, elsewhere the step shrinks by 1.5,
    to eps / 10 at least.

    Args:
        steps: gradient steps a restart; with 0 only the start is judged.
        restarts: number of runs; each later one only concerns rows that are still open.
        rho: share in [0, 1] of the steps that must go up.
        momentum: alpha in (0, 1]; 1 is none. L1 has none.
        random_start: begin at a random point of the set; otherwise at the input itself (retracted, for a sphere).
        early_stop: a row leaves at its first success.
        batch_size: the most rows in one forward; None is all rows of the call.
        shrinking: first search balls of 3 eps and 2 eps, with 30 % of the steps each, and go on from their best points.
        parity: follow the released code where it differs from the paper, for comparison: its start; checkpoints at
            rounded distances; (1) at exactly `rho` too; (2) not at the first checkpoint; the first loss read as 0; the
            loss after going back compared with that of the point that was left; k rounded up.

    Returns:
        Found, with `x` inside the set for every row with a finite clean answer.

    Raises:
        UsageError: a setting is out of range, or a sphere is to be shrunk.

    Cost: a row takes 1 + restarts (steps + 1) forwards and restarts x steps backwards, less what early stopping saves;
    with `shrinking`, four forwards more a restart.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> found = APGD(steps=20)(
        ...     model, batch, threat=frenemy.Linf(0.3), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> found.x.shape
        torch.Size([8, 4])
    """

    steps: int = 100
    restarts: int = 1
    rho: float = 0.75
    momentum: float = 0.75
    random_start: bool = True
    early_stop: bool = True
    batch_size: int | None = None
    shrinking: bool = False
    parity: bool = False

    card: ClassVar[Card] = Card(
        authors="Croce, Hein",
        title="Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
        year=2020,
        venue="ICML",
        link="arXiv:2003.01690",
        place="Algorithm 1; for L1: Mind the box, ICML 2021, arXiv:2103.01208, Section 3",
        access=Access.GRADIENTS,
        reach=0.999,
        threats=("linf", "l2", "l1", "sphere"),
        deviations=(
            "a checkpoint is judged on arriving at its step, as in the released code; the paper takes one step more",
            "starts are uniform in the set; in the released code at its border (Linf, L2) or projected noise (L1)",
            "returns the best successful point by loss, the released code the last",
            "the input itself is a candidate wherever it belongs to the set",
            "a row leaves at its first success; the released code takes all its steps",
        ),
    )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        steps, start = self.steps, self._first
        if self.shrinking:
            if isinstance(threat, Sphere):
                raise UsageError("expected a ball for a shrinking search, got a sphere; leave shrinking off")
            steps, start = self.steps - 2 * self._early, partial(self._shrink, model, objective)
        ascent = Ascent(
            self._rule(threat, steps, self.shrinking),
            steps,
            self.restarts,
            self.random_start,
            self.early_stop,
            self.batch_size,
            start,
        )
        return ascent(model, batch, threat=threat, objective=objective, key=key)

    @property
    def _early(self) -> int:
        return min(math.ceil(_SHARE * self.steps), self.steps // 3)

    @property
    def _first(self) -> Start | None:
        return _released if self.parity and self.random_start else None

    def _rule(self, threat: Threat, steps: int, warm: bool) -> Rule:
        ball = threat.ball if isinstance(threat, Sphere) else threat
        climb = Climb(steps, self.rho, self.momentum, self.parity)
        return Sift(steps, warm, self.parity) if isinstance(ball, L1) else climb

    def _shrink(self, model: Model, objective: Objective, best: Best, rows: Tensor, draw: Key) -> Tensor:
        """Begin at the best points of wider balls, one after the other."""
        batch, eps, start = best.batch.rows(rows), best.eps[rows], self._first
        x = batch.x
        for wide in _WIDER:
            threat = best.threat.at(wide * eps)
            rule = self._rule(threat, self._early, wide < max(_WIDER))
            ascent = Ascent(rule, self._early, 1, self.random_start, False, None, start)
            found = ascent(model, batch, threat=threat, objective=objective, key=draw)
            best.forwards[rows] += found.forwards
            best.backwards[rows] += found.backwards
            x, start = found.x, partial(_resumed, found.x)
        return best.threat.retract(x, batch.x, eps)


def thrown(best: Best, rows: Tensor, noise: Tensor) -> Tensor:
    """Begin as the released code does with noise t: at `x + eps t / ||t||`, for L1 at `x + t`, brought into the set."""
    origin, eps = best.batch.x[rows], best.eps[rows]
    if not isinstance(best.threat, L1):
        length = best.threat.norm(noise)
        noise = broadcast(eps / torch.where(length > 0, length, 1), noise) * noise
    return best.threat.retract(origin + noise, origin, eps)


def _released(best: Best, rows: Tensor, draw: Key) -> Tensor:
    """Begin where the released code does, with noise of its laws."""
    index, shape, dtype = best.batch.index[rows], tuple(best.batch.x.shape[1:]), best.batch.x.dtype
    if isinstance(best.threat, Linf):
        return thrown(best, rows, 2 * draw.uniform(index, shape, dtype) - 1)
    return thrown(best, rows, draw.normal(index, shape, dtype))


def _resumed(x: Tensor, best: Best, rows: Tensor, draw: Key) -> Tensor:
    """Begin at these points, one a row of the batch, brought into the set."""
    return best.threat.retract(x[rows], best.batch.x[rows], best.eps[rows])
