"""Asking: the loop of searches that only ask. Each row walks on its own, and all share every call of the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor

from frenemy.attacks.attack import Books, Found, Phase
from frenemy.attacks.best import Best, look
from frenemy.attacks.others import Others
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Answer, Walk, Walker
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import answer, finite
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["Asking"]

_LIKELY: Final = 10
"""Given examples that a row may start from."""
_SLACK: Final = 1e-6
"""How far past eps, as a share of it, a distance may read because of rounding."""
_ROOM: Final = 2**27
"""Numbers that the questions of all open rows may hold, at 256 questions a row: half a GiB in float32."""


@final
@dataclass(frozen=True, slots=True)
class Asking:
    """Let every row walk, and put the questions of all into full batches.

    What a row asks, and what it finds, is the same as if it were alone: its walk sees its own answers only.

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        batch_size: the most rows in one forward; None is 1024.
        early_stop: a row leaves at its first success inside the threat.
        scores: whether a walk sees losses; then a row without success keeps its highest, else its input.
        nearest: among successes inside the threat keep the nearest; else that of the highest loss.
        others: given examples to start from.

    Raises:
        UsageError: `queries` or `batch_size` is below 1.

    Cost: a copy and a distance for each row asked about, besides what the walks do themselves. Walks live on the CPU,
    wherever the model does: they take many small steps.
    """

    queries: int
    batch_size: int | None
    early_stop: bool
    scores: bool
    nearest: bool
    others: Others | None = None

    def __post_init__(self) -> None:
        if self.queries < 1 or (self.batch_size is not None and self.batch_size < 1):
            raise UsageError(
                f"expected queries and batch_size to be at least 1, got queries={self.queries}, "
                f"batch_size={self.batch_size}"
            )

    def __call__(
        self,
        model: Model,
        batch: Batch,
        *,
        threat: Threat,
        objective: Objective,
        key: Key,
        walk: Callable[[Site], Walk],
    ) -> Found:
        """Search every row that is not yet where the perturber wants it."""
        with torch.inference_mode(False), torch.no_grad(), still(model):
            x = batch.x.clone() if batch.x.is_inference() else batch.x.detach()
            batch = Batch(x, batch.y, batch.index)
            best = Best(batch, look(model, x, self.batch_size), threat=threat, objective=objective)
            queue = best.open(self.early_stop or self.nearest)
            places = queue[best.eps[queue] > 0].tolist() if self.queries > 1 else []
            inputs, index = x.cpu(), batch.index.tolist()
            eps = best.eps.tolist()
            goal, towards = answer(best.goal).tolist(), objective.towards
            rows = []
            for place in places:
                likely = inputs[:0].flatten(1)
                if self.others is not None:
                    likely = self.others.nearest(inputs[place].flatten(), goal[place], towards, _LIKELY)
                site = Site.of(inputs[place], index[place], threat, eps[place], key, likely)
                rows.append(Walker(place, site, walk(site)))
            _Round(self, model, best).through(rows)
            return self._closed(best, rows)

    def _closed(self, best: Best, rows: list[Walker]) -> Found:
        """Give back what every row found, and its books."""
        batch, marks = best.batch, Books.marks(self.queries)
        phases = torch.zeros(len(batch), len(Phase), dtype=torch.int64)
        phases[:, Phase.CHECK] = 1
        unsafe = (~best.success).long().cpu()
        trace = torch.where(best.already, 0.0, torch.inf).cpu()[:, None].repeat(1, len(marks))
        for row in rows:
            place = row.place
            phases[place] += torch.from_numpy(row.phases)
            unsafe[place] += row.unsafe
            trace[place] = row.traced(marks)
            best.cut[place] = self.nearest and row.cut and not row.course
            best.forwards[place] += int(row.phases.sum())
            if row.point is not None:
                best.x = best.x.clone() if best.x is batch.x else best.x
                best.x[place] = row.point.reshape(batch.x.shape[1:]).to(batch.x.device)
                best.loss[place], best.success[place], best.step[place] = row.loss, row.success, row.step
        books = Books(*(part.to(batch.x.device) for part in (phases, unsafe, trace)))
        return best.found(books)


@final
class _Round:
    """One chunk of questions after the other, each as full as the open rows can make it."""

    def __init__(self, plan: Asking, model: Model, best: Best) -> None:
        self.plan, self.model, self.best = plan, model, best
        self.size = plan.batch_size or 1024

    def through(self, rows: list[Walker]) -> None:
        """Walk with all rows to their ends."""
        waiting, under_way = deque(rows), deque[Walker]()
        most = max(2, _ROOM // (256 * len(rows[0].site.x))) if rows else 0
        while waiting or under_way:
            chunk: list[tuple[Walker, Phase, Tensor]] = []
            filled = 0
            while filled < self.size and (under_way or (waiting and len(chunk) + len(under_way) < most)):
                row = under_way.popleft() if under_way else waiting.popleft()
                if asked := row.onward(self.plan.queries):
                    chunk.append((row, *asked))
                    filled += len(asked[1])
            if chunk:
                self._ask(chunk)
            under_way.extend(row for row, _, _ in chunk if row.answer is not None and not row.cut)

    def _ask(self, chunk: list[tuple[Walker, Phase, Tensor]]) -> None:
        best, plan, site = self.best, self.plan, chunk[0][0].site
        points = torch.cat([site.hold(part) for _, _, part in chunk])
        sizes = torch.tensor([len(part) for _, _, part in chunk])
        origins = torch.stack([row.site.x for row, _, _ in chunk]).repeat_interleave(sizes, 0)
        distance = site.norm(points - origins)
        device = best.batch.x.device
        owners = torch.tensor([row.place for row, _, _ in chunk]).repeat_interleave(sizes).to(device)
        inputs = points.reshape(len(points), *best.batch.x.shape[1:]).to(device)
        even = -(-len(inputs) // -(-len(inputs) // self.size))
        logits = torch.cat([self.model(part) for part in torch.split(inputs, even)])
        goal = best.goal[owners]
        won = best.objective.success(logits, goal).cpu().numpy()
        loss = best.objective.loss(logits, goal).to(points.dtype).cpu()
        sane, far, height = finite(logits).cpu().numpy(), distance.numpy(), loss.numpy()
        seen = loss if plan.scores else torch.full_like(loss, torch.nan)
        end = 0
        for row, phase, part in chunk:
            begin, end = end, end + len(part)
            here = slice(begin, end)
            row.learn(phase, won[here], far[here])
            if not sane[here].all():
                best.finite[row.place] = False
                row.answer = None
                continue
            self._keep(row, begin, won[here], far[here], height[here], points)
            row.answer = Answer(torch.from_numpy(won[here]), seen[here])
            if plan.early_stop and row.success:
                row.answer = None

    def _keep(self, row: Walker, begin: int, won: Any, far: Any, height: Any, points: Tensor) -> None:
        """Keep the best point inside the threat: success first, then the nearest, or the highest."""
        inside = far <= row.site.eps * (1 + _SLACK)
        hits = won & inside
        if hits.any():
            rank = np.where(hits, -far if self.plan.nearest else height, -np.inf)
        elif self.plan.scores and not row.success and inside.any():
            rank = np.where(inside, height, -np.inf)
        else:
            return
        first = bool(hits.any()) and not row.success
        place = int(rank.argmax())
        if first or rank[place] > row.rank:
            row.point, row.rank, row.loss = points[begin + place].clone(), rank[place], float(height[place])
        if first:
            row.success, row.step = True, row.spent - len(won) + int(hits.argmax()) + 1
