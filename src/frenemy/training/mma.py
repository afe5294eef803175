"""MMA: train at the border of each example, and so push the border away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.models.model import Model
from frenemy.objectives.surrogates import SoftMargin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat, broadcast, radii
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, answers, within

__all__ = ["MMA"]


@final
@dataclass(frozen=True, slots=True)
class MMA:
    r"""Minimise the loss at the nearest point of the border, for examples whose margin is below the threat's eps.

    $$ \tfrac13 \ell(f(x), y) + \tfrac23 \begin{cases} \ell(f(x + \delta^*), y) & f(x) = y,\ \lVert\delta^*\rVert <
    \varepsilon \\ \ell(f(x), y) & f(x) \ne y \end{cases} $$

    The direction of `\delta^*` is found by PGD on the soft logit margin with the example's last margin as its eps; its
    length by bisection along it. The threat's eps is the source's d_max, the largest margin that is asked for.

    Args:
        clean: weight of the clean loss, in [0, 1] (the source: 1/3).
        steps: of PGD, each 2.5 / steps of the example's margin long.
        start: where PGD begins.
        bisections: of the ray.
        least: smallest margin that is searched, as a share of eps.
        reach: largest, as a multiple of eps.

    Cost: `steps` + `bisections` + 4 forwards and `steps` + 2 backwards an example.
    """

    clean: float = 1 / 3
    steps: int = 10
    start: str = "uniform"
    bisections: int = 10
    least: float = 0.1
    reach: float = 1.05

    card: ClassVar[Card] = Card(
        authors="Ding, Sharma, Lui, Huang",
        title="MMA training: direct input space margin maximization through adversarial training",
        year=2020,
        venue="ICLR",
        link="arXiv:1812.02637",
        place="Algorithms 1 and 2",
        vicinity=("x and its nearest border point", "y", "identity", "identity", "yes"),
        deviations=(
            "an example counts as right by its answer; the released code asks for a negative soft logit margin",
            "no statistics of batch norm move while the border is sought, as they do in the released code",
            "each part is a mean over the whole batch, not over the rows it concerns",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            "arXiv:1812.02637, Appendix",
            "lenet",
            "linf:0.45",
            {},
            {"epochs": 100, "batch_size": 50, "rate": 1e-4},
        ),
        "cifar10": Preset(
            "arXiv:1812.02637, Appendix",
            "wideresnet(depth=28,widen=4)",
            "linf:32/255",
            regime={
                "epochs": 128,
                "optimiser": "sgd",
                "rate": 0.3,
                "schedule": "step",
                "milestones": (51, 77, 102),
                "drop": 0.3,
                "weight_decay": 2e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
            },
        ),
    }

    def __post_init__(self) -> None:
        within("clean", self.clean)
        within("least", self.least)
        within("bisections", self.bisections, 60)

    def remember(self, memory: Memory, examples: Examples, batch_size: int) -> None:
        """The margin of each example, as a share of eps."""
        memory.keep("margin", self.least)

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs; and for each the border point, or the input again where it is wrong already."""
        whole, last = radii(threat.eps, batch.x), memory.of("margin", batch.index).to(batch.x.dtype)
        climb = Climb(self.steps, 2.5 / max(self.steps, 1), self.start)
        x = climb(
            model,
            batch,
            threat=threat.at(last * whole),
            objective=Untargeted(SoftMargin()),
            key=key,
        )
        with torch.no_grad():
            right = model(batch.x).argmax(1) == batch.y
            border, margin = self._border(model, batch, threat, x, whole)
        margin = torch.where(right, margin, 0.0)
        memory.put("margin", batch.index, (margin / whole.clamp(min=1e-30)).clamp(self.least, self.reach))
        point = torch.where(broadcast(right, x), border, batch.x)
        counts = ~right | (margin < whole)
        return Views({"clean": batch.x, "border": point}, {"margin": margin, "counts": counts.double()})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy at the inputs and, for the rows that count, at the border."""
        clean, border = answers(model, [views.x["clean"], views.x["border"]], "joint")
        counts = views.facts["counts"].to(border.dtype)
        return {
            "clean": Term(cross_entropy(clean, batch.y, reduction="none"), self.clean),
            "border": Term(cross_entropy(border, batch.y, reduction="none") * counts, 1 - self.clean),
        }

    def _border(
        self, model: Model, batch: Batch, threat: Threat, x: Tensor, whole: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Where the ray through `x` crosses the border, and how far that is; the end of the reach if it does not."""
        delta = x - batch.x
        length = threat.norm(delta)
        way = delta / broadcast(length.clamp(min=1e-30), x)
        end = self.reach * whole

        def at(size: Tensor) -> Tensor:
            return threat.at(end).retract(batch.x + broadcast(size, x) * way, batch.x, end)

        beyond = model(x).argmax(1) != batch.y
        low, high = torch.where(beyond, 0.0, length), torch.where(beyond, length, end)
        for _ in range(self.bisections):
            middle = (low + high) / 2
            fell = model(at(middle)).argmax(1) != batch.y
            low, high = torch.where(fell, low, middle), torch.where(fell, middle, high)
        return at(high), high
