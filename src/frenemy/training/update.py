"""Update: how weights follow a recipe's terms: once, several times over, from perturbed weights, or batch norm only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch
from torch import nn

from frenemy.errors import UsageError
from frenemy.models.norms import norm_parameters, norm_state
from frenemy.training.recipe import Recipe
from frenemy.training.regime import Regime
from frenemy.training.step import Step

__all__ = ["Only", "Perturbed", "Replay", "Sum", "Update", "followed"]

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
        spared = {id(parameter) for parameter in norm_parameters(step.model)}
        buffers = [(buffer, buffer.clone()) for buffer in step.model.buffers()]
        with torch.no_grad():
            for weight in step.parameters:
                if weight.ndim > 1 and id(weight) not in spared and weight.grad is not None:
                    kept.append((weight, weight.clone()))
                    size = self.gamma * weight.norm() / weight.grad.norm().clamp(min=_TINY)
                    weight.add_(weight.grad * size)
        step.pull(views)
        with torch.no_grad():
            for tensor, before in (*kept, *buffers):
                tensor.copy_(before)
        step.move()
        step.learn(views)


@final
@dataclass(frozen=True, slots=True)
class Only:
    """Let batch norm move alone: its rescaling parameters and its running statistics; all else stays bit for bit.

    The optimiser must hold the parameters of batch norm and no others. No gradient is computed for the rest.

    Args:
        rest: how these follow the terms.

    Source: 004, Section 6.2.1 and Table 6.1 ("finetuning of BN").
    """

    rest: Update

    def __call__(self, step: Step) -> None:
        """Hold all else, and follow."""
        with _held(step.model):
            self.rest(step)


@contextmanager
def _held(model: nn.Module) -> Iterator[None]:
    """Hold what is not batch norm's: no parameter has a gradient, and every buffer is put back."""
    free = {id(parameter) for parameter in norm_parameters(model)}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in free]
    own = set(norm_state(model))
    kept = [(buffer, buffer.clone()) for name, buffer in model.named_buffers() if name not in own]
    try:
        for parameter in others:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)


def followed(recipe: Recipe, regime: Regime) -> Update:
    """Choose how the weights follow: the recipe's own way, or the one that the regime asks for.

    Raises:
        UsageError: the two do not go together.
    """
    if getattr(recipe, "rowwise", False) and regime.attack_mode != "eval":
        raise UsageError(
            f"expected attack_mode eval with {type(recipe).__name__}, whose rows leave the search one by one, got "
            f"{regime.attack_mode}; leave it out"
        )
    own: Update | None = getattr(recipe, "update", None)
    if regime.perturb and (own is not None or regime.only == "norms"):
        who = type(recipe).__name__ if own is not None else "only=norms"
        raise UsageError(
            f"expected no weight perturbation with {who}, which moves the weights its own way, got "
            f"perturb={regime.perturb}; leave it out"
        )
    found = own or (Perturbed(regime.perturb) if regime.perturb else Sum())
    return Only(found) if regime.only == "norms" else found
