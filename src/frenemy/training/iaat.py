"""IAAT: adversarial training in which each example has an eps of its own."""

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
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat, radii
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within

__all__ = ["IAAT"]


@final
@dataclass(frozen=True, slots=True)
class IAAT:
    r"""Let the eps of each example grow while the model withstands it, and shrink where it does not.

    $$ \varepsilon_i' = \varepsilon_i + \gamma \text{ if right at } \varepsilon_i + \gamma;\ \varepsilon_i \text{ if
    right at } \varepsilon_i;\ \varepsilon_i - \gamma \text{ else; } 0 \text{ if wrong when clean}; \quad
    \varepsilon_i \leftarrow (1 - \beta) \varepsilon_i + \beta \varepsilon_i' $$

    The threat's eps is that of the warm-up, in which each example that is answered rightly has it whole.

    Args:
        gamma: change of an eps in one epoch, as a share of the threat's.
        beta: share of the new eps in the remembered one, in [0, 1].
        warm_up: epochs of adversarial training before.
        most: where an eps stops growing, as a multiple of the threat's; None, as in the source, never.
        steps: of PGD, in each of its runs.
        step_size: least length of a step as a share of the threat's eps; it is 2 eps_i / steps where that is longer.
        start: where PGD begins.

    Cost: two more runs of PGD, the second on those that fell to the first: 3 `steps` + 4 forwards at most.
    """

    gamma: float = 1.9 / 8
    beta: float = 0.1
    warm_up: int = 10
    most: float | None = None
    steps: int = 10
    step_size: float = 0.25
    start: str = "uniform"

    card: ClassVar[Card] = Card(
        authors="Balaji, Goldstein, Hoffman",
        title="Instance adaptive adversarial training: improved accuracy tradeoffs in neural nets",
        year=2019,
        venue="arXiv preprint",
        link="arXiv:1910.08051",
        place="Algorithms 1 and 2",
        vicinity=("PGD(x) of an eps for each x", "y", "identity", "identity", "yes"),
        deviations=(
            "batch norm uses its running statistics in all three searches; the released code trains it meanwhile",
            "what is asked at eps_i is asked only where eps_i + gamma was too much; the answers are the same",
            "the remembered eps is the one that is trained with",
        ),
    )
    rowwise: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Preset]] = {
        "cifar10": Preset(
            "arXiv:1910.08051, Appendix",
            "wideresnet(depth=28)",
            "linf:8/255",
            regime={
                "epochs": 110,
                "optimiser": "sgd",
                "rate": 0.1,
                "schedule": "step",
                "milestones": (70, 90),
                "weight_decay": 5e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
            },
        ),
        "mnist": Preset("chosen here", "lenet", "linf:0.3", {"warm_up": 5}, {"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        within("beta", self.beta)
        for name in ("gamma", "warm_up"):
            within(name, getattr(self, name), float("inf"))
        if self.most is not None and not self.most > 0:
            raise UsageError(f"expected most to be above 0, got {self.most}")

    def remember(self, memory: Memory, examples: Examples, batch_size: int) -> None:
        """An eps for each example, as a share of the threat's."""
        memory.keep("eps", 1.0)

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """Choose the eps of each row, and search it."""
        whole, own = radii(threat.eps, batch.x), memory.of("eps", batch.index).to(batch.x.dtype)
        with torch.no_grad():
            right = model(batch.x).argmax(1) == batch.y
        if memory.epoch < self.warm_up:
            new = torch.where(right, 1.0, 0.0).to(own)
        else:
            new = (1 - self.beta) * own + self.beta * self._tried(model, batch, threat, own, right, key)
        memory.put("eps", batch.index, new)
        x = self._climb(model, batch, threat, new, whole, key)
        return Views({"enemy": x}, {"eps": (new * whole).detach()})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy there."""
        return {"enemy": Term(cross_entropy(model(views.x["enemy"]), batch.y, reduction="none"))}

    def _tried(
        self, model: Model, batch: Batch, threat: Threat, own: Tensor, right: Tensor, key: Key
    ) -> Tensor:
        """The eps that each row withstands, of the three that are in question."""
        whole = radii(threat.eps, batch.x)
        more = (own + self.gamma).clamp(max=math.inf if self.most is None else self.most)
        new = torch.where(right, more, 0.0)
        rows = right.nonzero().flatten()
        for draw, step in (("more", more), ("same", own)):
            if not len(rows):
                break
            part = batch.rows(rows)
            x = self._climb(model, part, threat, step[rows], whole[rows], key.fold(draw))
            with torch.no_grad():
                fell = model(x).argmax(1) != part.y
            rows = rows[fell]
            new[rows] = own[rows] if draw == "more" else (own[rows] - self.gamma).clamp(min=0)
        return new

    def _climb(
        self, model: Model, batch: Batch, threat: Threat, share: Tensor, whole: Tensor, key: Key
    ) -> Tensor:
        """Run PGD, each row with its share of the threat's eps."""
        climb = Climb(self.steps, self.step_size, self.start)
        eps = share * whole
        length = torch.maximum(2 * eps / max(self.steps, 1), self.step_size * whole)
        return climb(model, batch, threat=threat.at(eps), objective=Untargeted(), key=key, length=length)
