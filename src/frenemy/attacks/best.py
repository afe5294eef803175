"""Best: the best point seen for each example of a batch, and what looking cost."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from frenemy.attacks.attack import Found, Status
from frenemy.data.batch import Batch
from frenemy.errors import ThreatError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.threats.threat import Threat, radii

__all__ = ["Best", "look"]


def look(model: Model, x: Tensor, batch_size: int | None) -> Tensor:
    """Ask for the logits of all rows without gradients, `batch_size` rows at a time."""
    with torch.no_grad():
        return torch.cat([model(part) for part in torch.split(x, batch_size or max(len(x), 1))])


@final
class Best:
    """Keeps, for each row of a batch, the point to return: success comes first, then the larger loss.

    Opening it looks at every clean input once (that forward is counted): it settles the goals, finds examples that
    are already where the perturber wants them, and sets apart those without a finite answer. Where the clean input
    does not belong to the threat (a sphere), it is not a candidate.

    Raises:
        ThreatError: the set of some example is empty; the message names the first.
    """

    def __init__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, batch_size: int | None
    ) -> None:
        self.eps = radii(threat.eps, batch.x)
        empty = threat.empty(batch.x, self.eps).nonzero().flatten()
        if len(empty):
            first = int(empty[0])
            raise ThreatError(
                f"expected a point of norm {float(self.eps[first]):g} inside the box for every example, got none for "
                f"example {int(batch.index[first])}; use a smaller eps"
            )
        clean = look(model, batch.x, batch_size)
        count = len(batch)
        self.batch, self.threat, self.objective = batch, threat, objective
        self.finite = clean.isfinite().all(1)
        self.goal = objective.goal(clean, batch.y)
        candidate = threat.contains(batch.x, batch.x, self.eps) & self.finite
        self.x = batch.x.clone(memory_format=torch.contiguous_format)
        self.loss = objective.loss(clean, self.goal).to(torch.float32).masked_fill_(~candidate, -torch.inf)
        self.success = objective.success(clean, self.goal) & candidate
        self.already = self.success.clone()
        self.step = torch.full((count,), -1, device=batch.x.device).masked_fill_(self.success, 0)
        self.flat = torch.zeros_like(self.success)
        self.forwards = torch.ones_like(self.step)
        self.backwards = torch.zeros_like(self.step)

    def open(self, early_stop: bool) -> Tensor:
        """Positions of the rows still worth searching: finite, and without success if success ends the search."""
        return (self.finite & ~self.success if early_stop else self.finite).nonzero().flatten()

    def see(self, rows: Tensor, x: Tensor, loss: Tensor, success: Tensor, step: Tensor, live: Tensor) -> None:
        """Judge a point for each of `rows`; those not `live` are passed over."""
        loss = loss.to(torch.float32)
        before = self.success[rows]
        better = ((success & ~before) | ((success == before) & (loss > self.loss[rows]))) & live
        first = rows[success & ~before & live]
        self.step[first] = step[success & ~before & live]
        if bool(better.all()):
            self.x.index_copy_(0, rows, x)
            self.loss.index_copy_(0, rows, loss)
        else:
            self.x[rows[better]] = x[better]
            self.loss[rows[better]] = loss[better]
        self.success[first] = True

    def dropped(self, rows: Tensor, x: Tensor, logits: Tensor, live: Tensor) -> Tensor:
        """Say which rows cannot go on, because the answer there is not finite, and remember why.

        Where the point itself is not finite, its gradient was not: that is a gradient that leads nowhere (`flat`), and
        the run ends. Where the model answers a sound point with NaN or infinity, nothing can be said of the example.
        """
        lost = ~logits.isfinite().all(1)
        if bool(lost.any()):
            sound = x.flatten(1).isfinite().all(1)
            self.finite[rows[lost & sound & live]] = False
            self.flat[rows[lost & ~sound & live]] = True
        return lost

    def found(self) -> Found:
        """Close the search."""
        status = torch.where(self.success, Status.FOUND, Status.NOT_FOUND)
        status = status.masked_fill(self.already, Status.ALREADY)
        status = status.masked_fill(~self.finite & ~self.success, Status.NOT_FINITE)
        return Found(
            x=self.x,
            loss=self.loss,
            success=self.success,
            status=status,
            step=self.step,
            flat=self.flat,
            forwards=self.forwards,
            backwards=self.backwards,
        )
