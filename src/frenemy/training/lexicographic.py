"""Lexicographic: follow all terms at once, so that none raises one that comes before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from frenemy.errors import UsageError, nearest
from frenemy.training.gem import multipliers
from frenemy.training.step import Step

__all__ = ["Lexicographic", "combined"]

_PLACES: Final = ("gradient", "step")
_BLOCK: Final = 1 << 18
"""Columns whose products are taken at once, in float64."""


@final
@dataclass(frozen=True, slots=True)
class Lexicographic:
    r"""Project the gradient of each term away from raising earlier ones, and follow the weighted sum (Onestep).

    $$ g = \sum_t \alpha_t \tilde g_t, \quad \tilde g_t = \arg\min_z \|z - g_t\|_2
       \ \text{ s.t. } \langle z, g_k \rangle \ge 0,\ k < t $$

    with the terms of the recipe in their order and their weights as alpha. Where nothing conflicts this is the gradient
    of the weighted sum. To first order the first term never rises; a later one may rise by what is followed of earlier
    ones, but not by what is followed of itself and of those after it.

    Args:
        project: `gradient`, before the optimiser sees it, which an optimiser that rescales coordinates may undo (002
            trains so, with Adam, and doubts it); `step`, what the optimiser makes of the unprojected sum, so that it
            does not raise the first term.

    Raises:
        UsageError: `project` is unknown, or there is no room for a gradient of each term.

    Cost: a backward for each term on one forward, and the gradients of all terms in memory: T p numbers.

    References:
        002, Sections 4.2 and 4.3.
    """

    project: str = "gradient"

    def __post_init__(self) -> None:
        if self.project not in _PLACES:
            raise UsageError(f"unknown project '{self.project}'{nearest(self.project, _PLACES)}")

    def __call__(self, step: Step) -> None:
        """Look, pull each term, project, move, learn."""
        views = step.look()
        weights, gradients = step.pull_each(views)
        if self.project == "gradient":
            _put(step, combined(weights, gradients))
            step.move()
        else:
            before = _flat([p.detach() for p in step.parameters])
            _put(step, weights.to(gradients) @ gradients)
            step.move()
            moved = before - _flat([p.detach() for p in step.parameters])
            if float(moved.double() @ gradients[0].double()) < 0:
                first = gradients[0].double()
                fixed = moved - (moved.double() @ first / (first @ first) * first).to(moved)
                _set(step, before - fixed)
        step.learn(views)


def combined(weights: Tensor, gradients: Tensor) -> Tensor:
    """The weighted sum of the projected gradients, `(p,)`, from `(T,)` weights and `(T, p)` gradients."""
    parts = (part.double() for part in torch.split(gradients, _BLOCK, dim=1))
    gram = torch.stack([part @ part.T for part in parts]).sum(0)
    share = torch.from_numpy(multipliers(gram.cpu().numpy())).to(weights.device, torch.float64)
    taken = weights.double() + weights.double() @ share
    return taken.to(gradients) @ gradients


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _pieces(step: Step, flat: Tensor) -> list[Tensor]:
    sizes = [p.numel() for p in step.parameters]
    return [piece.view_as(p) for piece, p in zip(torch.split(flat, sizes), step.parameters, strict=True)]


def _put(step: Step, flat: Tensor) -> None:
    for parameter, piece in zip(step.parameters, _pieces(step, flat), strict=True):
        parameter.grad = piece.clone()


@torch.no_grad()
def _set(step: Step, flat: Tensor) -> None:
    for parameter, piece in zip(step.parameters, _pieces(step, flat), strict=True):
        parameter.copy_(piece)
