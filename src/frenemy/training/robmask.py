"""RobMask: rescaling parameters that follow the strength of the perturbation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.masked import Masked, Worn, masked
from frenemy.models.masks import encoded
from frenemy.models.model import Model
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat, radii
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within

__all__ = ["RobMask"]


@final
@dataclass(frozen=True, slots=True)
class RobMask:
    r"""Minimise the loss at PGD examples of random strength, batch norm rescaling by the mask of that strength.

    $$ \min_{\theta, W, W'} E_{p \sim U(0, 1)}\, \ell(f_\theta(x', \gamma_p, \beta_p), y), \quad x' = \arg\max_{\lVert
    x' - x \rVert \le p\,\varepsilon} \ell(f_\theta(x', \gamma_p, \beta_p), y) $$

    $$ \gamma_p = \sum_j u_j w_j, \quad \beta_p = \sum_j u_j w'_j, \quad u = (1 - p)\, u_0 + p\, u_{\varepsilon} $$

    One p is drawn for a batch. The threat's eps is the largest.

    Args:
        bases: k, at least 1; 1 is PGD training at random strengths.
        steps: of PGD.
        step_size: length of a step as a share of p eps.
        start: where PGD begins.
        clean: share of the loss at the inputs themselves, through the mask of p = 0, in [0, 1].
        statistics: of batch norm: `shared` by all bases, or `own` for each.
        deployed: the p whose mask the model stands on when it is judged and afterwards.

    Cost: `steps` + 1 forwards and backwards an example, one more with a `clean` share.
    """

    bases: int = 2
    steps: int = 7
    step_size: float = 0.2
    start: str = "uniform"
    clean: float = 0.0
    statistics: str = "shared"
    deployed: float = 0.0

    card: ClassVar[Card] = Card(
        authors="Cheng",
        title="On the Robustness of Neural Network: Attacks and Defenses",
        year=2021,
        venue="UCLA",
        link="https://escholarship.org/uc/item/3k2780bg",
        place="Section 6.3, eq. 6.2, Algorithm 10",
        vicinity=("PGD(x) within p eps", "y", "identity", "identity", "yes"),
        deviations=(
            "no code was released; the mask while PGD runs is not said: here it is that of p, so that the attack "
            "differentiates through what is trained",
            "the mask at test time is not said, and Tables 6.3 and 6.5 (96.10 and 89.99 % clean, same net) cannot have "
            "the same: here it is a setting, deployed, and never a function of the input",
            "clean=0, as Algorithm 10; the text says that clean examples are used as well: clean=0.5",
            "PGD starts at random, as Section 6.4 says; Algorithm 10 starts it at the input",
            "a step is a share of p eps, not of eps, and the points are kept in the box",
            "for k > 2 the encoding is not said: bases stand at evenly spaced p, and the two nearest are mixed",
            "AdvProp is not the case k = 2, p = 1 frozen: it has clean losses at p = 0 too, and statistics of its own",
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
        encoded(0.0, self.bases)
        within("clean", self.clean)
        within("deployed", self.deployed)

    def prepare(self, model: nn.Module) -> Masked:
        """So many bases for each batch norm."""
        return masked(model, self.bases, self.statistics, self.deployed)

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, and where PGD of a random strength ends under the mask of that strength."""
        place = torch.tensor([memory.step], device=batch.x.device)
        p = key.fold("p").uniform(place, (), batch.x.dtype)[0]
        eps = p * radii(threat.eps, batch.x)
        climb, through = Climb(self.steps, self.step_size, self.start), Worn(model, encoded(p, self.bases))
        enemy = climb(through, batch, threat=threat.at(eps), objective=Untargeted(), key=key)
        return Views({"clean": batch.x, "enemy": enemy}, {"p": p.expand(len(batch)), "eps": eps})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy there under the same mask, and at the inputs under that of no perturbation."""
        through = Worn(model, encoded(views.facts["p"][0], self.bases))
        found = {
            "enemy": Term(cross_entropy(through(views.x["enemy"]), batch.y, reduction="none"), 1 - self.clean)
        }
        if self.clean:
            clean = Worn(model, encoded(0.0, self.bases))(views.x["clean"])
            found["clean"] = Term(cross_entropy(clean, batch.y, reduction="none"), self.clean)
        return found
