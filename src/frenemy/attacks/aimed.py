"""Aimed: an attack that climbs another loss than the one it is judged by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast, final

import torch

from frenemy.attacks.attack import Attack, Found, admit
from frenemy.attacks.best import look
from frenemy.card import Access, Card
from frenemy.catalog import find
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.objectives.reversal import Reversal
from frenemy.objectives.steered import Steered
from frenemy.objectives.surrogates import surrogate
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["Aimed"]


def _usual() -> Attack:
    attack: Attack = find("attacks", "pgd").load()()
    return attack


@final
@dataclass(frozen=True, slots=True)
class Aimed:
    r"""Search with one loss, and report by another: what succeeds is the same, the slope that is followed is not.

    Cross-entropy saturates, the margin does not, the difference of logits ratio knows no scale, and a road to one class
    leads round walls that close the road to any: an ensemble tries them all, and must compare what they bring.

    Args:
        attack: what searches; by default PGD.
        loss: the surrogate it climbs (`ce`, `dlr`, `kl`, `margin`).
        rank: above 0, climb instead towards the class of that rank on the clean answer (`Steered`); only for
            objectives that want to leave a class.
        batch_size: the most rows in one forward, handed to the attack if it has such a setting.

    Returns:
        Found of the attack, with `loss` that of the objective in the call.

    Raises:
        UsageError: the loss is unknown, the rank negative or not among the classes, or the objective has no surrogate.

    Cost: that of the attack, and one forward a row.

    Example:
        >>> from frenemy.attacks.pgd import PGD
        >>> Aimed(PGD(steps=5), "dlr").loss
        'dlr'
    """

    attack: Attack = field(default_factory=_usual)
    loss: str = "margin"
    rank: int = 0
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Carlini, Wagner",
        title="Towards evaluating the robustness of neural networks",
        year=2017,
        venue="IEEE S&P",
        link="arXiv:1608.04644",
        place="Section V.A (the choice of the objective function)",
        access=Access.GRADIENTS,
        reach=0.95,
        deviations=("the access it needs and the threats it searches are those of its attack",),
    )

    def __post_init__(self) -> None:
        surrogate(self.loss)
        if self.rank < 0 or (self.batch_size is not None and self.batch_size < 1):
            raise UsageError(
                f"expected rank >= 0 and batch_size >= 1, got rank={self.rank}, batch_size={self.batch_size}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch, and judge what comes back."""
        admit(self.attack, threat)
        attack: Any = self.attack
        if self.batch_size is not None and hasattr(attack, "batch_size"):
            attack = replace(attack, batch_size=self.batch_size)
        found: Found = attack(model, batch, threat=threat, objective=self._aim(objective), key=key)
        with torch.inference_mode(False), still(model):
            goal = objective.goal(look(model, batch.x, self.batch_size), batch.y)
            loss = objective.loss(look(model, found.x, self.batch_size), goal)
        return replace(found, loss=loss.to(torch.float32), forwards=found.forwards + 2)

    def _aim(self, objective: Objective) -> Objective:
        if self.rank and not objective.towards:
            return Steered(self.rank, own=isinstance(objective, Reversal))
        if not hasattr(objective, "surrogate"):
            raise UsageError(
                f"expected an objective with a surrogate to replace, got {type(objective).__name__}; "
                "use the attack itself"
            )
        return cast(Objective, replace(cast(Any, objective), surrogate=surrogate(self.loss)))
