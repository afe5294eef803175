"""Climb and Sift: the rules by which rows of APGD step, and what they remember for that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.best import Best
from frenemy.attacks.fence import fence, keep_
from frenemy.errors import UsageError
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat, broadcast

__all__ = ["Climb", "Sift"]

_FORGIVEN: Final = 1e-3


@final
@dataclass(frozen=True, slots=True)
class Climb:
    """Steps with momentum that begin at 2 eps and are halved at checkpoints where a row has stalled.

    A row remembers its best point (`top`) with its loss and gradient (`peak`, `uphill`); where its momentum would carry
    it, `2 x_t - x_{t-1}` (`ahead`); the loss before (`last`) and how many steps went up (`rises`) since the last
    checkpoint (`since`), the peak there (`mark`), whether it was halved there (`halved`); and how far, in hundredths of
    a step, the next one is (`next`, `gap`).

    Args:
        steps: of the whole run.
        rho: share in [0, 1] of the steps that must go up.
        momentum: in (0, 1]; 1 is none.
        parity: as the released code.

    Raises:
        UsageError: a share is out of range.
    """

    steps: int
    rho: float = 0.75
    momentum: float = 0.75
    parity: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.rho <= 1 and 0 < self.momentum <= 1):
            raise UsageError(
                f"expected rho in [0, 1] and momentum in (0, 1], got rho={self.rho}, momentum={self.momentum}; "
                "0.75 each is usual"
            )

    def begin(self, best: Best, rows: Tensor, x: Tensor) -> State:
        """Nothing is known yet but where each row must stay."""
        eps, none = best.eps[rows], torch.zeros_like(rows)
        first, less, _ = self._gaps
        bottom = torch.full_like(eps, -torch.inf)
        state = {
            **_nothing(x, eps),
            "size": 2 * eps,
            "ahead": x.clone(),
            "last": -bottom,
            "mark": bottom,
            "rises": none,
            "since": none,
            "halved": torch.full_like(rows, self.parity, dtype=torch.bool),
            "next": none + (first if self.parity else 0),
            "gap": none + (first if self.parity else first + less),
        }
        return {**state, **fence(best.threat, best.batch.x[rows], eps)}

    def onward(self, active: Active, threat: Threat, gradient: Tensor, loss: Tensor) -> State:
        """Keep the best point, judge the rows that are at a checkpoint, and step with momentum."""
        held, x = active.state, active.x
        peak = _remember(active, gradient, loss)
        state, back = self._judge(active, loss, peak)
        point, gradient = _return(active, gradient, back)
        if len(back):
            held["ahead"].index_add_(0, back, point[back] - x[back], alpha=2)
        share: Tensor | float = self.momentum
        if active.fresh:
            share = broadcast(torch.where(active.age == 0, 1, self.momentum).to(x.dtype), x)
        moved = threat.move(point, gradient, state.get("size", held["size"]))
        reached = keep_(moved, active, threat)
        x_next = keep_(held["ahead"].lerp_(reached, share), active, threat)
        return {**state, "peak": peak, "x": x_next, "ahead": torch.lerp(point, x_next, 2.0, out=reached)}

    @property
    def _gaps(self) -> tuple[int, int, int]:
        """First distance of two checkpoints, by how much it shrinks, and the least, in hundredths of a step."""
        if not self.parity:
            return 22 * self.steps, 3 * self.steps, 6 * self.steps
        first, less, least = (100 * max(int(share * self.steps), 1) for share in (0.22, 0.03, 0.06))
        return first, less, least

    def _judge(self, active: Active, loss: Tensor, peak: Tensor) -> tuple[State, Tensor]:
        """Halve the steps of rows that have stalled, and say which these are.

        The start counts as a checkpoint too, but not in the released code. That code also reads the first loss as 0.
        """
        held, age = active.state, active.age
        rises = held["rises"] + (loss > held["last"])
        last = torch.where(age == 0, 0, loss) if self.parity and active.fresh else loss
        due = 100 * age >= held["next"]
        if not bool(due.any()):
            return {"rises": rises, "last": last}, active.rows[:0]
        enough = self.rho * (age - held["since"])
        few = rises <= enough if self.parity else rises < enough
        stalled = due & (few | (~held["halved"] & (peak <= held["mark"])))
        _, less, least = self._gaps
        gap = torch.where(due, (held["gap"] - less).clamp(min=least), held["gap"])
        state = {
            "last": last if self.parity else torch.where(stalled, peak, last),
            "size": torch.where(stalled, held["size"] / 2, held["size"]),
            "mark": torch.where(due, peak, held["mark"]),
            "rises": torch.where(due, 0, rises),
            "since": torch.where(due, age, held["since"]),
            "halved": torch.where(due, stalled, held["halved"]),
            "next": torch.where(due, held["next"] + gap, held["next"]),
            "gap": gap,
        }
        return state, stalled.nonzero().flatten()


@final
@dataclass(frozen=True, slots=True)
class Sift:
    """Steps for L1, spread over the largest coordinates of the gradient; how many, the best point tells.

    A row remembers its best point as in `Climb`, how many coordinates that changed at the last checkpoint (`changed`),
    and on how many a step is spread (`keep`).

    Args:
        steps: of the whole run.
        warm: the row goes on from the best point of another search, which tells how many coordinates to begin with.
        parity: as the released code, which rounds the number of coordinates up, and so never comes from two to one.
    """

    steps: int
    warm: bool = False
    parity: bool = False

    def begin(self, best: Best, rows: Tensor, x: Tensor) -> State:
        """A fifth of the coordinates, unless the start tells."""
        eps, features = best.eps[rows], math.prod(x.shape[1:])
        changed = torch.full_like(rows, features)
        keep = torch.full_like(rows, -(-features // 5))
        if self.warm:
            changed = _changed(x, best.batch.x[rows], best.threat)
            keep = self._fewer(changed)
        return {**_nothing(x, eps), "size": eps.clone(), "keep": keep, "changed": changed}

    def onward(self, active: Active, threat: Threat, gradient: Tensor, loss: Tensor) -> State:
        """Keep the best point, judge the rows that are at a checkpoint, and take a sparse step."""
        held, x = active.state, active.x
        state = {"peak": _remember(active, gradient, loss)}
        due = (active.age > 0) & (active.age % max(4 * self.steps // 100, 1) == 0)
        back = active.rows[:0]
        if bool(due.any()):
            changed = _changed(held["top"], active.origin, threat)
            sparser = due & (changed < 0.95 * held["changed"])
            shorter = torch.maximum(held["size"] / 1.5, active.eps / 10)
            size = torch.where(sparser, active.eps, torch.where(due, shorter, held["size"]))
            state |= {"size": size, "keep": torch.where(due, self._fewer(changed), held["keep"])}
            state |= {"changed": torch.where(due, changed, held["changed"])}
            back = sparser.nonzero().flatten()
        point, gradient = _return(active, gradient, back)
        now = {**held, **state}
        step = _spread(gradient.flatten(1), now["size"], now["keep"]).reshape(x.shape)
        return {**state, "x": threat.retract(point + step, active.origin, active.eps)}

    def _fewer(self, changed: Tensor) -> Tensor:
        """Two thirds of so many coordinates, and at least one."""
        return ((2 * changed + (2 if self.parity else 0)) // 3).clamp(min=1)


def _nothing(x: Tensor, eps: Tensor) -> State:
    """No best point yet."""
    return {"top": x.clone(), "uphill": torch.zeros_like(x), "peak": torch.full_like(eps, -torch.inf)}


def _remember(active: Active, gradient: Tensor, loss: Tensor) -> Tensor:
    """Keep the point and gradient of each row whose loss is above its peak; give the peaks."""
    held = active.state
    higher = loss > held["peak"]
    rows = higher.nonzero().flatten()
    for name, values in {"top": active.x, "uphill": gradient}.items():
        if len(rows) == len(values):
            held[name].copy_(values)
        else:
            held[name].index_copy_(0, rows, values.index_select(0, rows))
    return torch.where(higher, loss.to(active.eps.dtype), held["peak"])


def _return(active: Active, gradient: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Where each row steps from, and the gradient there: for `rows` their best points."""
    if not len(rows):
        return active.x, gradient
    point = active.x.index_copy(0, rows, active.state["top"][rows])
    return point, gradient.index_copy(0, rows, active.state["uphill"][rows])


def _changed(x: Tensor, origin: Tensor, threat: Threat) -> Tensor:
    """How many coordinates of each row are not the input's; those of a sphere never quite come back to it."""
    change = (x - origin).flatten(1).abs()
    small = _FORGIVEN if isinstance(threat, Sphere) else 0.0
    return (change > small * change.amax(1, keepdim=True)).sum(1)


def _spread(gradient: Tensor, size: Tensor, keep: Tensor) -> Tensor:
    """Steps of L1 length `size`, equal on the `keep` largest coordinates of each row, and on those as large."""
    tall = gradient.abs()
    least = tall.topk(int(keep.max()), dim=1).values.gather(1, keep[:, None] - 1)
    signs = torch.where(tall < least, 0, gradient.sign())
    return size[:, None] / signs.abs().sum(1, keepdim=True).clamp(min=1) * signs
