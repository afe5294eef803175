"""Aimed: an attack that climbs another loss than the one it is judged by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, cast, final

import torch
from torch import Tensor

from frenemy.attacks.active import room
from frenemy.attacks.attack import Attack, Found, Status, admit
from frenemy.attacks.best import look
from frenemy.attacks.merging import copied, merge, sizes_of, wish_of
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
from frenemy.threats.threat import Threat, radii

__all__ = ["Aimed"]

_ROOM: Final = 64
"""Rows that a CPU is well used by; fewer are searched towards several classes at a time."""


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
            objectives that want to leave a class. Several ranks are tried in turn, the first alone, and then as many at
            a time as make up 64 rows, since a few rows make poor use of a processor; what succeeds first in the order
            of the ranks is kept, or else the highest loss.
        batch_size: the most rows in one forward, handed to the attack if it has such a setting.

    Returns:
        Found of the attack, with `loss` that of the objective in the call.

    Raises:
        UsageError: the loss is unknown, a rank negative or not among the classes, or the objective has no surrogate.

    Cost: that of the attack, and two forwards a row, for each rank.

    Example:
        >>> from frenemy.attacks.pgd import PGD
        >>> Aimed(PGD(steps=5), "dlr").loss
        'dlr'
    """

    attack: Attack = field(default_factory=_usual)
    loss: str = "margin"
    rank: int | tuple[int, ...] = 0
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
        least = 0 if isinstance(self.rank, int) else 1
        sized = self.batch_size is None or self.batch_size >= 1
        if not self._ranks or min(self._ranks) < least or not sized:
            raise UsageError(
                "expected a rank of 0 or more, or several of 1 or more, and batch_size >= 1, got "
                f"rank={self.rank}, batch_size={self.batch_size}"
            )

    @property
    def _ranks(self) -> tuple[int, ...]:
        return (self.rank,) if isinstance(self.rank, int) else self.rank

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch, and judge what comes back."""
        admit(self.attack, threat)
        radii(threat.eps, batch.x)
        every = torch.arange(len(batch), device=batch.x.device)
        first, *later = self._ranks[:1] if objective.towards else self._ranks
        best = self._search(model, batch, every, (first,), threat, objective, key)
        if not later:
            return best
        best, owner = copied(best), torch.full_like(every, first)
        stops = bool(getattr(self.attack, "early_stop", True))
        while later:
            finite = best.status != Status.NOT_FINITE
            rows = (finite & ~best.success if stops else finite).nonzero().flatten()
            if not len(rows):
                break
            count = max(1, room(batch.x, _ROOM) // len(rows))
            ranks, later = later[:count], later[count:]
            found = self._search(model, batch, rows, tuple(ranks), threat, objective, key)
            for place, rank in enumerate(ranks):
                part = copied(found, slice(place * len(rows), (place + 1) * len(rows)))
                merge(best, owner, rows, part, rank, closed=stops)
        return best

    def _search(
        self,
        model: Model,
        batch: Batch,
        rows: Tensor,
        ranks: tuple[int, ...],
        threat: Threat,
        objective: Objective,
        key: Key,
    ) -> Found:
        """Search some rows towards each of some ranks: all rows for the first rank, then all for the next."""
        attack: Any = self.attack
        if self.batch_size is not None and hasattr(attack, "batch_size"):
            attack = replace(attack, batch_size=self.batch_size)
        which = rows.repeat(len(ranks))
        rank = torch.tensor(ranks, device=rows.device).repeat_interleave(len(rows))
        part = batch if len(ranks) == 1 and len(rows) == len(batch) else batch.rows(which)
        threat, objective = sizes_of(threat, which), wish_of(objective, which, len(batch))
        if len(self._ranks) > 1:
            part = replace(part, index=part.index * (1 + max(self._ranks)) + rank)
        found: Found = attack(model, part, threat=threat, objective=self._aim(objective, rank), key=key)
        with torch.inference_mode(False), still(model):
            goal = objective.goal(look(model, part.x, self.batch_size), part.y)
            loss = objective.loss(look(model, found.x, self.batch_size), goal)
        return replace(found, loss=loss.to(torch.float32), forwards=found.forwards + 2)

    def _aim(self, objective: Objective, rank: Tensor) -> Objective:
        if self.rank and not objective.towards:
            return Steered(rank, own=isinstance(objective, Reversal))
        if not hasattr(objective, "surrogate"):
            raise UsageError(
                f"expected an objective with a surrogate to replace, got {type(objective).__name__}; "
                "use the attack itself"
            )
        return cast(Objective, replace(cast(Any, objective), surrogate=surrogate(self.loss)))
