"""InputGradient: plain training that keeps the loss flat at the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within

__all__ = ["InputGradient"]


@final
@dataclass(frozen=True, slots=True)
class InputGradient:
    r"""Minimise the cross-entropy and the squared length of its gradient in the input (double backpropagation).

    $$ \ell(f(x), y) + \lambda \|\nabla_x \ell(f(x), y)\|_2^2 $$

    Args:
        lamb: lambda, 0 or more; 0 is plain training.

    Cost: a backward through a backward: about three times plain training. With ReLU the gradient of the penalty sees no
    curvature of the nonlinearity, which has none.
    """

    lamb: float = 1.0

    card: ClassVar[Card] = Card(
        authors="Ross, Doshi-Velez",
        title="Improving the adversarial robustness and interpretability of deep neural networks by regularizing their "
        "input gradients",
        year=2018,
        venue="AAAI",
        link="arXiv:1711.09404",
        place="Section 3",
        vicinity=("x", "y", "identity", "gradient at x small", "no"),
        deviations=(
            "where batch norm trains, an input's gradient includes what it does to the others of the batch",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset("chosen here", "lenet", None, regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        within("lamb", self.lamb, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs."""
        return Views({"clean": batch.x})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy, and the squared length of its gradient."""
        if self.lamb == 0:
            return {"clean": Term(cross_entropy(model(views.x["clean"]), batch.y, reduction="none"))}
        with torch.enable_grad():
            x = views.x["clean"].detach().requires_grad_()
            losses = cross_entropy(model(x), batch.y, reduction="none")
            (slope,) = torch.autograd.grad(losses.sum(), x, create_graph=True)
        return {"clean": Term(losses), "slope": Term(slope.flatten(1).square().sum(1), self.lamb)}
