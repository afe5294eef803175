"""LogitPairing: adversarial training that holds the logits of an input and of its enemy together."""

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
from frenemy.training.recipe import Preset, Term, Terms, Views, answers, within

__all__ = ["LogitPairing"]


@final
@dataclass(frozen=True, slots=True)
class LogitPairing:
    r"""Minimise both losses, and the squared distance of the logits.

    $$ \alpha\, \ell(f(x), y) + (1 - \alpha)\, \ell(f(x'), y) + \lambda \frac1K \sum_k (Z_k(x) - Z_k(x'))^2, \quad
       x' = \arg\max_{S(x)} \ell $$

    It makes gradients small more than models robust (Engstrom et al. 2018): judge it by what needs none, too.

    Args:
        lamb: lambda, 0 or more; 0 is alpha-mix.
        alpha: weight of the clean loss, in [0, 1].
        steps, step_size, start: of PGD, the step as a share of eps.
        forward: both points in one forward (`joint`) or one each (`separate`).

    Cost: `steps` + 2 forwards and backwards an example.
    """

    lamb: float = 0.5
    alpha: float = 0.5
    steps: int = 10
    step_size: float = 0.25
    start: str = "uniform"
    forward: str = "joint"

    card: ClassVar[Card] = Card(
        authors="Kannan, Kurakin, Goodfellow",
        title="Adversarial logit pairing",
        year=2018,
        venue="arXiv preprint",
        link="arXiv:1803.06373",
        place="eq. 1",
        vicinity=("x and PGD(x)", "y", "identity", "logits of both together", "yes"),
        deviations=("the squared distance is a mean over the classes, as in the released code",),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            "arXiv:1803.06373, Section 4", "lenet", "linf:0.3", {"steps": 40, "step_size": 1 / 30},
            {"epochs": 20, "hold_out": 1000},
        )
    }  # fmt: skip

    def __post_init__(self) -> None:
        within("alpha", self.alpha)
        within("lamb", self.lamb, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, and where PGD ends."""
        climb = Climb(self.steps, self.step_size, self.start)
        enemy = climb(model, batch, threat=threat, objective=Untargeted(), key=key)
        return Views({"clean": batch.x, "enemy": enemy})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy at both, and the pairing."""
        clean, enemy = answers(model, [views.x["clean"], views.x["enemy"]], self.forward)
        return {
            "clean": Term(cross_entropy(clean, batch.y, reduction="none"), self.alpha),
            "enemy": Term(cross_entropy(enemy, batch.y, reduction="none"), 1 - self.alpha),
            "pairing": Term((clean - enemy).square().mean(1), self.lamb),
        }
