"""SENSE: adversarial training that stops before an example is no longer its own class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat, radii
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within

__all__ = ["SENSE"]


@final
@dataclass(frozen=True, slots=True)
class SENSE:
    r"""Minimise the cross-entropy at the worst point where the model still gives the label more than c.

    $$ \min_\theta E\, \ell(f_\theta(\tilde x^s), y), \quad \tilde x^s = \arg\max \{\ell(f(x'), y) : x' \in S(x),\
    p_y(x') > c\} $$

    PGD climbs until the loss is above `-log c`; then the example goes one step back and rests (sensible reversion).
    Examples whose clean loss is above it already are left as they are. What is logged (001, Section 4.3): the share
    `ignored` (clean loss above), `reverted` (some step back) and `full` (all steps taken).

    Args:
        c: least probability of the label, in [0, 1]; 1 is standard training, 0 is adversarial training on the examples.
        steps: K.
        step_size: length of a step as a share of eps.
        start: where PGD begins; one that is too far at its random start goes back to the input and rests there.
        warm_up: epochs of adversarial training before, on examples that are answered rightly.

    Cost: at most `steps` + 2 forwards and `steps` + 1 backwards an example; examples that rest cost nothing more.
    """

    c: float = 0.5
    steps: int = 10
    step_size: float = 0.25
    start: str = "uniform"
    warm_up: int = 0

    card: ClassVar[Card] = Card(
        authors="Kim, Wang",
        title="Robust sensible adversarial learning of deep neural networks for image classification",
        year=2022,
        venue="arXiv preprint",
        link="arXiv:2205.10457",
        place="Algorithms 1 and 2",
        vicinity=("PGD(x), stepped back while f_y > c", "y", "identity", "identity", "yes"),
        deviations=(
            "the filter is the loss, p_y > c, as in Definition 3; Algorithm 1 asks f(x) = y, and they differ for c "
            "below 1/2, where c = 0 would not be adversarial training",
            "an example that is ignored stays the input; the released code leaves the random start's noise on it, "
            "and asks at the noisy point",
            "steps in any norm are steepest; Algorithm 2 divides by the norm of the gradient, which is steepest for L2 "
            "alone",
            "the point after the last step is asked too, so that p_y > c holds for it",
        ),
    )
    rowwise: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            "001, Section 5.2",
            "smallcnn",
            "linf:0.3",
            {"c": 0.7, "step_size": 1 / 6},
            {"epochs": 500, "optimiser": "sgd", "rate": 0.01},
        ),
        "cifar10": Preset(
            "001, Table 1",
            "wideresnet(depth=34)",
            "linf:8/255",
            {"warm_up": 10},
            {
                "epochs": 300,
                "batch_size": 256,
                "optimiser": "sgd",
                "rate": 0.1,
                "schedule": "step",
                "milestones": (70, 90, 100),
                "drop": 0.2,
                "weight_decay": 5e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
            },
        ),
    }

    def __post_init__(self) -> None:
        within("c", self.c)
        within("warm_up", self.warm_up, float("inf"))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """Where the sensible search ends."""
        climb = Climb(self.steps, self.step_size, self.start)
        with torch.no_grad():
            logits = model(batch.x)
        warm = memory.epoch < self.warm_up
        limit = -math.log(self.c) if self.c else math.inf
        open_ = (
            logits.argmax(1) == batch.y if warm else cross_entropy(logits, batch.y, reduction="none") <= limit
        )
        x, steps = batch.x.clone(), torch.zeros(len(batch), device=batch.x.device)
        rows = open_.nonzero().flatten()
        if len(rows):
            took = _Count(math.inf if warm else limit, len(rows), batch.x.device)
            x[rows] = climb(
                model,
                batch.rows(rows),
                threat=threat.at(radii(threat.eps, batch.x)[rows]),
                objective=Untargeted(),
                key=key,
                rest=None if warm or self.c == 0 else took,
            )
            steps[rows] = took.full
        facts = {
            "ignored": (~open_).double(),
            "reverted": (open_ & (steps == 0)).double(),
            "full": (steps > 0).double(),
        }
        return Views({"enemy": x}, facts)

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy there."""
        return {"enemy": Term(cross_entropy(model(views.x["enemy"]), batch.y, reduction="none"))}


@final
class _Count:
    """Says which rows have gone too far, and remembers which never did."""

    def __init__(self, limit: float, rows: int, device: torch.device) -> None:
        self._limit = limit
        self.full = torch.ones(rows, device=device)

    def __call__(self, loss: Tensor, rows: Tensor) -> Tensor:
        gone = loss > self._limit
        self.full[rows] = (~gone).to(self.full)
        return gone
