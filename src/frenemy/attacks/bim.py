"""BIM: the basic iterative method, ascent from the input itself."""

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

__all__ = ["BIM"]


@final
@dataclass(frozen=True, slots=True)
class BIM:
    r"""Climb from the input itself; the same answer every time, whatever the key.

    $$ x_0 = x, \quad x_{t+1} = \Pi_S(x_t + \alpha\varepsilon \operatorname{steepest}(\nabla_x \ell(x_t))) $$

    Args:
        steps: gradient steps; with 0 only the input is judged.
        step_size: length of a step as a share of eps.
        early_stop: a row leaves at its first success.
        batch_size: the most rows in one forward; None is all rows of the call.

    Returns:
        Found, with `x` inside the set for every row with a finite clean answer.

    Cost: a row takes steps + 1 forwards and steps backwards, less what early stopping saves; one forward more where
    the clean answers cannot carry the first gradient (`batch_size` below the batch, a sphere, no steps).
    """

    steps: int = 40
    step_size: float = 0.1
    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Kurakin, Goodfellow, Bengio",
        title="Adversarial examples in the physical world",
        year=2016,
        link="arXiv:1607.02533",
        place="Section 2.2",
        access=Access.GRADIENTS,
        reach=0.95,
        deviations=(
            "any norm; the paper has Linf only",
            "the paper moves one grey level a step, min(4 eps, 1.25 eps) times; here both are settings",
            "returns the best point seen, not the last iterate",
        ),
    )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch; no random number is drawn."""
        ascent = Ascent(Fixed(self.step_size), self.steps, 1, False, self.early_stop, self.batch_size)
        return ascent(model, batch, threat=threat, objective=objective, key=key)
