"""Active: the rows in the forward pass; settled ones leave, and open ones from the queue take their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import torch
from torch import Tensor

from frenemy.attacks.best import Best

__all__ = ["Active"]

_WASTE: Final = 0.125
"""Settled rows are carried along until they are this share of the batch: moving tensors costs more than they do."""


@final
class Active:
    """A working set of at most `batch_size` rows, with all that a projected ascent needs of them.

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
    """

    def __init__(
        self, best: Best, queue: Tensor, start: Callable[[Tensor], Tensor], batch_size: int | None
    ) -> None:
        self._best, self._start, self._queue = best, start, queue
        self._size = min(batch_size or len(queue), len(queue))
        nothing = queue[:0]
        self._hold(nothing, best.batch.x[:0], nothing)
        self.compact()

    def __len__(self) -> int:
        return len(self.rows)

    def settle(self, leaving: Tensor) -> None:
        """Let rows leave: they are dropped once enough have gone to make it worth while."""
        self.live &= ~leaving
        gone = len(self) - int(self.live.sum())
        if gone == len(self) or gone > _WASTE * len(self):
            self.compact()

    def compact(self) -> None:
        """Drop the settled rows and fill up from the queue."""
        rows, x, age = self.rows[self.live], self.x[self.live], self.age[self.live]
        entering, self._queue = self._queue.tensor_split([self._size - len(rows)])
        if len(entering):
            rows, x = torch.cat([rows, entering]), torch.cat([x, self._start(entering)])
            age = torch.cat([age, torch.zeros_like(entering)])
        self._hold(rows, x, age)
        self.fresh = len(entering) > 0

    def _hold(self, rows: Tensor, x: Tensor, age: Tensor) -> None:
        batch = self._best.batch
        whole = torch.equal(rows, torch.arange(len(batch), device=rows.device))
        self.rows, self.x, self.age = rows, x, age
        self.origin = batch.x if whole else batch.x[rows]
        self.goal, self.eps = self._best.goal[rows], self._best.eps[rows]
        self.live, self.fresh = torch.ones_like(rows, dtype=torch.bool), False
