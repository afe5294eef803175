"""MI-FGSM: steps along the gathered directions of all gradients so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.ascent import Ascent, Fixed
from frenemy.attacks.attack import Found
from frenemy.attacks.best import Best
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat, broadcast

__all__ = ["MIFGSM"]


@final
@dataclass(frozen=True, slots=True)
class MIFGSM:
    r"""Climb from the input itself along the sum of all gradients so far, each divided by its mean absolute value.

    $$ g_{t+1} = \mu g_t + \frac{\nabla_x \ell(x_t)}{\operatorname{mean} |\nabla_x \ell(x_t)|}, \quad
       x_{t+1} = \Pi_S(x_t + \alpha\varepsilon \operatorname{steepest}(g_{t+1})) $$

    Momentum keeps the direction steady, so that what fools this model more often fools another one as well.

    Args:
        steps: gradient steps; with 0 only the input is judged.
        step_size: length of a step as a share of eps; the paper has 1 / steps.
        decay: mu, 0 or more; 0 is BIM, 1 (the paper's choice) forgets nothing.
        early_stop: a row leaves at its first success. For points that are to fool other models, leave it off.
        batch_size: the most rows in one forward; None is all rows of the call.

    Returns:
        Found, with `x` inside the set for every row with a finite clean answer.

    Raises:
        UsageError: a setting is out of range.

    Cost: as BIM; steps + 1 forwards and steps backwards a row, less what early stopping saves.
    """

    steps: int = 10
    step_size: float = 0.1
    decay: float = 1.0
    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Dong, Liao, Pang, Su, Zhu, Hu, Li",
        title="Boosting adversarial attacks with momentum",
        year=2018,
        venue="CVPR",
        link="arXiv:1710.06081",
        place="Algorithm 1, eq. 6-8",
        access=Access.GRADIENTS,
        reach=0.95,
        deviations=(
            "gradients are divided by their mean, not their sum, of absolute values: all by the same factor, so the "
            "steps are the same",
            "a gradient of zero adds nothing",
            "any norm: the step is the steepest one of the norm; the paper has Linf and L2",
            "returns the best point seen, not the last iterate",
        ),
    )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch; no random number is drawn."""
        rule = _Gather(Fixed(self.step_size), self.decay)
        ascent = Ascent(rule, self.steps, 1, False, self.early_stop, self.batch_size)
        return ascent(model, batch, threat=threat, objective=objective, key=key)


@final
@dataclass(frozen=True, slots=True)
class _Gather:
    """Hand the gathered gradients of each row on to another rule."""

    rule: Fixed
    decay: float

    def __post_init__(self) -> None:
        if not 0 <= self.decay < float("inf"):
            raise UsageError(f"expected a finite decay of 0 or more, got {self.decay}; 1 is usual")

    def begin(self, best: Best, rows: Tensor, x: Tensor) -> State:
        """No gradient so far."""
        return {"gathered": torch.zeros_like(x), **self.rule.begin(best, rows, x)}

    def onward(self, active: Active, threat: Threat, gradient: Tensor, loss: Tensor) -> State:
        """Gather the gradient, and step along all of them."""
        gathered = active.state["gathered"].mul_(self.decay).add_(_levelled(gradient))
        return {"gathered": gathered, **self.rule.onward(active, threat, gathered, loss)}


def _levelled(gradient: Tensor) -> Tensor:
    """Divide each row by its mean absolute value, however small or large that is; a zero row stays zero."""
    peak = gradient.flatten(1).abs().amax(1)
    unit = gradient / broadcast(torch.where(peak > 0, peak, 1), gradient)
    mean = unit.flatten(1).abs().mean(1)
    return unit / broadcast(torch.where(mean > 0, mean, 1), gradient)
