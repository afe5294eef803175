"""Update: how the weights follow a recipe's terms: by their sum, several times over, or from perturbed weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch

from frenemy.errors import UsageError
from frenemy.training.step import Step

__all__ = ["Perturbed", "Replay", "Sum", "Update"]

_TINY = 1e-12


@runtime_checkable
class Update(Protocol):
    """Moves the weights for one batch."""

    def __call__(self, step: Step) -> None:
        """Look, pull and move."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Sum:
    """Follow the gradient of the weighted sum of the terms once."""

    def __call__(self, step: Step) -> None:
        """Look, pull, move, learn."""
        views = step.look()
        step.pull(views)
        step.move()
        step.learn(views)


@final
@dataclass(frozen=True, slots=True)
class Replay:
    """Follow the sum `times` times on the same batch (free adversarial training, Shafahi et al. 2019, Algorithm 1).

    Args:
        times: m, at least 1.
    """

    times: int

    def __post_init__(self) -> None:
        if self.times < 1:
            raise UsageError(f"expected to replay a batch once or more, got {self.times}")

    def __call__(self, step: Step) -> None:
        """Look, pull, move, learn, over and over."""
        for replay in range(self.times):
            views = step.look(replay)
            step.pull(views)
            step.move()
            step.learn(views)


@final
@dataclass(frozen=True, slots=True)
class Perturbed:
    r"""Adversarial weight perturbation: take the gradient where the weights are worst, the points staying as they are.

    $$ v_l = \gamma \lVert w_l \rVert \frac{g_l}{\lVert g_l \rVert}, \quad w \leftarrow w - \eta \nabla L(w + v) $$

    for each weight tensor l of more than one axis; biases and batch norm are not perturbed. The points are found once,
    on the unperturbed weights.

    Source: Wu, Xia and Wang 2020, "Adversarial weight perturbation helps robust generalization", NeurIPS,
    arXiv:2004.05884, eq. 8-10. The released code takes the direction by a step of SGD on a copy of the model; its
    length does not matter, so the gradient itself is used, and no copy is made.

    Args:
        gamma: size of the perturbation relative to the weights, 0 or more (0.01 for adversarial training, 0.005 for
            TRADES).

    Cost: one forward and backward a step more, and the weights once more in memory.
    """

    gamma: float

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < float("inf"):
            raise UsageError(f"expected a finite weight perturbation of 0 or more, got {self.gamma}")

    def __call__(self, step: Step) -> None:
        """Look once, pull, perturb, pull again, undo, move."""
        views = step.look()
        step.pull(views)
        kept = []
        buffers = [(buffer, buffer.clone()) for buffer in step.model.buffers()]
        with torch.no_grad():
            for weight in step.parameters:
                if weight.ndim > 1 and weight.grad is not None:
                    kept.append((weight, weight.clone()))
                    size = self.gamma * weight.norm() / weight.grad.norm().clamp(min=_TINY)
                    weight.add_(weight.grad * size)
        step.pull(views)
        with torch.no_grad():
            for tensor, before in (*kept, *buffers):
                tensor.copy_(before)
        step.move()
        step.learn(views)
