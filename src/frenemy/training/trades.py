"""TRADES: clean accuracy, and answers that stay as they are nearby."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.reversal import Reversal
from frenemy.objectives.surrogates import KL
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, answers, within

__all__ = ["TRADES"]


@final
@dataclass(frozen=True, slots=True)
class TRADES:
    r"""Minimise the clean loss and how far answers can be driven from the clean ones.

    $$ \ell(f(x), y) + \beta\, KL(p(x) \,\|\, p(x')), \quad x' = \arg\max_{x' \in S(x)} KL(p(x) \,\|\, p(x')) $$

    Args:
        beta: weight of the divergence, 0 or more (6 for CIFAR-10, 1 for MNIST).
        steps: of the search.
        step_size: length of a step as a share of eps.
        start: where the search begins; at the input itself the divergence is flat.
        forward: `joint`, clean and moved points in one forward; `separate`, one each; `released`, clean, moved and
            clean again, as the released code. They differ under batch norm.
        detach: let no gradient flow through the clean answer of the divergence (the source lets it).

    Cost: `steps` + 2 forwards and backwards an example, one forward more for the clean answer.
    """

    beta: float = 6.0
    steps: int = 10
    step_size: float = 0.25
    start: str = "normal"
    forward: str = "separate"
    detach: bool = False

    card: ClassVar[Card] = Card(
        authors="Zhang, Yu, Jiao, Xing, Ghaoui, Jordan",
        title="Theoretically principled trade-off between robustness and accuracy",
        year=2019,
        venue="ICML",
        link="arXiv:1901.08573",
        place="eq. 5, Algorithm 1",
        vicinity=("x and PGD(x)", "y", "identity", "y and f(x)", "yes"),
        deviations=(
            "two forwards where the released code has three; forward=released gives its losses",
            "the clean answer is computed once for the whole search, not at each step",
            "004's Table 5.1 writes h = (1 - a) y + a f(x') at PGD(x), which is not this loss: the label is asked "
            "of f(x), and f(x) of f(x')",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            "arXiv:1901.08573, Section 5.3",
            "smallcnn",
            "linf:0.3",
            {"beta": 1.0, "steps": 40, "step_size": 1 / 30},
            {"epochs": 100, "optimiser": "sgd", "rate": 0.01, "schedule": "step", "milestones": (55, 75, 90)},
        ),
        "cifar10": Preset(
            "released code of arXiv:1901.08573",
            "wideresnet(depth=34)",
            "linf:0.031",
            {"step_size": 0.007 / 0.031},
            {
                "epochs": 76,
                "optimiser": "sgd",
                "rate": 0.1,
                "schedule": "step",
                "milestones": (75,),
                "weight_decay": 2e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
            },
        ),
    }

    def __post_init__(self) -> None:
        within("beta", self.beta, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, and where the divergence from their answers is large."""
        with torch.no_grad():
            goal = model(batch.x)
        climb = Climb(self.steps, self.step_size, self.start)
        moved = climb(model, batch, threat=threat, objective=Reversal(KL()), key=key, goal=goal)
        return Views({"clean": batch.x, "moved": moved})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy at the inputs, divergence at the moved points."""
        points = [views.x["clean"], views.x["moved"]]
        if self.forward == "released":
            clean, moved, again = answers(model, [*points, points[0]], "separate")
        else:
            clean, moved = answers(model, points, self.forward)
            again = clean
        return {
            "clean": Term(cross_entropy(clean, batch.y, reduction="none")),
            "divergence": Term(KL()(moved, again.detach() if self.detach else again), self.beta),
        }
