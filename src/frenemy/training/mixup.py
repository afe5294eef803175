"""Mixup: plain training on mixtures of two examples and of their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.rng import Key
from frenemy.threats.threat import Threat, broadcast
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within
from frenemy.training.vicinity import mixed, one_eps, partners

__all__ = ["Mixup"]


@final
@dataclass(frozen=True, slots=True)
class Mixup:
    r"""Minimise the cross-entropy on the line between two examples.

    $$ \lambda\, \ell(f(\tilde x), y_i) + (1 - \lambda)\, \ell(f(\tilde x), y_j), \quad
       \tilde x = \lambda x_i + (1 - \lambda) x_j, \quad \lambda \sim \operatorname{Beta}(a, a) $$

    which is the cross-entropy against the mixed label, as that is linear in the label.

    Args:
        shape: a, above 0; 1 is uniform, small ones seldom mix.

    Cost: one forward and backward an example.
    """

    shape: float = 1.0

    card: ClassVar[Card] = Card(
        authors="Zhang, Cisse, Dauphin, Lopez-Paz",
        title="mixup: Beyond empirical risk minimization",
        year=2018,
        venue="ICLR",
        link="arXiv:1710.09412",
        place="Section 2; 004, Table 5.1",
        vicinity=(
            "lambda x_i + (1 - lambda) x_j",
            "lambda y_i + (1 - lambda) y_j",
            "identity",
            "identity",
            "no",
        ),
        deviations=(
            "lambda is drawn for each example; the released code draws one for a batch",
            "004 (Section 5.3.3) mixes the inputs by lambda and the labels by 1 - lambda; both by lambda here",
            "with several processes partners come from the rows of the same process",
        ),
    )
    blends: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset("chosen here", "lenet", None, regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        within("shape", self.shape, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The mixtures, the labels of the partners, and the shares.

        Raises:
            UsageError: the threat has an eps for each example.
        """
        one_eps(threat, "Mixup")
        other, share = partners(batch, key.fold("partner")), mixed(batch, self.shape, key.fold("share"))
        weight = broadcast(share, batch.x)
        x = weight * batch.x + (1 - weight) * batch.x[other]
        return Views({"mixed": x}, {"share": share}, {"other": batch.y[other]})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy against both labels, by their shares."""
        logits, share = model(views.x["mixed"]), views.facts["share"]
        own = cross_entropy(logits, batch.y, reduction="none")
        other = cross_entropy(logits, views.labels["other"], reduction="none")
        return {"mixed": Term(share * own + (1 - share) * other)}
