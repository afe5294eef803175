"""Staircase: the classifier that errs least can be flattered everywhere, another one nowhere."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad

from frenemy.card import Card
from frenemy.rng import Key
from frenemy.theory.problem import Draws, Quantity, Slide, counted, inside
from frenemy.theory.scene import Scene, path

__all__ = ["Staircase"]


@final
@dataclass(frozen=True, slots=True)
class Staircase:
    r"""Natural against hypocritical risk on the unit interval.

    $$ x \sim U[0, 1], \quad P(y = 1 \mid x) = \begin{cases} 1/4 & x \in [2k\varepsilon, (2k+1)\varepsilon) \\
       1 & \text{else} \end{cases} $$

    With q the length of the lower steps: the Bayes classifier errs with probability q / 4, and a false friend who may
    move x by eps inside [0, 1] reaches a higher step from every point, so that its hypocritical risk is 1; the all-one
    classifier errs with 3 q / 4 and can never be flattered. Where eps divides 1 an even number of times, q = 1 / 2,
    which gives the 1/8 and 3/8 of the source. From eps = 1 on there is no higher step: nobody can be flattered.

    Args:
        eps: width of a step and size of the threat, above 1e-4.

    Raises:
        UsageError: eps is no number above 1e-4.

    References:
        000, Section 3.1, eq. 4 and Table 3.
    """

    eps: float = 0.125

    card: ClassVar[Card] = Card(
        authors="Tao, Chen",
        title="With False Friends Like These, Who Can Have Self-Knowledge?",
        year=2020,
        venue="arXiv preprint",
        link="arXiv:2012.14738",
        place="Section 3.1, eq. 4, Table 3",
        deviations=(
            "any eps: the 1/8 and 3/8 of Table 3 are those of an eps that divides 1 an even number of times",
            "the number of steps follows from eps; the printed range of k leaves a gap at the end for some",
        ),
    )
    slide: ClassVar[Slide] = Slide("eps", 0.04, 0.52)

    def __post_init__(self) -> None:
        inside("eps", self.eps, 1e-4, 1e6, "1/8 is usual")

    @property
    def low(self) -> float:
        """Length of the lower steps inside [0, 1]."""
        whole, rest = divmod(1.0, 2 * self.eps)
        return whole * self.eps + min(rest, self.eps)

    def probability(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(y = 1 | x)."""
        part = np.mod(x, 2 * self.eps)
        return np.where((part < self.eps) & ~((part == 0) & (x > 0)), 0.25, 1.0)

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples."""
        key, rows = Key(seed).fold("staircase"), torch.arange(n)
        x, chance = (key.fold(word).uniform(rows, (), torch.float64).numpy() for word in ("x", "y"))
        return Draws(x[:, None], np.where(chance < self.probability(x), 1, -1))

    def scene(self) -> Scene:
        """P(y = 1 | x), and 1/2."""
        points = []
        for left, right in itertools.pairwise(self._edges()):
            high = float(self.probability(np.array([(left + right) / 2]))[0])
            points += [(float(left), high), (float(right), high)]
        steps, half = (
            path(points, "plus", "P(y = 1 | x)"),
            path([(0, 0.5), (1, 0.5)], "rule", "above it Bayes says 1"),
        )
        reach = path([(0.0, 0.1), (min(self.eps, 1.0), 0.1)], "reach", "eps")
        return Scene("x", "probability", (0, 1), (0, 1), (steps, half, reach))

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """Natural and hypocritical risk of the Bayes and of the all-one classifier."""
        draws = self.draw(n, seed)
        x = draws.x[:, 0]
        bayes = np.where(self.probability(x) > 0.5, 1, -1)
        wrong, foul = bayes != draws.y, draws.y != 1
        flattered, reached = (1.0 if self.eps < 1 else 0.0), self._reaches_one(x)
        bayes_errs, all_err = self._lengths(0.25), self._lengths(0.75)
        never = counted(np.zeros(int(foul.sum()), dtype=bool))
        return (
            Quantity("Bayes, natural risk", self.low / 4, bayes_errs, *counted(wrong), 1 / 8),
            Quantity("Bayes, hypocritical risk", flattered, self._reachable(), *counted(reached[wrong]), 1.0),
            Quantity("all-one, natural risk", 3 * self.low / 4, all_err, *counted(foul), 3 / 8),
            Quantity("all-one, hypocritical risk", 0.0, 0.0, *never, 0.0),
        )

    def _edges(self) -> NDArray[np.float64]:
        edges = np.arange(0, math.floor(1 / self.eps) + 1) * self.eps
        return np.unique(np.append(edges[edges < 1], 1.0))

    def _lengths(self, share: float) -> float:
        """Integrate the chance of a wrong answer, step by step."""
        edges = self._edges()
        total = 0.0
        for left, right in itertools.pairwise(edges):
            low = self.probability(np.array([(left + right) / 2]))[0] < 0.5
            total += quad(lambda x: share, left, right)[0] if low else 0.0
        return total

    def _reachable(self) -> float:
        """Share of the lower steps from which a higher one inside [0, 1] is within eps, by their edges."""
        edges, low, near = self._edges(), 0.0, 0.0
        for place, (left, right) in enumerate(itertools.pairwise(edges)):
            if place % 2:
                continue
            low += right - left
            after = max(right - max(left, right - self.eps), 0.0) if right < 1 else 0.0
            before = max(min(right, left + self.eps) - left, 0.0) if place else 0.0
            near += max(after, before)
        return near / low

    def _reaches_one(self, x: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether a false friend finds a place that the Bayes classifier calls positive, by trying ends and edges."""
        hair, edge = 1e-9 * self.eps, np.floor(x / self.eps) * self.eps
        places = np.stack([x - self.eps, edge - hair, x, edge + self.eps + hair, x + self.eps], axis=1)
        good = (places >= 0) & (places <= 1) & (np.abs(places - x[:, None]) <= self.eps)
        good &= self.probability(places) > 0.5
        reached: NDArray[np.bool_] = np.any(good, axis=1)
        return reached
