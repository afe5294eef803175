"""Approach: the loop of searches for the least distance, which stop at no eps and keep the nearest success."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, final, runtime_checkable

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
from frenemy.threats.threat import Threat, broadcast

__all__ = ["Approach", "Look", "Path", "Stride"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the model says at the current point of each row.

    Args:
        x: `(batch, *shape)`, with `requires_grad`; the path takes gradients with respect to it, and counts them.
        logits: `(batch, classes)`, with their graph.
        loss: `(batch,)` the objective's, with its graph.
        success: `(batch,)` whether the objective succeeds there, inside the threat or not.
    """

    x: Tensor
    logits: Tensor
    loss: Tensor
    success: Tensor


@final
@dataclass(frozen=True, slots=True, eq=False)
class Stride:
    """Where a path goes on.

    Args:
        state: the next `x`, and what else of the state changes.
        done: `(batch,)` rows that need no further point.
        blind: `(batch,)` rows whose gradient is zero or not finite, so that nothing leads on from here.
        backwards: how often each row went back through the model.
    """

    state: State
    done: Tensor
    blind: Tensor
    backwards: int


@runtime_checkable
class Path(Protocol):
    """How a row comes nearer, and what it must remember for that."""

    def begin(self, best: Best, rows: Tensor) -> State:
        """The state in which these rows start: `x`, and whatever else; every tensor has one entry a row."""
        ...

    def onward(self, active: Active, seen: Look) -> Stride:
        """Say how to go on from here.

        Rows may be at different ages. What is to be remembered of `active.x` must be a copy.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class Approach:
    r"""Look at a point of each row, let the path choose the next, and keep the nearest success inside the threat.

    The path may leave the threat's ball on its way; only points inside are candidates. A row that ends without success
    inside has its last point brought back into the set, and that point is judged as well. With a large eps the distance
    of what is found gives every eps of a curve.

    Args:
        path: how a row moves.
        steps: points looked at after the first, at most.
        early_stop: a row leaves at its first success inside the threat, near or not.
        batch_size: the most rows in one forward; None is all rows of the call.

    Cost: a row takes at most steps + 3 forwards (its clean answer, steps + 1 points, the one brought back), and the
    backwards of its path.
    """

    path: Path
    steps: int
    early_stop: bool
    batch_size: int | None

    def __post_init__(self) -> None:
        if self.steps < 0 or (self.batch_size is not None and self.batch_size < 1):
            raise UsageError(
                f"expected steps >= 0 and batch_size >= 1, got steps={self.steps}, batch_size={self.batch_size}"
            )

    def __call__(self, model: Model, batch: Batch, *, threat: Threat, objective: Objective) -> Found:
        """Search every row that is not yet where the perturber wants it."""
        with torch.inference_mode(False), torch.enable_grad(), still(model):
            x = batch.x.clone() if batch.x.is_inference() else batch.x.detach()
            clean = look(model, x, self.batch_size)
            best = Best(Batch(x, batch.y, batch.index), clean, threat=threat, objective=objective)
            self._run(model, best, partial(self._begin, best))
            return best.found()

    def _begin(self, best: Best, rows: Tensor) -> State:
        return {"closing": torch.zeros_like(rows, dtype=torch.bool), **self.path.begin(best, rows)}

    def _run(self, model: Model, best: Best, begin: Callable[[Tensor], State]) -> None:
        threat, objective = best.threat, best.objective
        active = Active(best, best.open(early_stop=True), begin, self.batch_size)
        while len(active):
            x = active.x.detach().requires_grad_()
            logits = model(x)
            active.forwards += 1
            loss = objective.loss(logits, active.goal)
            point, answer, when = active.x.detach(), logits.detach(), active.age
            success = objective.success(answer, active.goal)
            inside = threat.contains(point, active.origin, active.eps)
            distance = threat.norm(point - active.origin)
            rank = torch.where(success, -distance, loss.detach()).masked_fill(~inside, -torch.inf)
            hit, due = success & inside, active.age >= self.steps
            leaving = active.state["closing"] | active.lost(point, answer) | (due & (hit | active.reached))
            if self.early_stop:
                leaving = leaving | hit
            live = active.live & ~leaving
            left = int(live.sum())
            if left:
                stride = Stride({"x": point}, due, torch.zeros_like(due), 0)
                if bool((live & ~due).any()):
                    stride = self.path.onward(active, Look(x, logits, loss, success))
                    best.flat[active.rows] |= stride.blind & live & (active.age == 0)
                with torch.no_grad():
                    done = stride.done | due
                    live = live & ~(done & (hit | active.reached))
                    left = int(live.sum())
                    closing = live & done
                    x_next = stride.state["x"].detach()
                    if bool(done.any()):
                        onto = torch.where(broadcast(due, point), point, x_next)
                        back = threat.retract(onto, active.origin, active.eps)
                        x_next = torch.where(broadcast(closing, point), back, onto)
                active.step(stride.backwards, {**stride.state, "x": x_next, "closing": closing})
            active.see(point, loss.detach(), hit, when, rank)
            del x, logits, loss
            active.settle(live, left)
