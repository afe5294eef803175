"""LabelSmoothing: plain training against labels that are not quite sure."""

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

__all__ = ["LabelSmoothing"]


@final
@dataclass(frozen=True, slots=True)
class LabelSmoothing:
    r"""Minimise the cross-entropy against a mixture of the label and the uniform distribution.

    $$ \ell(f(x), (1 - \alpha) y + \alpha / K) $$

    It makes cross-entropy attacks find less than there is: never judge it by those alone.

    Args:
        alpha: share of the uniform distribution, in [0, 1]; 0 is plain training.

    Cost: one forward and backward an example.
    """

    alpha: float = 0.1

    card: ClassVar[Card] = Card(
        authors="Szegedy, Vanhoucke, Ioffe, Shlens, Wojna",
        title="Rethinking the Inception architecture for computer vision",
        year=2016,
        venue="CVPR",
        link="arXiv:1512.00567",
        place="Section 7; 004, Table 5.1",
        vicinity=("x", "y", "identity", "(1 - alpha) y + alpha u", "no"),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset("chosen here", "lenet", None, regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        within("alpha", self.alpha)

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs."""
        return Views({"clean": batch.x})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy against the mixture."""
        losses = cross_entropy(model(views.x["clean"]), batch.y, reduction="none", label_smoothing=self.alpha)
        return {"clean": Term(losses)}
