"""Active: the rows in the forward pass; settled ones leave, and open ones from the queue take their place.

Every iterative attack runs on it, so each of its forwards is full of open rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, final

import torch
from torch import Tensor

from frenemy.attacks.best import Best
from frenemy.objectives.surrogates import finite
from frenemy.threats.threat import broadcast

__all__ = ["Active", "State", "room"]

_WIDE: Final = 256
"""Rows that any device but a CPU takes in hardly more time than one."""
_WASTE: Final = 0.125
"""Settled rows are carried along until they are this share of the batch: moving tensors costs more than they do."""


State: TypeAlias = dict[str, Tensor]
"""What a search carries for each row, by name; every tensor has one entry a row."""


def room(x: Tensor, here: int) -> int:
    """How many rows a forward should have if more can be asked at a time: `here` on a CPU.

    Elsewhere many rows take the time of few: as many as the batch `x` has, and 256 at least.
    """
    return here if x.device.type == "cpu" else max(len(x), _WIDE)


@final
class Active:
    """A working set of at most `batch_size` rows, with all that a search needs of them.

    The best points of the working rows are kept here, in their order, and go back to `best` when the set changes.

    Args:
        best: the search the rows belong to.
        queue: `(open,)` positions in the batch, in the order in which they are taken.
        start: maps positions to the state in which these rows begin, `x` among it; asked once for each row, when it
            enters.
        batch_size: the most rows in one forward; None is all of them.

    Attributes:
        rows: positions of the working rows in the batch.
        state: what the search carries for each: its current point `x`, and whatever else `start` gave.
        origin, goal, eps: their clean input, goal and radius.
        age: how many steps each has taken.
        live: False for a row that is settled and still carried along.
        fresh: whether rows have just entered.
        forwards, backwards: how often these rows went through the model, and back, since the set last changed; the
            search adds its forwards, and `step` its backwards.
    """

    rows: Tensor
    state: State
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
    _rank: Tensor
    _success: Tensor
    _step: Tensor
    _nobody: Tensor

    def __init__(
        self, best: Best, queue: Tensor, start: Callable[[Tensor], State], batch_size: int | None
    ) -> None:
        self._best, self._start, self._queue = best, start, queue
        self._size = min(batch_size or len(queue), len(queue))
        self._hold(queue[:0], {}, queue[:0])
        self._compact()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def x(self) -> Tensor:
        """The current point of each row."""
        return self.state["x"]

    @property
    def reached(self) -> Tensor:
        """Whether a success of each row was seen before its current point."""
        return self._success

    def lost(self, x: Tensor, logits: Tensor) -> Tensor:
        """Say which rows cannot go on because the answer there is not finite, and remember why.

        Where the point itself is not finite, its gradient was not: that is a gradient that leads nowhere (`flat`), and
        the run ends. Where the model answers a sound point with NaN or infinity, nothing can be said of the example.
        """
        if bool((logits - logits).sum() == 0):  # all of them are finite
            return self._nobody
        lost = ~finite(logits)
        sound = x.flatten(1).isfinite().all(1)
        self._best.finite[self.rows[lost & sound & self.live]] = False
        self._best.flat[self.rows[lost & ~sound & self.live]] = True
        return lost

    def see(self, x: Tensor, loss: Tensor, success: Tensor, step: Tensor, rank: Tensor | None = None) -> None:
        """Judge a point of each row; `x` is taken over, so the caller has no further use for it.

        Success comes first, then the higher `rank`, which is the loss unless something else is wanted: a search for
        the least distance ranks its successes by `-norm`.
        """
        loss = loss.to(torch.float32)
        rank = loss if rank is None else rank.to(torch.float32)
        first = (success > self._success) & self.live
        better = first | ((rank > self._rank) & (success == self._success) & self.live)
        self._take(x, better)
        self._loss, self._rank = torch.where(better, loss, self._loss), torch.where(better, rank, self._rank)
        self._success, self._step = self._success | first, torch.where(first, step, self._step)

    def _take(self, x: Tensor, better: Tensor) -> None:
        """Let the `better` rows of `x` be the best points; on a CPU, whichever rows are fewer are copied.

        A GPU moves all of them in less time than it takes to say which.
        """
        if x.device.type != "cpu":
            self._x = torch.where(broadcast(better, x), x, self._x)
            return
        rows = better.nonzero().flatten()
        if 2 * len(rows) > len(x) or self._x is self._best.batch.x:
            rows = (~better).nonzero().flatten()
            x, self._x = self._x, x
        if len(rows):
            self._x.index_copy_(0, rows, x.index_select(0, rows))

    def step(self, backwards: int, state: State) -> None:
        """Carry every row on: its next point `x`, and what else has changed of its state."""
        self.state = {**self.state, **state}
        self.age, self.fresh = self.age + 1, False
        self.backwards += backwards

    def settle(self, live: Tensor, left: int, at_once: bool = False) -> None:
        """Keep the `left` rows that are `live`; the others are dropped once enough have gone to make it worth while.

        A search with a budget of queries drops them `at_once`: none is asked about after it has settled.
        """
        self.live = live
        waste = 0 if at_once else _WASTE * len(self)
        if left == 0 or len(self) - left > waste:
            self._compact()

    def _compact(self) -> None:
        """Give the best points back, drop the settled rows and fill up from the queue."""
        self._best.keep(
            self.rows,
            self._x,
            self._loss,
            self._rank,
            self._success,
            self._step,
            self.forwards,
            self.backwards,
        )
        rows, age = self.rows[self.live], self.age[self.live]
        state = {name: values[self.live] for name, values in self.state.items()}
        entering, self._queue = self._queue.tensor_split([self._size - len(rows)])
        if len(entering):
            new = self._start(entering)
            state = {name: torch.cat([state[name], new[name]]) for name in new} if len(rows) else new
            rows, age = torch.cat([rows, entering]), torch.cat([age, torch.zeros_like(entering)])
        self._hold(rows, state, age)
        self.fresh = len(entering) > 0

    def _hold(self, rows: Tensor, state: State, age: Tensor) -> None:
        """Gather everything the rows need."""
        best = self._best
        whole = torch.equal(rows, torch.arange(len(best.batch), device=rows.device))
        self.rows, self.state, self.age = rows, state, age
        self.origin = best.batch.x if whole else best.batch.x[rows]
        self.goal, self.eps = best.goal[rows], best.eps[rows]
        self.live, self.fresh = torch.ones_like(rows, dtype=torch.bool), False
        self._nobody = ~self.live
        self._x = best.x if whole else best.x[rows]
        self._loss, self._rank = best.loss[rows], best.rank[rows]
        self._success, self._step = best.success[rows], best.step[rows]
        self.forwards = self.backwards = 0
