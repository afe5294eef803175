"""Walk: the search of one row as questions and answers, and what is remembered of it on its way."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, final

import numpy as np
import torch
from torch import Tensor

from frenemy.attacks.attack import Phase
from frenemy.attacks.site import Site

__all__ = ["Answer", "Ask", "Leg", "Walk", "Walker"]

_T = TypeVar("_T")


@final
@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came back, one entry a point: whether the objective succeeds there, and its loss (NaN by labels alone)."""

    won: Tensor
    loss: Tensor


Ask: TypeAlias = tuple[Phase, Tensor]
"""What is asked for, and `(questions, features)` points."""
Leg: TypeAlias = Generator[Ask, Answer, _T]
"""Part of a walk: it yields what it asks, is sent an `Answer` for each, and brings something back."""
Walk: TypeAlias = Leg[None]
"""The search of one row.

Points are cut at the box before they are asked about. A walk need not keep what it found, nor mind its budget: it is
closed where its budget ends, after an answer cut short that it does not see.
"""


@final
class Walker:
    """A row under way: its walk, what it has spent, and the best it has seen."""

    def __init__(self, place: int, site: Site, walk: Walk) -> None:
        self.place, self.site, self.walk = place, site, walk
        self.answer: Answer | None = None
        self.phases = np.zeros(len(Phase), dtype=np.int64)
        self.spent, self.unsafe, self.step = 1, 0, -1
        self.cut = self.success = False
        self.rank = self.loss = -np.inf
        self.point: Tensor | None = None
        self.course: list[tuple[int, float]] = []
        """Each time a nearer success was seen: after how many queries, and how far."""

    def onward(self, queries: int) -> Ask | None:
        """Go on to the next questions that the budget allows; None where the walk ends."""
        left = queries - self.spent
        try:
            phase, points = self.walk.send(self.answer)  # type: ignore[arg-type]
        except StopIteration:
            return None
        self.cut = len(points) >= left
        if len(points) > left:
            points = points[:left]
        return (phase, points) if len(points) else None

    def learn(self, phase: Phase, won: Any, distance: Any) -> None:
        """Count what was sent, and note each success nearer than all before."""
        hits = int(won.sum())
        self.phases[phase] += len(won)
        self.unsafe += len(won) - hits
        nearest = self.course[-1][1] if self.course else np.inf
        if hits and (least := np.where(won, distance, np.inf)).min() < nearest:
            for place in np.flatnonzero(least < nearest):
                if least[place] < nearest:
                    nearest = float(least[place])
                    self.course.append((self.spent + int(place) + 1, nearest))
        self.spent += len(won)

    def traced(self, marks: list[int]) -> Tensor:
        """The distance of the nearest success after so many queries."""
        when = [spent for spent, _ in self.course]
        far = [np.inf, *(distance for _, distance in self.course)]
        return torch.tensor([far[k] for k in np.searchsorted(when, marks, side="right")])
