"""Active: the rows in the forward pass; settled ones leave, and open ones from the queue take their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import torch
from torch import Tensor

from frenemy.attacks.best import Best
from frenemy.objectives.surrogates import finite

__all__ = ["Active"]

_WASTE: Final = 0.125
"""Settled rows are carried along until they are this share of the batch: moving tensors costs more than they do."""


@final
class Active:
    """A working set of at most `batch_size` rows, with all that a projected ascent needs of them.

    The best points of the working rows are kept here, in their order, and go back to `best` when the set changes.

    Args:
        best: the search the rows belong to.
        queue: `(open,)` positions in the batch, in the order in which they are taken.
        start: maps positions to starting points; asked once for each row, when it enters.
        batch_size: the most rows in one forward; None is all of them.

    Attributes:
        rows: positions of the working rows in the batch.
        x, origin, goal, eps: their current point, clean input, goal and radius.
        age: how many steps each has taken.
        live: False for a row that is settled and still carried along.
        fresh: whether rows have just entered.
        forwards, backwards: how often these rows went through the model, and back, since the set last changed.
    """

    rows: Tensor
    x: Tensor
    origin: Tensor
    goal: Tensor
    eps: Tensor
    age: Tensor
    live: Tensor
    fresh: bool
    forwards: int
    backwards: int
    _x: Tensor
    _loss: Tensor
    _success: Tensor
    _step: Tensor

    def __init__(
        self, best: Best, queue: Tensor, start: Callable[[Tensor], Tensor], batch_size: int | None
    ) -> None:
        self._best, self._start, self._queue = best, start, queue
        self._size = min(batch_size or len(queue), len(queue))
        self._hold(queue[:0], best.batch.x[:0], queue[:0])
        self._compact()

    def __len__(self) -> int:
        return len(self.rows)

    def lost(self, x: Tensor, logits: Tensor) -> Tensor:
        """Say which rows cannot go on because the answer there is not finite, and remember why.

        Where the point itself is not finite, its gradient was not: that is a gradient that leads nowhere (`flat`), and
        the run ends. Where the model answers a sound point with NaN or infinity, nothing can be said of the example.
        """
        lost = ~finite(logits)
        if bool(lost.any()):
            sound = x.flatten(1).isfinite().all(1)
            self._best.finite[self.rows[lost & sound & self.live]] = False
            self._best.flat[self.rows[lost & ~sound & self.live]] = True
        return lost

    def see(self, x: Tensor, loss: Tensor, success: Tensor, step: Tensor) -> None:
        """Judge a point of each row; `x` is taken over, so the caller has no further use for it."""
        loss = loss.to(torch.float32)
        first = success & ~self._success & self.live
        better = first | ((loss > self._loss) & (success == self._success) & self.live)
        kept = (~better).nonzero().flatten()
        if len(kept):
            x[kept] = self._x[kept]
        self._x, self._loss = x, torch.where(better, loss, self._loss)
        if bool(first.any()):
            self._success = self._success | first
            self._step = torch.where(first, step, self._step)

    def step(self, x: Tensor) -> None:
        """Put every row at its next point."""
        self.x, self.age, self.fresh = x, self.age + 1, False
        self.backwards += 1

    def settle(self, live: Tensor, left: int) -> None:
        """Keep the `left` rows that are `live`; the others are dropped once enough have gone to make it worth while."""
        self.live = live
        if left == 0 or len(self) - left > _WASTE * len(self):
            self._compact()

    def _compact(self) -> None:
        """Give the best points back, drop the settled rows and fill up from the queue."""
        self._best.keep(
            self.rows, self._x, self._loss, self._success, self._step, self.forwards, self.backwards
        )
        rows, x, age = self.rows[self.live], self.x[self.live], self.age[self.live]
        entering, self._queue = self._queue.tensor_split([self._size - len(rows)])
        if len(entering):
            rows, x = torch.cat([rows, entering]), torch.cat([x, self._start(entering)])
            age = torch.cat([age, torch.zeros_like(entering)])
        self._hold(rows, x, age)
        self.fresh = len(entering) > 0

    def _hold(self, rows: Tensor, x: Tensor, age: Tensor) -> None:
        """Gather everything the rows need."""
        best = self._best
        whole = torch.equal(rows, torch.arange(len(best.batch), device=rows.device))
        self.rows, self.x, self.age = rows, x, age
        self.origin = best.batch.x if whole else best.batch.x[rows]
        self.goal, self.eps = best.goal[rows], best.eps[rows]
        self.live, self.fresh = torch.ones_like(rows, dtype=torch.bool), False
        self._x = best.x if whole else best.x[rows]
        self._loss, self._success, self._step = best.loss[rows], best.success[rows], best.step[rows]
        self.forwards = self.backwards = 0
