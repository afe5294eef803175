"""Runs: the walks of FAB one after another, each towards some faces and from some start."""

from __future__ import annotations

import math
from typing import Final, final

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.best import Best
from frenemy.attacks.faces import Face, nearest_face, rivals, towards
from frenemy.attacks.patience import fresh
from frenemy.rng import Key
from frenemy.threats.slack import hold_, slack
from frenemy.threats.threat import broadcast
from frenemy.types import Goal

__all__ = ["Runs"]

_STEEPER: Final = 3.0


@final
class Runs:
    """The runs of a call: which faces each looks at, where it begins, and how it goes on.

    Args:
        best: the search.
        clean: `(batch, classes)` answers to the inputs.
        key: of the call.
        restarts, targets, beta, parity: as FAB has them.

    Attributes:
        count: runs of each row.
    """

    def __init__(
        self,
        best: Best,
        clean: Tensor,
        key: Key,
        *,
        restarts: int,
        targets: int | None,
        beta: float,
        parity: bool,
    ) -> None:
        self._best, self._key = best, key
        self._restarts, self._beta, self._parity = restarts, beta, parity
        single = towards(best.objective) or _steered(best.goal)
        self._faces = 1 if single else clean.shape[1] - 1
        self._order = None
        if targets is not None and not single:
            self._order = rivals(clean, best.goal, targets)
        self.count = restarts * (1 if self._order is None else max(1, self._order.shape[1]))

    def face(self, active: Active, x: Tensor, logits: Tensor) -> Face:
        """The face that each row walks to."""
        if _steered(active.goal):
            classes = active.goal[:, 1:]
        elif self._order is None:
            classes = rivals(logits, active.goal, self._faces)
        else:
            run = active.state["run"] // self._restarts
            classes = self._order[active.rows].gather(1, run[:, None])
        steeper = math.inf if self._parity else _STEEPER
        threat, objective = self._best.threat, self._best.objective
        wanted = active.live & ~active.state["closing"]
        return nearest_face(x, logits, active.goal, classes, threat, objective, wanted, steeper)

    def begin(self, rows: Tensor) -> State:
        """The first run, at the input."""
        origin, eps = self._best.batch.x[rows], self._best.eps[rows]
        return {
            "x": origin,
            "run": torch.zeros_like(rows),
            "turn": torch.zeros_like(rows),
            "near": torch.full_like(eps, torch.inf),
            **fresh(eps),
            "limit": eps + slack(self._best.threat.norm(origin), eps),
            "closing": torch.zeros_like(rows, dtype=torch.bool),
        }

    def onward(
        self,
        active: Active,
        point: Tensor,
        success: Tensor,
        distance: Tensor,
        walk: State,
        over: Tensor,
        last: Tensor,
    ) -> State:
        """Pull successes back; where a run is over begin the next, or bring the last point of all back into the set."""
        state = active.state
        near = torch.where(success, distance.minimum(state["near"]), state["near"])
        x = torch.lerp(active.origin, point, broadcast(1 - (1 - self._beta) * success.to(point), point))
        run, turn, closing = state["run"], state["turn"] + 1, over & last
        if bool(over.any()):
            back = self._best.threat.retract(point, active.origin, active.eps)
            x = torch.where(broadcast(closing, x), back, x)
            again = over & ~last
            run, turn = torch.where(again, run + 1, run), torch.where(again, 0, turn)
            walk = {name: torch.where(again, value, walk[name]) for name, value in fresh(near).items()}
            for number in sorted(set(run[again].tolist())):
                which = (again & (run == number)).nonzero().flatten()
                x[which] = self._start(active, which, near[which], number)
        return {"x": x, "run": run, "turn": turn, "near": near, "closing": closing, **walk}

    def _start(self, active: Active, which: Tensor, near: Tensor, run: int) -> Tensor:
        """Where a run begins: at the input, or at random at half the distance that is to be bettered."""
        origin, eps, threat = active.origin[which], active.eps[which], self._best.threat
        if run % self._restarts == 0:
            return origin
        index, shape = self._best.batch.index[active.rows[which]], tuple(origin.shape[1:])
        key = self._key.fold("start").fold(run)
        if getattr(threat, "order", 0.0) == math.inf:
            way = 2 * key.uniform(index, shape, origin.dtype) - 1
        else:
            way = key.normal(index, shape, origin.dtype)
        size = eps if self._parity else torch.minimum(near, eps)
        share = size / (2 * threat.norm(way).clamp(min=torch.finfo(way.dtype).tiny))
        return hold_(torch.addcmul(origin, broadcast(share, way), way), threat.low, threat.high)


def _steered(goal: Goal) -> bool:
    """Whether each goal names the class to go to, beside the one to leave."""
    return goal.ndim == 2 and not goal.is_floating_point()
