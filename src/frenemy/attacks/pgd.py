"""PGD: projected gradient descent from random starts, the workhorse of the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from frenemy.attacks.ascent import Ascent, Fixed
from frenemy.attacks.attack import Found
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["PGD"]


@final
@dataclass(frozen=True, slots=True)
class PGD:
    r"""Climb the objective's loss inside the threat, `restarts` times, and keep the best point seen.

    $$ x_0 \sim U(S), \quad x_{t+1} = \Pi_S(x_t + \alpha\varepsilon \operatorname{steepest}(\nabla_x \ell(x_t))) $$

    Which norm, exact or largest, enemy or false friend: that is said by `threat` and `objective` in the call.

    Args:
        steps: gradient steps a restart; with 0 only the start is judged.
        step_size: length of a step as a share of eps (000 A.2 uses 1/10 for 50 steps).
        schedule: `constant`; or how the step shrinks from there to nothing over a restart, `cosine` or `linear`.
        restarts: number of runs; each later one only concerns rows that are still open.
        random_start: begin at a random point of the set; otherwise at the input itself (retracted, for a sphere).
        early_stop: a row leaves at its first success and another takes its place. Verdicts are the same without it;
            the points then are those of highest loss, which training wants.
        batch_size: the most rows in one forward; None is all rows of the call. Results do not depend on it.

    Returns:
        Found, with `x` inside the set for every row with a finite clean answer.

    Cost: a row takes 1 + restarts (steps + 1) forwards and restarts x steps backwards, less what early stopping saves.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> found = PGD(steps=10)(
        ...     model, batch, threat=frenemy.Linf(0.3), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> found.x.shape
        torch.Size([8, 4])
    """

    steps: int = 40
    step_size: float = 0.1
    schedule: str = "constant"
    restarts: int = 1
    random_start: bool = True
    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Madry, Makelov, Schmidt, Tsipras, Vladu",
        title="Towards deep learning models resistant to adversarial attacks",
        year=2018,
        venue="ICLR",
        link="arXiv:1706.06083",
        place="Section 2.1",
        access=Access.GRADIENTS,
        reach=0.95,
        deviations=(
            "returns the best point seen, not the last iterate",
            "judges the point after the last step too",
            "the input itself is a candidate wherever it belongs to the set",
        ),
    )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        ascent = Ascent(
            Fixed(self.step_size, self.schedule, self.steps),
            self.steps,
            self.restarts,
            self.random_start,
            self.early_stop,
            self.batch_size,
        )
        return ascent(model, batch, threat=threat, objective=objective, key=key)
