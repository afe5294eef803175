"""Circle: adversarial against hypocritical risk as a threshold moves, as precision stands against recall."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from scipy.integrate import quad

from frenemy.card import Card
from frenemy.rng import Key
from frenemy.theory.problem import Draws, Quantity, Slide, counted, inside
from frenemy.theory.scene import Scene, area, box, path, ring

__all__ = ["Circle"]

_CENTRE, _RADIUS = 0.5, 0.4


@final
@dataclass(frozen=True, slots=True)
class Circle:
    r"""A line tries to tell the inside of a circle from its outside.

    $$ x \sim U[0, 1]^2, \quad y = \operatorname{sign}(0.4 - \|x - (0.5, 0.5)\|_2), \quad
       f(x) = \operatorname{sign}(x_2 - b) $$

    Somebody who may move x by eps in L2 turns the answer wherever |x_2 - b| <= eps. So every risk is a ratio of areas
    between two heights, of the circle or of what lies around it; with F(h) the area of the circle below height h,

    $$ F(h) = r^2 \left(\tfrac{\pi}{2} + \arcsin t + t \sqrt{1 - t^2}\right), \quad t = (h - 0.5) / r \in [-1, 1] $$

    As b rises precision grows and recall falls; the adversarial risk on correct examples and the hypocritical risk on
    misclassified ones move against each other almost everywhere.

    Args:
        b: threshold, in (0, 1).
        eps: what may be done to an input, 0 or more.

    Raises:
        UsageError: a parameter is out of range, or not a number.

    References:
        000, Appendix C, eq. 9 and 10, Figures 9 to 12.
    """

    b: float = 0.5
    eps: float = 0.1

    card: ClassVar[Card] = Card(
        authors="Tao, Chen",
        title="With False Friends Like These, Who Can Have Self-Knowledge?",
        year=2020,
        venue="arXiv preprint",
        link="arXiv:2012.14738",
        place="Appendix C, eq. 9 and 10, Figures 9 to 12",
    )
    slide: ClassVar[Slide] = Slide("b", 0.02, 0.98)

    def __post_init__(self) -> None:
        inside("b", self.b, 0, 1, "0.5 is the threshold of Figure 9")
        inside("eps", self.eps, 0, 1e6, "0.1 is usual", ends="[]")

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples."""
        x = Key(seed).fold("circle").uniform(torch.arange(n), (2,), torch.float64).numpy()
        within = np.linalg.norm(x - _CENTRE, axis=1) < _RADIUS
        return Draws(x, np.where(within, 1, -1))

    def scene(self) -> Scene:
        """The circle, the line, and how far around it answers can be turned."""
        low, high = max(self.b - self.eps, 0.0), min(self.b + self.eps, 1.0)
        return Scene(
            "x1",
            "x2",
            (0, 1),
            (0, 1),
            (
                box((0, 0), (1, 1), "minus", "class -1"),
                area(ring((_CENTRE, _CENTRE), _RADIUS), "plus", "class 1"),
                box((0, low), (1, high), "reach", "answers that can be turned"),
                path([(0, self.b), (1, self.b)], "rule", "above it the answer is 1"),
            ),
            square=True,
        )

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """Precision, recall, adversarial risk on correct examples, hypocritical risk on misclassified ones."""
        draws = self.draw(n, seed)
        positive, real = draws.x[:, 1] > self.b, draws.y == 1
        right, turned = positive == real, np.abs(draws.x[:, 1] - self.b) <= self.eps
        simulated = {
            "precision": counted(real[positive]),
            "recall": counted(positive[real]),
            "adversarial risk on correct": counted(turned[right]),
            "hypocritical risk on misclassified": counted(turned[~right]),
        }
        exact, integrated = self._ratios(_below), self._ratios(_summed)
        return tuple(Quantity(name, exact[name], integrated[name], *simulated[name]) for name in exact)

    def _ratios(self, below: Callable[[float], float]) -> dict[str, float]:
        """Every number as a ratio of areas, given the area of the circle below a height."""
        low, high, b = max(self.b - self.eps, 0.0), min(self.b + self.eps, 1.0), self.b
        whole, above = below(1.0), below(1.0) - below(b)
        correct = above + (b - below(b))
        shaken = (below(high) - below(b)) + ((b - low) - (below(b) - below(low)))
        return {
            "precision": above / (1 - b),
            "recall": above / whole,
            "adversarial risk on correct": shaken / correct,
            "hypocritical risk on misclassified": ((high - low) - shaken) / (1 - correct),
        }


def _below(height: float) -> float:
    """Area of the circle below a height."""
    t = min(max((height - _CENTRE) / _RADIUS, -1.0), 1.0)
    return _RADIUS**2 * (math.pi / 2 + math.asin(t) + t * math.sqrt(1 - t * t))


def _summed(height: float) -> float:
    """The same by integrating the width of the circle over the angle at which it is seen."""
    top = math.asin(min(max((height - _CENTRE) / _RADIUS, -1.0), 1.0))
    return float(quad(lambda t: 2 * (_RADIUS * math.cos(t)) ** 2, -math.pi / 2, top, epsabs=1e-12)[0])
