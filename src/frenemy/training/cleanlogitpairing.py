"""CleanLogitPairing: plain training on noisy inputs that holds the logits of any two examples together; no attack."""

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
from frenemy.training.vicinity import noisy, partners

__all__ = ["CleanLogitPairing"]


@final
@dataclass(frozen=True, slots=True)
class CleanLogitPairing:
    r"""Minimise the cross-entropy at noisy inputs, and the squared distance of the logits of two examples.

    $$ \ell(f(\tilde x_i), y_i) + \lambda \frac1K \sum_k (Z_k(\tilde x_i) - Z_k(\tilde x_j))^2, \quad
       \tilde x = x + \Delta z,\ z \sim \mathcal N(0, 1) $$

    for a random partner j in the batch, of whatever class. It makes logits, and with them gradients, small, more than
    models robust (Engstrom et al. 2018; Mosbach et al. 2018): judge it by what needs no gradients, too.

    Args:
        lamb: lambda, 0 or more; 0 is Gaussian augmentation.
        deviation: Delta, in the units of the inputs, 0 or more.

    Cost: one forward and backward an example, as plain training.
    """

    lamb: float = 0.5
    deviation: float = 0.1

    card: ClassVar[Card] = Card(
        authors="Kannan, Kurakin, Goodfellow",
        title="Adversarial logit pairing",
        year=2018,
        venue="arXiv preprint",
        link="arXiv:1803.06373",
        place="clean logit pairing",
        vicinity=("N(x, Delta^2)", "y", "identity", "logits of two examples together", "no"),
        deviations=(
            "partners are a permutation of the batch; the source pairs its first half with its second",
            "the squared distance is a mean over the classes, as in the released code",
            "noisy inputs are not put back into the box; with several processes partners come from the rows of the "
            "same process",
        ),
    )
    blends: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset("chosen here", "lenet", None, regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        within("lamb", self.lamb, float("inf"))
        within("deviation", self.deviation, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The noisy inputs, and the places of the partners in the batch."""
        place = partners(batch, key.fold("partner"))
        return Views({"noisy": noisy(batch, self.deviation, key.fold("noise"))}, {}, {"partner": place})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy, and the distance to the logits of the partner."""
        logits = model(views.x["noisy"])
        other = logits[views.labels["partner"]]
        return {
            "noisy": Term(cross_entropy(logits, batch.y, reduction="none")),
            "pairing": Term((logits - other).square().mean(1), self.lamb),
        }
