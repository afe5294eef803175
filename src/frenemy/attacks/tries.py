"""Tries: the loop of searches that try out members of a finite threat, each row its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.attack import Found
from frenemy.attacks.best import Best, look
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.threats.finite import Family
from frenemy.threats.threat import Threat

__all__ = ["Tries"]


@final
@dataclass(frozen=True, slots=True)
class Tries:
    """Try the members that `choose` names for each row, one after the other, and keep the best.

    Args:
        choose: maps the `(rows,)` places of rows in their data set, and how many members there are, to the
            `(rows, tries)` numbers of the members to try, the same number of tries for every row.
        early_stop: a row leaves at its first success.
        batch_size: the most rows in one forward; None is all rows of the call.

    Raises:
        UsageError: `batch_size` is below 1; in the call: the threat has no members to try.

    Cost: 1 + tries forwards a row, less what early stopping saves and plus the few that a settled row is carried along.
    """

    choose: Callable[[Tensor, int], Tensor]
    early_stop: bool
    batch_size: int | None

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"expected batch_size to be at least 1, got {self.batch_size}")

    def __call__(self, model: Model, batch: Batch, *, threat: Threat, objective: Objective) -> Found:
        """Try out every row that is open."""
        if not isinstance(threat, Family):
            raise UsageError(
                f"expected a threat with members to try (spatial, invariances), got {type(threat).__name__}; "
                "search it with pgd"
            )
        with torch.inference_mode(False), torch.no_grad(), still(model):
            x = batch.x.clone() if batch.x.is_inference() else batch.x.detach()
            batch = Batch(x, batch.y, batch.index)
            best = Best(batch, look(model, x, self.batch_size), threat=threat, objective=objective)
            self._run(model, best, threat)
            return best.found()

    def _run(self, model: Model, best: Best, family: Family) -> None:
        tries = self.choose(best.batch.index[:1], family.count).shape[1]
        if not tries:
            return

        def start(rows: Tensor) -> State:
            numbers = self.choose(best.batch.index[rows], family.count)
            return {"x": family.member(best.batch.x[rows], numbers[:, 0]), "numbers": numbers}

        active = Active(best, best.open(self.early_stop), start, self.batch_size)
        while len(active):
            point, age = active.x, active.age
            logits = model(point)
            active.forwards += 1
            loss = best.objective.loss(logits, active.goal)
            success = best.objective.success(logits, active.goal)
            leaving = (age + 1 >= tries) | active.lost(point, logits)
            if self.early_stop:
                leaving = leaving | success
            live = active.live & ~leaving
            left = int(live.sum())
            if left:
                following = (age + 1).clamp(max=tries - 1)[:, None]
                number = active.state["numbers"].gather(1, following).squeeze(1)
                active.step(0, {"x": family.member(active.origin, number)})
            active.see(point, loss, success, age + 1)
            active.settle(live, left)
