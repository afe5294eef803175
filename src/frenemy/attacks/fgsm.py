"""FGSM: one step from the input, as long as the threat allows."""

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

__all__ = ["FGSM"]


@final
@dataclass(frozen=True, slots=True)
class FGSM:
    r"""Take one step of length eps up the gradient at the input.

    $$ x' = \Pi_S(x + \varepsilon \operatorname{steepest}(\nabla_x \ell(x))) $$

    Optimal on a linear model without a box; a weak attack on anything else, kept for comparison and for teaching.

    Args:
        batch_size: the most rows in one forward; None is all rows of the call.

    Returns:
        Found, with `x` inside the set for every row with a finite clean answer.

    Cost: two forwards (clean, judged) and one backward a row; one forward more where the clean answers cannot carry
    the gradient (`batch_size` below the batch, a sphere).
    """

    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Goodfellow, Shlens, Szegedy",
        title="Explaining and harnessing adversarial examples",
        year=2015,
        venue="ICLR",
        link="arXiv:1412.6572",
        place="Section 4",
        access=Access.GRADIENTS,
        reach=0.999,
        deviations=(
            "any norm: the step is the steepest one of the norm; the paper has Linf only",
            "returns the input itself where that is the better point",
        ),
    )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch; no random number is drawn."""
        ascent = Ascent(Fixed(1.0), 1, 1, False, True, self.batch_size)
        return ascent(model, batch, threat=threat, objective=objective, key=key)
