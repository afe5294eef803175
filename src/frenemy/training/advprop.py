"""AdvProp: clean inputs through one batch norm, adversarial ones through another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.masked import Masked, Worn, masked
from frenemy.models.masks import encoded
from frenemy.models.model import Model
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within

__all__ = ["AdvProp"]

_MAIN, _AUXILIARY = encoded(0.0, 2), encoded(1.0, 2)


@final
@dataclass(frozen=True, slots=True)
class AdvProp:
    r"""Minimise the clean loss and the loss at PGD examples, each through a batch norm of its own.

    $$ \ell(f_{\theta, c}(x), y) + \lambda\, \ell(f_{\theta, a}(x'), y), \quad x' = \arg\max_{x' \in S(x)}
    \ell(f_{\theta, a}(x'), y) $$

    where c is the main batch norm and a the auxiliary one: two sets of rescaling parameters and of running statistics,
    all other weights being shared. The attack looks at the model through the auxiliary one.

    Args:
        weight: lambda, of the adversarial loss, 0 or more; 0 is plain training of the main batch norm.
        steps: of PGD.
        step_size: length of a step as a share of eps.
        start: where PGD begins.
        deployed: which batch norm the model stands on when it is judged and afterwards: 0 the main one, 1 the
            auxiliary one; between, a mixture that was never trained.

    Cost: `steps` + 2 forwards and backwards an example.
    """

    weight: float = 1.0
    steps: int = 7
    step_size: float = 0.2
    start: str = "uniform"
    deployed: float = 0.0

    card: ClassVar[Card] = Card(
        authors="Xie, Tan, Gong, Wang, Yuille, Le",
        title="Adversarial examples improve image recognition",
        year=2020,
        venue="CVPR",
        link="arXiv:1911.09665",
        place="eq. 3, Algorithm 1",
        vicinity=("x and PGD(x)", "y", "identity", "identity", "yes"),
        deviations=(
            "PGD of 7 steps of eps / 5, as 004 runs it; the paper takes up to 5 steps of 1/255 at up to 4/255 on "
            "ImageNet",
            "the auxiliary batch norm uses its running statistics while PGD runs, which is better by the discussion of "
            "its reruns; attack_mode=batch takes those of the batch",
            "it is judged through the main batch norm, as the paper does; 004's Table 6.5 must have used the auxiliary "
            "one, for its clean accuracy is 9 points below that of Table 6.3",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "cifar10": Preset(
            "004, Section 6.4",
            "resnet18",
            "linf:8/255",
            regime={
                "epochs": 100,
                "optimiser": "sgd",
                "rate": 0.1,
                "schedule": "cosine",
                "weight_decay": 5e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
                "select": "clean",
            },
        ),
    }

    def __post_init__(self) -> None:
        within("weight", self.weight, float("inf"))
        within("deployed", self.deployed)

    def prepare(self, model: nn.Module) -> Masked:
        """Two batch norms for each, with statistics of their own."""
        return masked(model, 2, "own", self.deployed)

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, and where PGD through the auxiliary batch norm ends."""
        climb, through = Climb(self.steps, self.step_size, self.start), Worn(model, _AUXILIARY)
        enemy = climb(through, batch, threat=threat, objective=Untargeted(), key=key)
        return Views({"clean": batch.x, "enemy": enemy})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy at both, each through its own."""
        clean, enemy = (
            cross_entropy(Worn(model, mask)(views.x[name]), batch.y, reduction="none")
            for name, mask in (("clean", _MAIN), ("enemy", _AUXILIARY))
        )
        return {"clean": Term(clean), "enemy": Term(enemy, self.weight)}
