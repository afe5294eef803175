"""MART: adversarial training that minds the examples the model gets wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.surrogates import KL
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, answers, within

__all__ = ["MART", "boosted"]


@final
@dataclass(frozen=True, slots=True)
class MART:
    r"""Minimise a boosted cross-entropy at the adversarial point, and divergence where the clean answer is unsure.

    $$ -\log p_y(x') - \log(1 - \max_{k \ne y} p_k(x')) + \lambda\, KL(p(x) \,\|\, p(x'))\, (1 - p_y(x)) $$

    Args:
        lamb: weight lambda of the divergence, 0 or more.
        steps: of PGD on the cross-entropy.
        step_size: length of a step as a share of eps.
        start: where PGD begins.
        forward: whether clean and adversarial points go through the model `joint`ly or each by themselves
            (`separate`, as in the released code), which differs under batch norm.

    Cost: `steps` + 2 forwards and backwards an example.
    """

    lamb: float = 5.0
    steps: int = 10
    step_size: float = 0.25
    start: str = "normal"
    forward: str = "separate"

    card: ClassVar[Card] = Card(
        authors="Wang, Zou, Yi, Bailey, Ma, Gu",
        title="Improving adversarial robustness requires revisiting misclassified examples",
        year=2020,
        venue="ICLR",
        link="OpenReview rklOg6EFwS",
        place="eq. 11",
        vicinity=("x and PGD(x)", "y", "identity", "y and f(x), weighted by 1 - f_y(x)", "yes"),
        deviations=(
            "logarithms are taken of softmax sums, not of probabilities with 1e-12 or 1.0001 added as in the "
            "released code, which is delicate",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "cifar10": Preset(
            "released code",
            "resnet18",
            "linf:0.031",
            {"step_size": 0.007 / 0.031},
            {
                "epochs": 120,
                "optimiser": "sgd",
                "rate": 0.01,
                "schedule": "step",
                "milestones": (75, 90, 100),
                "weight_decay": 3.5e-3,
                "augment": "crop-flip",
                "hold_out": 1000,
            },
        ),
        "mnist": Preset(
            "chosen here", "smallcnn", "linf:0.3", regime={"epochs": 20, "hold_out": 1000, "warm_up": 5}
        ),
    }

    def __post_init__(self) -> None:
        within("lamb", self.lamb, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, and where PGD ends."""
        climb = Climb(self.steps, self.step_size, self.start)
        return Views(
            {"clean": batch.x, "enemy": climb(model, batch, threat=threat, objective=Untargeted(), key=key)}
        )

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """The boosted cross-entropy and the weighted divergence; gradients flow through the weight too."""
        clean, enemy = answers(model, [views.x["clean"], views.x["enemy"]], self.forward)
        sure = clean.softmax(1).gather(1, batch.y[:, None]).squeeze(1)
        return {
            "boosted": Term(boosted(enemy, batch.y)),
            "divergence": Term(KL()(enemy, clean) * (1 - sure), self.lamb),
        }


def boosted(logits: Tensor, y: Tensor) -> Tensor:
    r"""Boosted cross-entropy `-log p_y - log(1 - max_{k != y} p_k)` of each row, in nats.

    The second logarithm is that of the sum of all other probabilities.
    """
    logs = log_softmax(logits, 1)
    rival = logs.scatter(1, y[:, None], -torch.inf).argmax(1, keepdim=True)
    rest = logs.scatter(1, rival, -torch.inf).logsumexp(1)
    return -logs.gather(1, y[:, None]).squeeze(1) - rest
