"""Gaussian: plain training on noisy inputs, with or without smoothed labels."""

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
from frenemy.training.vicinity import noisy, smoothed

__all__ = ["Gaussian"]


@final
@dataclass(frozen=True, slots=True)
class Gaussian:
    r"""Minimise the cross-entropy at inputs with normal noise, against smoothed labels.

    $$ \ell(f(x + \Delta z), (1 - \alpha) y + \alpha / K), \quad z \sim \mathcal N(0, 1) $$

    With alpha = 0 Gaussian augmentation, with both their combination.

    Args:
        deviation: Delta, in the units of the inputs, 0 or more.
        alpha: share of the uniform distribution in the label, in [0, 1].

    Cost: one forward and backward an example, as plain training.
    """

    deviation: float = 0.1
    alpha: float = 0.0

    card: ClassVar[Card] = Card(
        authors="Zantedeschi, Nicolae, Rawat",
        title="Efficient defenses against adversarial attacks",
        year=2017,
        venue="AISec",
        link="arXiv:1707.06728",
        place="Section 4; 004, Table 5.1",
        vicinity=("N(x, Delta^2)", "y", "identity", "(1 - alpha) y + alpha u", "no"),
        deviations=("noisy inputs are not put back into the box",),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset("004, Section 5.3.2", "lenet", None, regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        within("alpha", self.alpha)
        within("deviation", self.deviation, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The noisy inputs."""
        return Views({"noisy": noisy(batch, self.deviation, key)})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy there."""
        logits = model(views.x["noisy"])
        if self.alpha == 0:
            return {"noisy": Term(cross_entropy(logits, batch.y, reduction="none"))}
        classes = logits.shape[1]
        goal = smoothed(batch.y, classes, self.alpha, 1 / classes).to(logits)
        return {"noisy": Term(cross_entropy(logits, goal, reduction="none"))}
