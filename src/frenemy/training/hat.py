"""HAT: TRADES, with points beyond the enemy's that a plainly trained helper labels."""

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
from frenemy.errors import UsageError
from frenemy.models.build import build
from frenemy.models.model import Model
from frenemy.objectives.reversal import Reversal
from frenemy.objectives.surrogates import KL
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.perceptron import begin, improve, logits
from frenemy.training.recipe import Preset, Term, Terms, Views, answers, within

__all__ = ["HAT"]


@final
@dataclass(frozen=True, slots=True)
class HAT:
    r"""Minimise the loss of TRADES, and the cross-entropy beyond the enemy's point against a helper's answer there.

    $$ \ell(f(x), y) + \beta\, KL(p(x) \,\|\, p(x')) + \gamma\, \ell(f(x + h (x' - x)), \arg\max_k g_k(x')), \quad
       x' = \arg\max_{x' \in S(x)} KL(p(x) \,\|\, p(x')) $$

    The helper g was trained plainly. Where the enemy has changed its answer, the model may change its own a little
    further out: its margin need not be larger than asked.

    Args:
        beta: weight of the divergence, 0 or more.
        gamma: weight of the helper's points, 0 or more; 0 is TRADES, and nothing is asked of a helper.
        h: how far these lie, as a multiple of the enemy's way; 0 or more. They may leave the set and the box.
        helper: a model as for `frenemy audit --model`, such as `runs/plain/model.safetensors`, trained plainly
            before; its weights are kept with the checkpoint. None has a perceptron learn plainly along, in the memory.
        hidden: neurons of that perceptron.
        rate: of its Adam, which takes one step a batch.
        steps, step_size, start, forward: as for `TRADES`.

    Raises:
        UsageError: a setting is out of its range.
        ModelError: the helper cannot be loaded, or does not answer for these data.

    Cost: `steps` + 3 forwards and backwards an example, one forward more for the clean answer and one of the helper.
    """

    beta: float = 2.5
    gamma: float = 0.5
    h: float = 3.5
    helper: str | None = None
    hidden: int = 256
    rate: float = 1e-3
    steps: int = 10
    step_size: float = 0.25
    start: str = "normal"
    forward: str = "separate"

    card: ClassVar[Card] = Card(
        authors="Rade, Moosavi-Dezfooli",
        title="Reducing excessive margin to achieve a better accuracy vs. robustness trade-off",
        year=2022,
        venue="ICLR",
        link="https://openreview.net/forum?id=Azh9QBQ4tR7",
        place="helper-based adversarial training",
        vicinity=(
            "x, PGD(x) and x + h (PGD(x) - x)",
            "y, and the helper's answer at PGD(x)",
            "identity",
            "y, f(x) and the helper's answer",
            "yes",
        ),
        deviations=(
            "without a file the helper is a perceptron of one hidden layer that learns along, weaker than that of the "
            "source, which has the architecture of the model and was trained before",
            "with several processes each has such a perceptron of its own; a checkpoint holds that of the first",
            "the clean answer is computed once for the whole search, not at each step",
            "points beyond are not put back into the box, as in the released code",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "cifar10": Preset(
            "README of the released code; give helper=FILE",
            "resnet18",
            "linf:8/255",
            regime={"epochs": 50, "augment": "crop-flip", "hold_out": 1000},
        ),
        "mnist": Preset("chosen here", "lenet", "linf:0.3", regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        for name in ("beta", "gamma", "h"):
            within(name, getattr(self, name), float("inf"))
        if self.hidden < 1 or not 0 < self.rate < float("inf"):
            raise UsageError(
                f"expected hidden neurons and a rate above 0, got hidden={self.hidden}, rate={self.rate}; "
                "256 and 0.001 are usual"
            )

    def remember(self, memory: Memory, examples: Examples, batch_size: int) -> None:
        """The helper: that of the file, or a perceptron that has learned nothing yet."""
        if self.gamma == 0:
            return
        if self.helper is not None:
            memory.host("helper", build(self.helper, examples=examples)[0])
        else:
            begin(memory, examples.x[0].numel(), self.hidden, len(examples.classes))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, where the divergence from their answers is large, and what the helper says there."""
        with torch.no_grad():
            goal = model(batch.x)
        climb = Climb(self.steps, self.step_size, self.start)
        moved = climb(model, batch, threat=threat, objective=Reversal(KL()), key=key, goal=goal)
        x = {"clean": batch.x, "moved": moved}
        if self.gamma == 0:
            return Views(x)
        said = self._said(memory, moved)
        return Views(x, {"helper differs": (said != batch.y).to(moved)}, {"helper": said})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy at the inputs, divergence at the moved points, and the helper's answer beyond them."""
        x, moved = views.x["clean"], views.x["moved"]
        beyond = [] if self.gamma == 0 else [x + self.h * (moved - x)]
        found = answers(model, [x, moved, *beyond], self.forward)
        terms = {
            "clean": Term(cross_entropy(found[0], batch.y, reduction="none")),
            "divergence": Term(KL()(found[1], found[0]), self.beta),
        }
        if beyond:
            losses = cross_entropy(found[2], views.labels["helper"], reduction="none")
            terms["helper"] = Term(losses, self.gamma)
        return terms

    def learn(self, memory: Memory, batch: Batch, views: Views, threat: Threat) -> None:
        """One plain step of the perceptron."""
        if self.gamma > 0 and self.helper is None:
            device = memory.shared["w1"].device
            improve(memory, batch.x.to(device), batch.y.to(device), self.rate)

    def _said(self, memory: Memory, x: Tensor) -> Tensor:
        """The classes that the helper gives, `(batch,)`."""
        with torch.no_grad():
            net = memory.nets.get("helper")
            said: Tensor = logits(memory, x) if net is None else net(x)
            return said.argmax(1)
