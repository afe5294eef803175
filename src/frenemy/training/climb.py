"""Climb: the search inside a training step, which wants the point where it ends and not a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from frenemy.data.batch import Batch
from frenemy.errors import UsageError, nearest
from frenemy.models.model import Model
from frenemy.rng import Key
from frenemy.threats.threat import Threat, broadcast, radii

__all__ = ["STARTS", "Climb", "Raised"]

STARTS: Final = ("uniform", "input", "normal")
"""Where a search begins: at a random point of the set, at the input, or at the input with a little normal noise."""


@runtime_checkable
class Raised(Protocol):
    """What a climb raises: all that it asks of an objective."""

    def loss(self, logits: Tensor, goal: Tensor) -> Tensor:
        """One number a row."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Climb:
    r"""Some steps up the gradient of an objective inside a threat; the last point, as training code has it.

    $$ x_{t+1} = \Pi(\operatorname{move}(x_t, \nabla_x \ell(x_t), a\varepsilon)), \quad t = 0 .. steps - 1 $$

    It judges nothing and keeps no books, which saves the forwards that `attacks.PGD` spends on the clean input and on
    the last point.

    Args:
        steps: gradient steps, 0 or more.
        step_size: length of a step as a share of eps.
        start: `uniform`, a random point of the set; `input`; `normal`, the input with normal noise of deviation
            `noise`, retracted.
        noise: used by the start `normal` alone, in the units of the inputs.

    Raises:
        UsageError: a setting is out of its range.

    Cost: `steps` forwards and backwards a row, one forward more with `rest`; rows that rest cost nothing from then on.
    """

    steps: int
    step_size: float
    start: str = "uniform"
    noise: float = 0.001

    def __post_init__(self) -> None:
        if self.steps < 0 or not 0 <= self.step_size < float("inf") or not 0 <= self.noise < float("inf"):
            raise UsageError(
                f"expected steps, step_size and noise of 0 or more, got steps={self.steps}, "
                f"step_size={self.step_size}, noise={self.noise}"
            )
        if self.start not in STARTS:
            raise UsageError(f"unknown start '{self.start}'{nearest(self.start, STARTS)}")

    def __call__(
        self,
        model: Model,
        batch: Batch,
        *,
        threat: Threat,
        objective: Raised,
        key: Key,
        goal: Tensor | None = None,
        length: Tensor | None = None,
        rest: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Climb from every row.

        Args:
            model: held still, without parameter gradients.
            batch: inputs and labels.
            threat: the set; its eps may differ from row to row.
            objective: what is raised.
            key: draws the start, by example.
            goal: what the objective measures against; the labels if None.
            length: `(batch,)` length of a step in the units of eps, in the place of `step_size`.
            rest: given the loss at a point and the places in the batch of its rows, says which of them have gone too
                far: these go back to the point before and rest there. At the start itself there is nothing to go back
                to but the input.

        Returns:
            `(batch, *shape)` points of the set, without a graph.
        """
        origin, eps = batch.x, radii(threat.eps, batch.x)
        goal = batch.y if goal is None else goal
        size = self.step_size * eps if length is None else length
        x = self._start(batch, threat, key, eps)
        if rest is not None:
            return self._resting(model, x, origin, goal, size, eps, threat, objective, rest)
        for _ in range(self.steps):
            gradient, _ = _slope(model, x, goal, objective)
            x = threat.retract(threat.move(x, gradient, size), origin, eps)
        return x.detach()

    def _start(self, batch: Batch, threat: Threat, key: Key, eps: Tensor) -> Tensor:
        if self.start == "uniform":
            return threat.sample(batch.x, batch.index, key, eps)
        x = batch.x
        if self.start == "normal":
            x = x + self.noise * key.normal(batch.index, tuple(x.shape[1:]), x.dtype)
        return threat.retract(x, batch.x, eps)

    def _resting(
        self,
        model: Model,
        x: Tensor,
        origin: Tensor,
        goal: Tensor,
        size: Tensor,
        eps: Tensor,
        threat: Threat,
        objective: Raised,
        rest: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """Climb with the rows that have not gone too far; the others leave the batch."""
        final, before, rows = origin.clone(), origin, torch.arange(len(x), device=x.device)
        for _ in range(self.steps):
            gradient, loss = _slope(model, x, goal[rows], objective)
            gone = rest(loss.detach(), rows)
            final[rows] = torch.where(broadcast(gone, x), before, x)
            on = (~gone).nonzero().flatten()  # waits for a GPU: once a step
            if not len(on):
                return final
            rows, before = rows[on], x[on]
            x = threat.retract(threat.move(before, gradient[on], size[rows]), origin[rows], eps[rows])
        with torch.no_grad():
            gone = rest(objective.loss(model(x), goal[rows]), rows)
        final[rows] = torch.where(broadcast(gone, x), before, x)
        return final


def _slope(model: Model, x: Tensor, goal: Tensor, objective: Raised) -> tuple[Tensor, Tensor]:
    """Gradient of the objective at `x`, and its loss; zero where no gradient flows."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        loss = objective.loss(model(leaf), goal)
        if not loss.requires_grad:
            return torch.zeros_like(x), loss
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    return gradient, loss
