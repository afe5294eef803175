"""Bilateral: one step towards the most confusing class, and labels that are perturbed too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.targeted import Targeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within

__all__ = ["Bilateral"]


@final
@dataclass(frozen=True, slots=True)
class Bilateral:
    r"""Minimise the cross-entropy at one targeted step from a random start, against an adversarial label.

    $$ y'_k = \frac{\varepsilon_y}{K - 1} \cdot \frac{v_k - v_{MC} + \gamma}{\bar v - v_{MC} + \gamma}\ (k \ne y), \quad
       y'_y = 1 - \varepsilon_y, \quad v_k = -\log p_k(x) $$

    The most confusing class MC has the least v among the others, and is the target; \bar v is the mean of theirs. The
    others' labels sum to eps_y; the most confusing one has the least of it.

    Args:
        beta: how far a label may go: eps_y is 1 / (1 + beta / (K - 1)), so that the label keeps beta times the mean of
            the others; 0 or more.
        gamma: floor under the differences, above 0.
        steps: targeted steps; 1, or 2.
        step_size: their length as a share of eps; 1 or more reaches the corner.

    Cost: `steps` + 1 forwards and backwards an example and one forward for the labels.
    """

    beta: float = 9.0
    gamma: float = 0.01
    steps: int = 1
    step_size: float = 1.0

    card: ClassVar[Card] = Card(
        authors="Wang, Zhang",
        title="Bilateral adversarial training: towards fast training of more robust models against adversarial attacks",
        year=2019,
        venue="ICCV",
        link="arXiv:1811.10716",
        place="Sections 3.3 and 3.4",
        vicinity=(
            "one targeted step from x",
            "(1 - eps_y) y + what is perturbed",
            "identity",
            "identity",
            "yes",
        ),
        deviations=("the label is perturbed by the answer at the input, with the statistics of evaluation",),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "cifar10": Preset(
            "arXiv:1811.10716, Section 4",
            "wideresnet(depth=28)",
            "linf:8/255",
            regime={
                "epochs": 200,
                "optimiser": "sgd",
                "rate": 0.1,
                "schedule": "step",
                "milestones": (60, 90),
                "weight_decay": 5e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
            },
        ),
        "mnist": Preset("chosen here", "lenet", "linf:0.3", regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        within("beta", self.beta, float("inf"))
        if not 0 < self.gamma < float("inf"):
            raise UsageError(f"expected gamma to be above 0, got {self.gamma}; 0.01 is usual")

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """One step to the most confusing class, and the label."""
        with torch.no_grad():
            v = -model(batch.x).log_softmax(1)
        target = v.scatter(1, batch.y[:, None], torch.inf).argmin(1)
        climb = Climb(self.steps, self.step_size, "uniform")
        x = climb(model, batch, threat=threat, objective=Targeted(), key=key, goal=target)
        return Views({"enemy": x}, {}, {"label": self.label(v, batch.y)})

    def label(self, v: Tensor, y: Tensor) -> Tensor:
        """The perturbed label, `(batch, classes)`, from `v_k = -log p_k`."""
        classes = v.shape[1]
        share = 1 / (1 + self.beta / (classes - 1))
        own = torch.zeros_like(v, dtype=torch.bool).scatter_(1, y[:, None], True)
        least = v.masked_fill(own, torch.inf).amin(1, keepdim=True)
        part = (v - least + self.gamma).masked_fill(own, 0.0)
        others = share * part / part.sum(1, keepdim=True)
        return torch.where(own, 1 - share, others)

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy there against that label."""
        logits = model(views.x["enemy"])
        return {"enemy": Term(cross_entropy(logits, views.labels["label"].to(logits), reduction="none"))}
