"""Standard: training on the examples as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within

__all__ = ["Standard"]


@final
@dataclass(frozen=True, slots=True)
class Standard:
    r"""Minimise the cross-entropy of the clean inputs.

    $$ \min_\theta E\, \ell(f_\theta(x), y) $$

    Args:
        smoothing: share in [0, 1) of each label that is spread evenly over all classes (Szegedy et al. 2016).

    Cost: one forward and backward an example.
    """

    smoothing: float = 0.0

    card: ClassVar[Card] = Card(vicinity=("x", "y", "identity", "identity", "no"))
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            "000, A.2",
            "lenet",
            None,
            regime={"epochs": 80, "rate": 1e-3, "hold_out": 1000, "select": "clean"},
        ),
        "cifar10": Preset(
            "000, A.2",
            "resnet18",
            None,
            regime={
                "epochs": 150,
                "optimiser": "sgd",
                "rate": 0.1,
                "schedule": "step",
                "milestones": (90, 125),
                "weight_decay": 2e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
                "select": "clean",
            },
        ),
    }

    def __post_init__(self) -> None:
        within("smoothing", self.smoothing)

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs themselves."""
        return Views({"clean": batch.x})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy."""
        logits = model(views.x["clean"])
        return {
            "clean": Term(cross_entropy(logits, batch.y, reduction="none", label_smoothing=self.smoothing))
        }
