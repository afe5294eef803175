"""THRM: clean accuracy, and answers that no false friend can improve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.surrogates import KL
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, answers, within

__all__ = ["THRM"]


@final
@dataclass(frozen=True, slots=True)
class THRM:
    r"""Minimise the natural risk and the tight bound of the hypocritical risk.

    $$ \ell(f(x), y) + \lambda\, KL(p(x) \,\|\, p(x_{hyp})), \quad x_{hyp} = \arg\min_{x' \in S(x)} \ell(f(x'), y) $$

    A false friend moves an input to where the model looks right; the answers are asked to stay where they are. It is
    no defence against enemies.

    Args:
        lamb: weight lambda of the divergence, 0 or more.
        steps: of the search (000, A.2: 10).
        step_size: length of a step as a share of eps (000, A.2: 1/4).
        start: where the search begins.
        noise: deviation of the start `normal`, in the units of the inputs.
        forward: `joint`, clean and moved points in one forward, as in the released code; `separate`, one each. They
            differ under batch norm.
        detach: let no gradient flow through the clean answer of the divergence (the source lets it).

    Cost: `steps` + 2 forwards and backwards an example.
    """

    lamb: float = 100.0
    steps: int = 10
    step_size: float = 0.25
    start: str = "normal"
    noise: float = 0.01
    forward: str = "joint"
    detach: bool = False

    card: ClassVar[Card] = Card(
        authors="Tao, Chen",
        title="With false friends like these, who can have self-knowledge?",
        year=2020,
        link="arXiv:2012.14738",
        place="eq. 6",
        vicinity=("x and the false friend's PGD(x)", "y", "identity", "y and f(x)", "yes"),
        deviations=(
            "the paper calls the bound with x_hyp the tighter one and writes the other into eq. 5",
            "a search that is restarted begins at fresh noise; the released code adds noise to the last start",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset("000, A.2", "mlp", "linf:0.2", regime={"epochs": 80, "hold_out": 1000}),
        "cifar10": Preset(
            "000, A.2",
            "wideresnet(depth=28)",
            "linf:8/255",
            regime={
                "epochs": 150,
                "optimiser": "sgd",
                "rate": 0.1,
                "schedule": "step",
                "milestones": (90, 125),
                "weight_decay": 2e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
            },
        ),
    }

    def __post_init__(self) -> None:
        within("lamb", self.lamb, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, and where a false friend moves them."""
        climb = Climb(self.steps, self.step_size, self.start, self.noise)
        moved = climb(model, batch, threat=threat, objective=Hypocritical(), key=key)
        return Views({"clean": batch.x, "friend": moved})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy at the inputs, divergence at the friend's points."""
        clean, friend = answers(model, [views.x["clean"], views.x["friend"]], self.forward)
        return {
            "clean": Term(cross_entropy(clean, batch.y, reduction="none")),
            "divergence": Term(KL()(friend, clean.detach() if self.detach else clean), self.lamb),
        }
