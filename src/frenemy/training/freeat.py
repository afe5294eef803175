"""FreeAT: each backward pass moves the weights and the perturbation at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.models.model import Model
from frenemy.rng import Key
from frenemy.threats.threat import Threat, radii
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views
from frenemy.training.update import Replay

__all__ = ["FreeAT"]


@final
@dataclass(frozen=True, slots=True)
class FreeAT:
    r"""Replay each batch m times; one backward gives the gradient for the weights and for the perturbation.

    $$ \theta \leftarrow \theta - \eta \nabla_\theta \ell(f(x + \delta), y), \quad \delta \leftarrow
    \Pi(\delta + a\varepsilon \operatorname{sign} \nabla_x \ell(f(x + \delta), y)) $$

    both from the same backward. The perturbation is carried over to the next batch by position in the batch, and so
    belongs to another example there, as in the source.

    Args:
        replays: m, at least 1; divide the epochs by it to train as long as usual.
        step_size: a, length of a step as a share of eps.

    Cost: `replays` forwards and backwards an example; a batch of perturbations in memory.
    """

    replays: int = 8
    step_size: float = 1.0

    card: ClassVar[Card] = Card(
        authors="Shafahi, Najibi, Ghiasi, Xu, Dickerson, Studer, Davis, Taylor, Goldstein",
        title="Adversarial training for free!",
        year=2019,
        venue="NeurIPS",
        link="arXiv:1904.12843",
        place="Algorithm 1",
        vicinity=("x + delta of the last replay", "y", "identity", "identity", "yes"),
        deviations=(
            "batch norm trains on every replay, as in the released code, and so does the gradient for delta",
            "with several processes a checkpoint holds the perturbations of the first alone",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "cifar10": Preset(
            "arXiv:1904.12843, Section 4",
            "wideresnet(depth=34)",
            "linf:8/255",
            regime={
                "epochs": 25,
                "optimiser": "sgd",
                "rate": 0.1,
                "schedule": "step",
                "milestones": (12, 19),
                "weight_decay": 2e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
            },
        ),
        "mnist": Preset(
            "chosen here",
            "lenet",
            "linf:0.3",
            {"step_size": 0.25},
            {"epochs": 10, "hold_out": 1000, "rate": 5e-4},
        ),
    }

    @property
    def update(self) -> Replay:
        """Each batch several times."""
        return Replay(self.replays)

    def remember(self, memory: Memory, examples: Examples, batch_size: int) -> None:
        """One perturbation for each place of a batch, none at first."""
        memory.shared["delta"] = torch.zeros(batch_size, *examples.x.shape[1:])

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The perturbed inputs, as leaves whose gradient the coming backward leaves behind."""
        delta = memory.shared["delta"][: len(batch)].to(batch.x)
        x = threat.retract(batch.x + delta, batch.x, radii(threat.eps, batch.x))
        return Views({"enemy": x.detach().requires_grad_()})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy there."""
        return {"enemy": Term(cross_entropy(model(views.x["enemy"]), batch.y, reduction="none"))}

    def learn(self, memory: Memory, batch: Batch, views: Views, threat: Threat) -> None:
        """Move the perturbations up the gradient that the backward left."""
        x, eps = views.x["enemy"], radii(threat.eps, batch.x)
        gradient = torch.zeros_like(x) if x.grad is None else x.grad
        moved = threat.retract(threat.move(x.detach(), gradient, self.step_size * eps), batch.x, eps)
        memory.shared["delta"][: len(batch)] = (moved - batch.x).to(memory.shared["delta"])
