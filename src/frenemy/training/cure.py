"""CURE: plain training that keeps the loss straight around the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.rng import Key
from frenemy.threats.threat import Threat, broadcast
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within

__all__ = ["CURE"]


@final
@dataclass(frozen=True, slots=True)
class CURE:
    r"""Minimise the cross-entropy and how much its gradient changes along the sign of itself (curvature).

    $$ \ell(f(x), y) + \gamma \|\nabla_x \ell(x + h z) - \nabla_x \ell(x)\|_2^2, \quad
       z = \frac{\operatorname{sign} \nabla_x \ell(x)}{\|\operatorname{sign} \nabla_x \ell(x)\|_2} $$

    Args:
        gamma: 0 or more; 0 is plain training.
        h: length of the step at which the gradient is asked again, in the units of the inputs.

    Cost: the direction costs a forward and backward, the two gradients a backward through each: about six times plain
    training.
    """

    gamma: float = 4.0
    h: float = 1.5

    card: ClassVar[Card] = Card(
        authors="Moosavi-Dezfooli, Fawzi, Uesato, Frossard",
        title="Robustness via curvature regularization, and vice versa",
        year=2019,
        venue="CVPR",
        link="arXiv:1811.09716",
        place="Section 4.1, eq. 4",
        vicinity=("x and x + h z", "y", "identity", "gradients of both alike", "no"),
        deviations=(
            "the source trains a model that is trained already; give it with --weights",
            "the point x + h z may lie outside the box, as in the source",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset("chosen here", "lenet", None, regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        within("gamma", self.gamma, float("inf"))
        within("h", self.h, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, and the points beside them."""
        with torch.enable_grad():
            leaf = batch.x.detach().requires_grad_()
            losses = cross_entropy(model(leaf), batch.y, reduction="none")
            (slope,) = torch.autograd.grad(losses.sum(), leaf)
        way = slope.sign()
        length = way.flatten(1).norm(dim=1).clamp(min=1e-12)
        return Views({"clean": batch.x, "beside": batch.x + self.h * way / broadcast(length, way)})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy, and the squared change of its gradient."""
        losses, slope = _sloped(model, views.x["clean"], batch.y)
        if self.gamma == 0:
            return {"clean": Term(losses)}
        _, beside = _sloped(model, views.x["beside"], batch.y)
        return {
            "clean": Term(losses),
            "curvature": Term((beside - slope).flatten(1).square().sum(1), self.gamma),
        }


def _sloped(model: Model, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of each row and its gradient in the input, both with their graph."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        losses = cross_entropy(model(leaf), y, reduction="none")
        (slope,) = torch.autograd.grad(losses.sum(), leaf, create_graph=True)
    return losses, slope
