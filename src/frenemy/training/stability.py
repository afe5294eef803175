"""Stability: the answer at a noisy input is held to the clean one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.surrogates import KL
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, answers, within
from frenemy.training.vicinity import noisy

__all__ = ["Stability"]


@final
@dataclass(frozen=True, slots=True)
class Stability:
    r"""Minimise the clean cross-entropy and the divergence of the noisy answer from the clean one.

    $$ \ell(f(x), y) + \alpha\, KL(f(x) \,\|\, f(x + \Delta z)), \quad z \sim \mathcal N(0, 1) $$

    Args:
        alpha: weight of the divergence, 0 or more.
        deviation: Delta, in the units of the inputs, 0 or more.
        forward: both points in one forward (`joint`) or one each (`separate`), which differs under batch norm.

    Cost: two forwards and backwards an example.
    """

    alpha: float = 1.0
    deviation: float = 0.1
    forward: str = "joint"

    card: ClassVar[Card] = Card(
        authors="Zheng, Song, Leung, Goodfellow",
        title="Improving the robustness of deep neural networks via stability training",
        year=2016,
        venue="CVPR",
        link="arXiv:1604.04326",
        place="eq. 5 and 9; 004, Table 5.1",
        vicinity=("x and N(x, Delta^2)", "y", "identity", "KL to f(x)", "no"),
        deviations=(
            "004 writes g = f(x) o f(x~), which is not this loss",
            "the divergence carries gradients on both sides; noisy inputs are not put back into the box",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset("chosen here", "lenet", None, regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        within("alpha", self.alpha, float("inf"))
        within("deviation", self.deviation, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, plain and noisy."""
        return Views({"clean": batch.x, "noisy": noisy(batch, self.deviation, key)})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy, and the divergence."""
        clean, other = answers(model, [views.x["clean"], views.x["noisy"]], self.forward)
        return {
            "clean": Term(cross_entropy(clean, batch.y, reduction="none")),
            "divergence": Term(KL()(other, clean), self.alpha),
        }
