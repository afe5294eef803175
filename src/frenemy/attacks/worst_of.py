"""WorstOf: several attacks as one, each on the rows that the ones before left open."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, cast, final

import torch
from torch import Tensor

from frenemy.attacks.attack import Attack, Found, Status, admit
from frenemy.attacks.confirmed import confirmed
from frenemy.attacks.merging import copied, merge, sizes_of, wish_of
from frenemy.card import Access, Card
from frenemy.catalog import find
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["WorstOf"]


def _usual() -> tuple[Attack, ...]:
    """PGD and BIM, as they come."""
    return tuple(find("attacks", name).load()() for name in ("pgd", "bim"))


@final
@dataclass(frozen=True, slots=True)
class WorstOf:
    r"""Run attack after attack on the rows still open, and give for each row the best point of all.

    $$ x' = \arg\max_{a} (\text{success}(x_a), \ell(x_a)) $$

    Success comes before loss. Each part draws from its own key, folded by what it is and not by where it stands, so
    the verdicts do not depend on the order of the parts; without `early_stop` the points do not either.

    Where `model` is a quick way to run another (Fast, Lowered), a success of a part that the model itself does not
    confirm is searched for again the next way, by that part alone.

    Args:
        attacks: the parts, at least one, in the order in which they run; by default PGD and BIM.
        early_stop: a row that fell is not tried by later parts. What a part does within itself is its own setting.
        batch_size: the most rows in one forward, handed to every part that has such a setting; None leaves theirs.

    Returns:
        Found; `step` is that of the part that succeeded, forwards and backwards are those of all parts, and a row is
        `flat` if every part that tried it was blind.

    Raises:
        UsageError: there is no part, one is no attack, or the threat is not among those that a part can search.

    Cost: the sum of the parts, each of which asks for the clean answers of the rows it tries.

    Example:
        >>> from frenemy.attacks.fgsm import FGSM
        >>> from frenemy.attacks.pgd import PGD
        >>> [type(part).__name__ for part in WorstOf((FGSM(), PGD(steps=5))).attacks]
        ['FGSM', 'PGD']
    """

    attacks: tuple[Attack, ...] = field(default_factory=_usual)
    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Carlini, Athalye, Papernot, Brendel, Rauber, Tsipras, Goodfellow, Madry, Kurakin",
        title="On evaluating adversarial robustness",
        year=2019,
        link="arXiv:1902.06705",
        place="Section 3.2 (the worst over attacks for each input, not the mean)",
        access=Access.GRADIENTS,
        reach=0.95,
        deviations=("the access it needs and the threats it searches are those of its parts",),
    )

    def __post_init__(self) -> None:
        if not self.attacks or not all(
            isinstance(part, Attack) and not isinstance(part, type) for part in self.attacks
        ):
            raise UsageError(
                f"expected attacks to be one attack or more, got {self.attacks!r}; write WorstOf((PGD(), FGSM()))"
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"expected batch_size to be at least 1, got {self.batch_size}; None is all rows")

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch with the first part, and the open ones with the others."""
        for part in self.attacks:
            admit(part, threat)
        ranks = sorted(repr(part) for part in self.attacks)
        best, owner = None, torch.zeros(len(batch), dtype=torch.int64, device=batch.x.device)
        for part in self.attacks:
            name, rows = repr(part), torch.arange(len(batch), device=batch.x.device)
            if best is not None:
                closed = best.status == Status.NOT_FINITE
                rows = rows[~(closed | best.success) if self.early_stop else ~closed]
                if not len(rows):
                    continue
            draw = key.fold("worst of").fold(name)
            search = partial(self._part, part, batch, threat, objective, draw)
            found = confirmed(search, model, batch, rows, objective, self.batch_size)
            if best is None:
                best = copied(found)
                owner += ranks.index(name)
            else:
                merge(best, owner, rows, found, ranks.index(name), closed=self.early_stop)
        return cast(Found, best)

    def _part(
        self,
        part: Attack,
        batch: Batch,
        threat: Threat,
        objective: Objective,
        key: Key,
        model: Model,
        rows: Tensor,
    ) -> Found:
        """Run one part on some rows."""
        if self.batch_size is not None and hasattr(part, "batch_size"):
            part = cast(Attack, replace(cast(Any, part), batch_size=self.batch_size))
        if len(rows) == len(batch):
            return part(model, batch, threat=threat, objective=objective, key=key)
        return part(
            model,
            batch.rows(rows),
            threat=sizes_of(threat, rows),
            objective=wish_of(objective, rows, len(batch)),
            key=key,
        )
