"""Substitute: a model taught by the answers of another, so that attacks on it may be passed on to that one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import UsageError, nearest
from frenemy.models.build import build
from frenemy.models.model import Model
from frenemy.rng import Key
from frenemy.threats.slack import hold_
from frenemy.threats.threat import Threat
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within

__all__ = ["Substitute"]

_GIVES: Final = ("labels", "scores")


@final
@dataclass(frozen=True, slots=True)
class Substitute:
    r"""Learn what a teacher answers, and ask it now and then about points where the own answer changes fastest.

    $$ \min_\theta \sum_{x \in S_r} \ell(f_\theta(x), O(x)), \quad
       S_{r+1} = S_r \cup \{x + \lambda \operatorname{sign} \nabla_x f_\theta(x)_{O(x)} : x \in S_r \setminus S_{r-1}\}
    $$

    The teacher O is asked about every example once, and in every later round about one new point for each. Labels of
    the data are not used, but for what is held out. An attack on the trained model, passed on to the teacher, is a
    black-box attack of so many queries: `frenemy transfer --model TEACHER,SUBSTITUTE`.

    Args:
        teacher: a model as for `frenemy audit --model`, with or without gradients, such as `lightgbm:model.txt` or an
            address. None takes the labels of the data for its answers; then there is nobody to ask about new points.
        gives: what the teacher is seen to give: `labels`, or `scores`, whose softmax is learned.
        rounds: of new points, after the first; 0 asks about the examples alone.
        every: epochs from one round to the next.
        step: lambda, in the units of the inputs.

    Raises:
        UsageError: a setting is out of its range, or the teacher gives labels alone where scores are asked for.
        ModelError: the teacher cannot be loaded, or does not answer for these data.

    Cost: `(rounds + 1) n` queries for n examples in all, whose number is logged as `asked`; a run that is killed asks
    again what it asked since its last checkpoint. In the end `rounds + 1` forwards and backwards an example and epoch,
    one forward to see how often both agree, and as many copies of the examples in memory and in the checkpoint.
    """

    teacher: str | None = None
    gives: str = "labels"
    rounds: int = 3
    every: int = 5
    step: float = 0.1

    card: ClassVar[Card] = Card(
        authors="Papernot, McDaniel, Goodfellow, Jha, Celik, Swami",
        title="Practical black-box attacks against machine learning",
        year=2017,
        venue="ASIA CCS",
        link="arXiv:1602.02697",
        place="Algorithm 1",
        vicinity=("x and x + lambda sign grad", "the teacher's answer", "identity", "identity", "no"),
        deviations=(
            "each round goes on from the points of the last alone, so that queries grow by n a round; in the source "
            "the set doubles",
            "training goes on from the weights of the round before",
            "the slope is that of the logit; the source takes that of the network's output",
            "new points are brought into the box",
            "scores are learned by cross-entropy with the teacher's softmax; the source knows labels alone",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": Preset(
            "arXiv:1602.02697, Section 5.1 (150 examples)",
            "lenet",
            None,
            {"rounds": 6, "every": 10},
            {"epochs": 70, "rate": 1e-3, "select": "last"},
        ),
    }

    def __post_init__(self) -> None:
        if self.gives not in _GIVES:
            raise UsageError(f"unknown answers '{self.gives}'{nearest(self.gives, _GIVES)}")
        if self.rounds < 0 or self.every < 1:
            raise UsageError(
                f"expected rounds of 0 or more and every of 1 or more, got rounds={self.rounds}, every={self.every}"
            )
        within("step", self.step, float("inf"))

    def remember(self, memory: Memory, examples: Examples, batch_size: int) -> None:
        """The teacher, and for each example how often it was asked, about which points, and what it said."""
        if self.teacher is not None:
            teacher = build(self.teacher, examples=examples)[0]
            if self.gives == "scores" and teacher.shown is Access.LABELS:
                raise UsageError(
                    f"expected a teacher that gives scores, got {self.teacher}, which gives labels; write gives=labels"
                )
            memory.host("teacher", teacher)
        memory.keep("asked", 0.0)
        for number in range(self._last + 1):
            memory.keep(f"point {number}", torch.zeros(examples.x.shape[1:]))
            memory.keep(f"said {number}", torch.zeros(len(examples.classes)))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """All points that the teacher was asked about so far, one more a round."""
        now, before = min(memory.epoch // self.every, self._last), memory.of("asked", batch.index)
        for number in range(now + 1):
            new = (memory.of("asked", batch.index) <= number).nonzero().flatten()
            if len(new):
                self._ask(model, batch.rows(new), number, threat, memory)
        x = {f"point {n}": memory.of(f"point {n}", batch.index).to(batch.x) for n in range(now + 1)}
        said = {f"point {n}": memory.of(f"said {n}", batch.index).to(batch.x) for n in range(now + 1)}
        with torch.no_grad():
            same = model(x["point 0"]).argmax(1) == said["point 0"].argmax(1)
        asked = memory.of("asked", batch.index) - before
        return Views(x, {"agrees": same.double(), "asked": asked.double()}, said)

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy against what the teacher said of each point; all points weigh alike."""
        return {
            name: Term(cross_entropy(model(x), views.labels[name], reduction="none"), 1 / len(views.x))
            for name, x in views.x.items()
        }

    @property
    def _last(self) -> int:
        return self.rounds if self.teacher is not None else 0

    def _ask(self, model: Model, batch: Batch, number: int, threat: Threat, memory: Memory) -> None:
        """Make point `number` of each row, and keep it with what the teacher says of it."""
        if number == 0:
            x = batch.x
        else:
            before = memory.of(f"point {number - 1}", batch.index).to(batch.x).requires_grad_()
            said = memory.of(f"said {number - 1}", batch.index).argmax(1)
            with torch.enable_grad():
                own = model(before).gather(1, said[:, None]).sum()
            (slope,) = torch.autograd.grad(own, before)
            x = hold_(before.detach() + self.step * slope.sign(), threat.low, threat.high)
        memory.put(f"point {number}", batch.index, x)
        memory.put(f"said {number}", batch.index, self._said(memory, Batch(x, batch.y, batch.index)))
        memory.put("asked", batch.index, torch.full((len(batch),), number + 1.0))

    def _said(self, memory: Memory, batch: Batch) -> Tensor:
        """What the teacher says, as distributions `(batch, classes)`."""
        classes = memory.of("said 0", batch.index).shape[1]
        if "teacher" not in memory.nets:
            return one_hot(batch.y, classes)
        with torch.no_grad():
            logits: Tensor = memory.nets["teacher"](batch.x.float())
        return logits.softmax(1) if self.gives == "scores" else one_hot(logits.argmax(1), classes)
