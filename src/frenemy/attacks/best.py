"""Best: the best point seen for each example of a batch, and what looking cost."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from frenemy.attacks.attack import Books, Found, Status
from frenemy.data.batch import Batch
from frenemy.errors import ThreatError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import finite
from frenemy.threats.threat import Threat, radii

__all__ = ["Best", "look"]


def look(model: Model, x: Tensor, batch_size: int | None) -> Tensor:
    """Ask for the logits of all rows without gradients, `batch_size` rows at a time."""
    with torch.no_grad():
        return torch.cat([model(part) for part in torch.split(x, batch_size or max(len(x), 1))])


@final
class Best:
    """Keeps, for each row of a batch, the point to return: success comes first, then the higher rank.

    The rank is the loss, unless a search says otherwise.

    The clean answers settle the goals, show which examples are already where the perturber wants them, and set apart
    those without a finite answer; that one forward is counted. Where the clean input does not belong to the threat (a
    sphere), it is not a candidate.

    Args:
        clean: `(batch, classes)` logits of the inputs themselves.

    Attributes:
        at_home: whether every clean input belongs to its set.
        cut: rows whose budget ended before there was anything to keep; the search says which.

    Raises:
        ThreatError: the set of some example is empty; the message names the first.
    """

    def __init__(self, batch: Batch, clean: Tensor, *, threat: Threat, objective: Objective) -> None:
        self.eps = radii(threat.eps, batch.x)
        member = threat.contains(batch.x, batch.x, self.eps)
        self.at_home = bool(member.all())
        if not self.at_home:
            _nowhere_empty(threat, batch, self.eps)
        count = len(batch)
        self.batch, self.threat, self.objective = batch, threat, objective
        self.finite = finite(clean)
        self.goal = objective.goal(clean, batch.y)
        candidate = member & self.finite
        self.x = batch.x
        self.loss = objective.loss(clean, self.goal).to(torch.float32).masked_fill_(~candidate, -torch.inf)
        self.rank = self.loss.clone()
        self.success = objective.success(clean, self.goal) & candidate
        self.already = self.success.clone()
        self.step = torch.full((count,), -1, device=batch.x.device).masked_fill_(self.success, 0)
        self.flat, self.cut = torch.zeros_like(self.success), torch.zeros_like(self.success)
        self.forwards = torch.ones_like(self.step)
        self.backwards = torch.zeros_like(self.step)

    def open(self, early_stop: bool) -> Tensor:
        """Positions of the rows still worth searching: finite, and without success if success ends the search."""
        return (self.finite & ~self.success if early_stop else self.finite).nonzero().flatten()

    def keep(
        self,
        rows: Tensor,
        x: Tensor,
        loss: Tensor,
        rank: Tensor,
        success: Tensor,
        step: Tensor,
        forwards: int,
        backwards: int,
    ) -> None:
        """Take back the best points of `rows`, each of which went so often through the model, and back."""
        if not len(rows):
            return
        if len(rows) == len(self.x):
            self.x = x
        else:
            self.x = (
                self.x.index_copy(0, rows, x) if self.x is self.batch.x else self.x.index_copy_(0, rows, x)
            )
        self.loss[rows], self.rank[rows] = loss, rank
        self.success[rows], self.step[rows] = success, step
        self.forwards[rows] += forwards
        self.backwards[rows] += backwards

    def found(self, books: Books | None = None) -> Found:
        """Close the search."""
        status = torch.where(self.success, Status.FOUND, Status.NOT_FOUND)
        status = status.masked_fill(self.cut & ~self.success, Status.OUT_OF_BUDGET)
        status = status.masked_fill(self.already, Status.ALREADY)
        status = status.masked_fill(~self.finite & ~self.success, Status.NOT_FINITE)
        own = self.x is self.batch.x or self.x.stride() != self.batch.x.stride()
        return Found(
            x=torch.empty_like(self.batch.x).copy_(self.x) if own else self.x,
            loss=self.loss,
            success=self.success,
            status=status,
            step=self.step,
            flat=self.flat,
            forwards=self.forwards,
            backwards=self.backwards,
            books=books,
        )


def _nowhere_empty(threat: Threat, batch: Batch, eps: Tensor) -> None:
    empty = threat.empty(batch.x, eps).nonzero().flatten()
    if len(empty):
        first = int(empty[0])
        raise ThreatError(
            f"expected a point of norm {float(eps[first]):g} inside the box for every example, got none for "
            f"example {int(batch.index[first])}; use a smaller eps"
        )
