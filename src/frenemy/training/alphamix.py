"""AlphaMix: clean and adversarial loss side by side, in fixed shares."""

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

__all__ = ["AlphaMix"]


@final
@dataclass(frozen=True, slots=True)
class AlphaMix:
    r"""Minimise a share of the clean loss and the rest of the loss at an adversarial point.

    $$ \alpha\, \ell(f(x), y) + (1 - \alpha)\, \ell(f(x'), y), \quad x' = x + \varepsilon \operatorname{sign} \nabla_x
    \ell(f(x), y) $$

    Args:
        alpha: weight of the clean loss, in [0, 1].
        steps: of the search; 1 with a `step_size` of 1 from the input is the fast gradient sign.
        step_size: length of a step as a share of eps.
        start: where the search begins.
        forward: whether clean and adversarial points go through the model `joint`ly or each by themselves
            (`separate`), which differs under batch norm.

    Cost: `steps` + 2 forwards and backwards an example.
    """

    alpha: float = 0.5
    steps: int = 1
    step_size: float = 1.0
    start: str = "input"
    forward: str = "joint"

    card: ClassVar[Card] = Card(
        authors="Goodfellow, Shlens, Szegedy",
        title="Explaining and harnessing adversarial examples",
        year=2015,
        venue="ICLR",
        link="arXiv:1412.6572",
        place="Section 6",
        vicinity=("x and PGD(x)", "y", "identity", "identity", "yes"),
        deviations=("the losses are mixed, as in the paper; some libraries mix the examples of a batch",),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            "arXiv:1412.6572, Section 6", "mlp", "linf:0.25", regime={"epochs": 30, "hold_out": 1000}
        )
    }

    def __post_init__(self) -> None:
        within("alpha", self.alpha)

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, and where the search for an enemy ends."""
        climb = Climb(self.steps, self.step_size, self.start)
        return Views(
            {"clean": batch.x, "enemy": climb(model, batch, threat=threat, objective=Untargeted(), key=key)}
        )

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy at both."""
        clean, enemy = answers(model, [views.x["clean"], views.x["enemy"]], self.forward)
        return {
            "clean": Term(cross_entropy(clean, batch.y, reduction="none"), self.alpha),
            "enemy": Term(cross_entropy(enemy, batch.y, reduction="none"), 1 - self.alpha),
        }
