"""Square: random search over square windows; it sees scores only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State, room
from frenemy.attacks.attack import Found, admit
from frenemy.attacks.best import Best, look
from frenemy.attacks.lengths import Lengths
from frenemy.attacks.moves import Corners, Moves
from frenemy.attacks.windows import BLOCK, Grid
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import finite
from frenemy.rng import Key
from frenemy.threats.threat import Threat, broadcast

__all__ = ["Square"]

_ROOM: Final = 64
"""Rows of a forward that asks ahead, at most, on a CPU."""
_WASTE: Final = 0.3, 1.0
"""How many proposals of a turn are expected to be kept, at most, beside the first: on a CPU, and elsewhere."""


@final
@dataclass(frozen=True, slots=True)
class Square:
    r"""Change one random window at a time, and keep the change where the loss rises or the objective succeeds.

    $$ x_{t+1} = \begin{cases} x' & \ell(x') > \ell(x_t) \\ x_t & \text{otherwise} \end{cases}, \quad
       x' = \Pi_S(x_t + \text{window of area } p_t h w) $$

    No gradient is asked for: the model may be any callable that gives scores. It climbs the loss of the objective it is
    given; the paper's is the margin, `Untargeted(Margin())`, which unlike cross-entropy tells two confident answers
    apart in float32.

    An input's last two axes are height and width, those before them channels; a flat row of features is one high, and
    its windows are runs. For Linf every cell is sent to an end of its range, for L2 and L1 the length in two windows
    goes to one of them.

    Args:
        queries: the most rows the model is asked about for one example, its clean input and all restarts included; at
            least 1. Never passed, but for what `ahead` asks in vain.
        p_init: share of the picture in the first windows, in (0, 1]; it halves at fixed shares of the run.
        restarts: runs, which share the queries evenly; each later one only concerns rows that are still open.
        early_stop: a row leaves at its first success.
        batch_size: the most rows in one forward; None is all rows of the call. Results do not depend on it.
        ahead: up to so many proposals of a row are asked about at a time where rows are few, from 1 to 16; those after
            one that is kept were asked in vain. Results do not depend on it, `queries` counts what was not in vain, and
            `forwards` all. A row costs less in a forward of many than in one of few.

    Returns:
        Found, with `x` inside the set for every row with a finite clean answer.

    Raises:
        UsageError: a setting is out of range, or the threat is not an Linf, L2 or L1 ball.

    Cost: one forward a query a row, at most `queries` and what `ahead` adds; no backward. A settled row leaves at once.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> found = Square(queries=50)(
        ...     model, batch, threat=frenemy.Linf(0.3), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 5000
    p_init: float = 0.8
    restarts: int = 1
    early_stop: bool = True
    batch_size: int | None = None
    ahead: int = 1

    card: ClassVar[Card] = Card(
        authors="Andriushchenko, Croce, Flammarion, Hein",
        title="Square Attack: a query-efficient black-box adversarial attack via random search",
        year=2020,
        venue="ECCV",
        link="arXiv:1912.00049",
        place="Algorithms 1-3; for L1 Croce and Hein 2021, arXiv:2103.01208, Section 5",
        access=Access.SCORES,
        reach=0.6,
        threats=("linf", "l2", "l1"),
        deviations=(
            "each example draws its own windows, signs and patterns, by its index; the released code of 2021 shares "
            "them in a batch",
            "a window that would change nothing is drawn again; the first released code does so for Linf only",
            "the share halves at the 8 queries of 10000 that the paper names, scaled to the run; the released code "
            "halves once more at 500",
            "a window longer than the short side of the picture takes all of that side; the paper has squares only",
            "for L2 the second window is taken where there is length to move, or length left over",
            "the tiles of the start are a fifth of each side of the picture, square or not; for L1 their norm is eps",
            "for L1 on a flat row windows shrink to one feature; the paper's are three wide at least",
        ),
    )

    def __post_init__(self) -> None:
        if self.queries < 1 or self.restarts < 1 or (self.batch_size is not None and self.batch_size < 1):
            raise UsageError(
                f"expected queries, restarts and batch_size to be at least 1, got queries={self.queries}, "
                f"restarts={self.restarts}, batch_size={self.batch_size}"
            )
        if not 1 <= self.ahead <= BLOCK:
            raise UsageError(f"expected ahead from 1 to {BLOCK}, got {self.ahead}; 1 asks for one at a time")
        if not 0 < self.p_init <= 1:
            raise UsageError(f"expected p_init to be above 0 and at most 1, got {self.p_init}; 0.8 is usual")

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        with torch.inference_mode(False), torch.no_grad(), still(model):
            x = batch.x.clone() if batch.x.is_inference() else batch.x.detach()
            clean = look(model, x, self.batch_size)
            best = Best(Batch(x, batch.y, batch.index), clean, threat=threat, objective=objective)
            done = 0
            for restart in range(self.restarts):
                run = (self.queries - 1 - done) // (self.restarts - restart)
                if run and len(x):
                    self._run(model, best, self._moves(best, key.fold(restart), run), run, done)
                done += run
            return best.found()

    def _moves(self, best: Best, key: Key, run: int) -> Moves:
        grid = Grid.of(best.batch.x.shape[1:])
        if getattr(best.threat, "order", None) == math.inf:
            return Corners(key, best.threat, grid, self.p_init, run)
        return Lengths(key, best.threat, grid, self.p_init, run, best.batch.x)

    def _run(self, model: Model, best: Best, moves: Moves, run: int, done: int) -> None:
        def start(rows: Tensor) -> State:
            low = torch.full((len(rows),), -math.inf, dtype=torch.float64, device=rows.device)
            won = torch.zeros_like(rows, dtype=torch.bool)
            return {"height": low, "won": won, "first": torch.zeros_like(rows), **moves.begin(best, rows)}

        objective, queue = best.objective, best.open(self.early_stop)
        active, kept = Active(best, queue[best.eps[queue] > 0], start, self.batch_size), 1.0
        waste, most = _WASTE[best.batch.x.device.type != "cpu"], room(best.batch.x, _ROOM)
        most = min(most, self.batch_size or most)
        while len(active):
            ahead = 1 if active.fresh else self._many(len(active), kept, most, waste)
            point = moves.propose(active, ahead)
            if active.fresh:
                point = torch.where(broadcast(active.age == 0, point), active.x, point)
            logits = model(point)
            active.forwards += ahead
            goal = active.goal if ahead == 1 else active.goal.repeat_interleave(ahead, 0)
            loss, success = objective.loss(logits, goal), objective.success(logits, goal)
            height, won, first = (active.state[name] for name in ("height", "won", "first"))
            if ahead > 1:
                past = self._first(active, loss, success, finite(logits), run)
                chosen = torch.arange(0, len(point), ahead, device=past.device) + past
                point, logits, loss, success = (one[chosen] for one in (point, logits, loss, success))
                active.age = active.age + past
            better = _better(loss, success, height, won)
            rows = better.nonzero().flatten()
            kept += 0.05 * (len(rows) / len(better) - kept)
            active.x[rows] = point[rows]
            moves.accept(active, rows)
            height = torch.where(better, loss.double(), height)
            first = torch.where(success & ~won, active.age + done + 1, first)
            won = won | success
            leaving = (active.age >= run - 1) | active.lost(point, logits)
            live = ~(leaving | won) if self.early_stop else ~leaving
            active.step(0, {"height": height, "won": won, "first": first})
            if not bool(live.all()):
                active.see(active.x.clone(), height, won, first)
                active.settle(live, int(live.sum()), at_once=True)

    def _many(self, rows: int, kept: float, most: int, waste: float) -> int:
        """How many proposals of each row to ask about at a time, when so large a share of them is kept."""
        return max(1, min(self.ahead, most // rows, int(1 + waste / max(kept, 1e-9))))

    def _first(self, active: Active, loss: Tensor, success: Tensor, sane: Tensor, run: int) -> Tensor:
        """Which proposal of each row, counted from 0, is the last that counts: one that is kept ends the turn."""
        count, ahead = len(active), len(loss) // len(active)
        loss, success, sane = (one.reshape(count, ahead) for one in (loss, success, sane))
        height, won = (active.state[name][:, None] for name in ("height", "won"))
        ends = _better(loss, success, height, won) | ~sane
        ends |= active.age[:, None] + torch.arange(ahead, device=ends.device) >= run - 1
        ends[:, -1] = True
        return ends.int().argmax(1)


def _better(loss: Tensor, success: Tensor, height: Tensor, won: Tensor) -> Tensor:
    return (success & ~won) | ((loss > height) & (success == won))
