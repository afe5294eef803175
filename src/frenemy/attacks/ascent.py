"""Projected ascent: step up the gradient of the objective, retract into the threat, keep the best."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeAlias, final, runtime_checkable

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.attack import Found
from frenemy.attacks.best import Best, look
from frenemy.attacks.fence import fence, keep_
from frenemy.attacks.slope import leads, slope
from frenemy.data.batch import Batch
from frenemy.errors import UsageError, nearest
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["Ascent", "Fixed", "Rule", "Start"]

_SCHEDULES: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "constant": torch.ones_like,
    "cosine": lambda past: (1 + torch.cos(math.pi * past)) / 2,
    "linear": lambda past: 1 - past,
}

Start: TypeAlias = Callable[[Best, Tensor, Key], Tensor]
"""Gives the first points of these rows, inside the threat; what it asks of the model it adds to the rows' costs."""


@runtime_checkable
class Rule(Protocol):
    """How a row steps, and what it must remember for that."""

    def begin(self, best: Best, rows: Tensor, x: Tensor) -> State:
        """What these rows, which start at `x`, carry apart from `x`; every tensor has one entry a row.

        What is to be remembered of `x` must be a copy.
        """
        ...

    def onward(self, active: Active, threat: Threat, gradient: Tensor, loss: Tensor) -> State:
        """The next `x` of every row of `active`, inside the threat, and what else of its state has changed.

        `gradient` and `loss` are those at `active.x`; the rows may be at different ages. Called without gradients.
        `active.x` is used up afterwards: what is to be remembered of it must be a copy.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class Fixed:
    """Steps whose lengths were fixed before: `x + move(alpha eps)`, retracted.

    Args:
        step_size: length of the first step as a share of eps.
        schedule: what becomes of it at age t of T: `constant`; `cosine`, times (1 + cos(pi t / T)) / 2; `linear`,
            times 1 - t / T.
        steps: T; a constant length needs none.

    Raises:
        UsageError: the step is negative or not finite, or the schedule is unknown.
    """

    step_size: float
    schedule: str = "constant"
    steps: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.step_size < math.inf:
            raise UsageError(f"expected a finite step_size of 0 or more, got {self.step_size}")
        if self.schedule not in _SCHEDULES:
            raise UsageError(f"unknown schedule '{self.schedule}'{nearest(self.schedule, _SCHEDULES)}")

    def begin(self, best: Best, rows: Tensor, x: Tensor) -> State:
        """Where the rows must stay."""
        return fence(best.threat, best.batch.x[rows], best.eps[rows])

    def onward(self, active: Active, threat: Threat, gradient: Tensor, loss: Tensor) -> State:
        """Move and retract."""
        size = self.step_size * active.eps
        if self.schedule != "constant":
            past = (active.age / max(self.steps, 1)).clamp(max=1).to(size.dtype)
            size = size * _SCHEDULES[self.schedule](past)
        return {"x": keep_(threat.move(active.x, gradient, size), active, threat)}


@final
@dataclass(frozen=True, slots=True)
class Ascent:
    r"""The loop that FGSM, BIM, PGD and APGD are settings of.

    $$ x_{t+1} = \Pi(\operatorname{move}(x_t, \nabla_x \ell(x_t), \alpha \varepsilon)), \quad t = 0 .. steps - 1 $$

    Points 0 to `steps` of each run are all judged, the last one too. Rows step on their own: with `early_stop` a row
    leaves at its first success and the next open row takes its place, so that each forward is full of open rows.

    Args:
        rule: how a row steps.
        steps: gradient steps a run; with 0 only the start is judged.
        restarts: number of runs; each later one only concerns rows that are still open.
        random_start: begin at a random point of the set; otherwise at the input itself, brought into the set.
        early_stop: a row leaves at its first success.
        batch_size: the most rows in one forward; None is all rows of the call.
        start: where each run begins, in the place of `random_start`.

    Cost: a row takes 1 + restarts (steps + 1) forwards and restarts x steps backwards, less what early stopping saves
    and plus the few steps that a settled row is carried along.
    """

    rule: Rule
    steps: int
    restarts: int
    random_start: bool
    early_stop: bool
    batch_size: int | None
    start: Start | None = None

    def __post_init__(self) -> None:
        if self.steps < 0 or self.restarts < 1:
            raise UsageError(
                f"expected steps >= 0 and restarts >= 1, got steps={self.steps}, restarts={self.restarts}"
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"expected batch_size to be at least 1, got {self.batch_size}")

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Run every restart on every open row."""
        with torch.inference_mode(False), torch.enable_grad(), still(model):
            x = batch.x.clone() if batch.x.is_inference() else batch.x.detach()
            batch = Batch(x, batch.y, batch.index)
            opening = self._opening(model, batch)
            clean = look(model, x, self.batch_size) if opening is None else opening[1].detach()
            best = Best(batch, clean, threat=threat, objective=objective)
            if not best.at_home:
                opening = None
            for restart in range(self.restarts):
                draw = key.fold("start").fold(restart)
                self._run(model, best, partial(self._start, best, draw), restart, opening)
                opening = None
            return best.found()

    def _opening(self, model: Model, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Where the first run starts at the inputs themselves, their clean answers can carry its first gradient."""
        whole = self.batch_size is None or len(batch) <= self.batch_size
        chosen = self.random_start or self.start is not None
        if chosen or self.steps == 0 or not whole or not len(batch):
            return None
        x = batch.x.detach().requires_grad_()
        return x, model(x)

    def _start(self, best: Best, draw: Key, rows: Tensor) -> State:
        origin, eps = best.batch.x[rows], best.eps[rows]
        if self.start is not None:
            x = self.start(best, rows, draw)
        elif self.random_start:
            x = best.threat.sample(origin, best.batch.index[rows], draw, eps)
        else:
            x = best.threat.retract(origin, origin, eps)
        return {"x": x, **self.rule.begin(best, rows, x)}

    def _run(
        self,
        model: Model,
        best: Best,
        start: Callable[[Tensor], State],
        restart: int,
        opening: tuple[Tensor, Tensor] | None,
    ) -> None:
        threat, objective = best.threat, best.objective
        active = Active(best, best.open(self.early_stop), start, self.batch_size)
        while len(active):
            if opening is None:
                x = active.x.detach().requires_grad_()
                logits = model(x)
                active.forwards += 1
            else:
                x, logits = opening[0], opening[1][active.rows]
            loss = objective.loss(logits, active.goal)
            point, answer, when = active.x.detach(), logits.detach(), active.age + restart * (self.steps + 1)
            success = objective.success(answer, active.goal)
            leaving = (active.age >= self.steps) | active.lost(point, answer)
            if self.early_stop:
                leaving = leaving | success
            live = active.live & ~leaving
            left = int(live.sum())
            if left:
                gradient = slope(loss, x)
                if opening is not None:
                    gradient = gradient[active.rows]
                    best.backwards += 1
                    active.backwards -= 1
                if active.fresh and restart == 0:
                    best.flat[active.rows] |= ~leads(gradient) & ~leaving & (active.age == 0)
                with torch.no_grad():
                    active.step(1, self.rule.onward(active, threat, gradient, loss.detach()))
                del gradient
            if opening is None:
                active.see(point, loss.detach(), success, when)
            del x, logits, loss
            opening = None
            active.settle(live, left)
