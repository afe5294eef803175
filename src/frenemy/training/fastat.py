"""FastAT: adversarial training by one step from a random start."""

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

__all__ = ["FastAT"]


@final
@dataclass(frozen=True, slots=True)
class FastAT:
    r"""Minimise the cross-entropy one gradient step away from a random start.

    $$ x' = \Pi(x_0 + a\varepsilon \operatorname{sign} \nabla_x \ell(f(x_0), y)), \quad x_0 \sim U(S) $$

    One step can be fooled: the model may learn to bend the loss so that the step leads nowhere, and robust accuracy
    falls to nothing within an epoch (catastrophic overfitting). Set the regime's `guard`, which needs held-out
    examples.

    Args:
        step_size: a, length of the step as a share of eps.

    Cost: 2 forwards and backwards an example.
    """

    step_size: float = 1.25

    card: ClassVar[Card] = Card(
        authors="Wong, Rice, Kolter",
        title="Fast is better than free: revisiting adversarial training",
        year=2020,
        venue="ICLR",
        link="arXiv:2001.03994",
        place="Algorithm 3",
        vicinity=("one step of PGD(x)", "y", "identity", "identity", "yes"),
        deviations=(
            "the guard looks at held-out examples by 10 steps; the released code takes the first training batch "
            "by 5",
            "no normalisation of the inputs is assumed: sizes are in natural units",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            "released code of arXiv:2001.03994",
            "lenet",
            "linf:0.3",
            regime={
                "epochs": 10,
                "batch_size": 100,
                "rate": 5e-3,
                "schedule": "one-cycle",
                "hold_out": 1000,
                "guard": 0.2,
            },
        ),
        "cifar10": Preset(
            "arXiv:2001.03994, Section 5.1",
            "preactresnet18",
            "linf:8/255",
            regime={
                "epochs": 15,
                "optimiser": "sgd",
                "rate": 0.2,
                "schedule": "one-cycle",
                "weight_decay": 5e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
                "guard": 0.2,
            },
        ),
    }

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """One step from a random start."""
        climb = Climb(1, self.step_size, "uniform")
        return Views({"enemy": climb(model, batch, threat=threat, objective=Untargeted(), key=key)})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy there."""
        return {"enemy": Term(cross_entropy(model(views.x["enemy"]), batch.y, reduction="none"))}
