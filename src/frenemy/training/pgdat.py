"""PGDAT: adversarial training on PGD examples, the workhorse of robust training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views

__all__ = ["PGDAT"]


@final
@dataclass(frozen=True, slots=True)
class PGDAT:
    r"""Minimise the cross-entropy of what PGD makes of the inputs.

    $$ \min_\theta E \max_{x' \in S(x)} \ell(f_\theta(x'), y) $$

    Args:
        steps: of PGD.
        step_size: length of a step as a share of eps (2/255 of 8/255 in the released code for CIFAR-10).
        start: where PGD begins.

    Cost: `steps` + 1 forwards and backwards an example.
    """

    steps: int = 10
    step_size: float = 0.25
    start: str = "uniform"

    card: ClassVar[Card] = Card(
        authors="Madry, Makelov, Schmidt, Tsipras, Vladu",
        title="Towards deep learning models resistant to adversarial attacks",
        year=2018,
        venue="ICLR",
        link="arXiv:1706.06083",
        place="eq. 2.1",
        vicinity=("PGD(x)", "y", "identity", "identity", "yes"),
        deviations=(
            "batch norm uses its running statistics while PGD runs; the released code for CIFAR-10 trains it "
            "meanwhile (attack_mode=train)",
            "the rate drops after shares of the epochs, not after steps",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            "released code of arXiv:1706.06083",
            "lenet",
            "linf:0.3",
            {"steps": 40, "step_size": 1 / 30},
            {"epochs": 84, "batch_size": 50, "rate": 1e-4, "select": "last"},
        ),
        "cifar10": Preset(
            "released code of arXiv:1706.06083",
            "resnet18",
            "linf:8/255",
            regime={
                "epochs": 200,
                "optimiser": "sgd",
                "rate": 0.1,
                "schedule": "step",
                "milestones": (100, 150),
                "weight_decay": 2e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
                "attack_mode": "train",
            },
        ),
    }

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """Where PGD ends."""
        climb = Climb(self.steps, self.step_size, self.start)
        return Views({"enemy": climb(model, batch, threat=threat, objective=Untargeted(), key=key)})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy there."""
        return {"enemy": Term(cross_entropy(model(views.x["enemy"]), batch.y, reduction="none"))}
