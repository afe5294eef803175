"""Tsipras: one feature that an enemy cannot flip, and many weak ones that he can."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import ndtr

from frenemy.card import Card
from frenemy.rng import Key
from frenemy.theory.features import checked, drawn
from frenemy.theory.problem import Draws, Quantity, Slide, counted, inside
from frenemy.theory.scene import Scene, bell, curve, density, path

__all__ = ["Tsipras"]


@final
@dataclass(frozen=True, slots=True)
class Tsipras:
    r"""Accuracy and robustness at odds: what makes a classifier accurate is what an enemy takes away.

    $$ y \sim U\{-1, 1\}, \quad x_1 = \pm y \text{ with } P(x_1 = y) = p, \quad
       x_2, \dots, x_{d+1} \sim \mathcal N(\eta y, 1) $$

    A linear classifier that weighs the first feature by a and each weak one by 1, under an enemy who may move every
    feature by eps (Linf), is right with probability

    $$ p\, \Phi\left(\frac{a (1 - \varepsilon) + d (\eta - \varepsilon)}{\sqrt d}\right)
       + (1 - p)\, \Phi\left(\frac{-a (1 + \varepsilon) + d (\eta - \varepsilon)}{\sqrt d}\right) $$

    The averaging classifier has a = 0. The classifier of the first feature alone is right with probability p for every
    eps < 1. Whoever errs with probability at most delta is right with probability at most p delta / (1 - p) under an
    enemy of eps >= 2 eta.

    Args:
        p: in [1/2, 1), how often the first feature is right.
        d: number of weak features, at least 1.
        eta: their mean, above 0.
        eps: what the enemy may do, 0 or more, below 1 (at 1 he takes the first feature too).
        weight: a, of the first feature in the mixed classifier, 0 or more.

    Raises:
        UsageError: a parameter is out of range, or not a number.

    References:
        Tsipras et al. 2019, Section 2, Theorem 2.1; 003, pages 24 to 62.
    """

    p: float = 0.95
    d: int = 100
    eta: float = 0.3
    eps: float = 0.6
    weight: float = 10.0

    card: ClassVar[Card] = Card(
        authors="Tsipras, Santurkar, Engstrom, Turner, Madry",
        title="Robustness may be at odds with accuracy",
        year=2019,
        venue="ICLR",
        link="arXiv:1805.12152",
        place="Section 2, Theorem 2.1",
        deviations=(
            "003 draws y from Ber(1/2) - 1, which is 0 or -1: here it is -1 or 1",
            "003 calls eta large; it is of the order of 1 / sqrt(d)",
            "003 moves x by -eps; an enemy moves it by -y eps",
            "003 prints [p / (1 + p)]^2 in the proof of the bound; it is [p / (1 - p)]^2",
        ),
    )
    slide: ClassVar[Slide] = Slide("eps", 0.0, 0.96)

    def __post_init__(self) -> None:
        checked(self.p, self.d, self.eta, self.eps)
        inside("weight", self.weight, 0, 1e9, "0 is the averaging classifier", ends="[]")

    def accuracy(self, weight: float, eps: float) -> float:
        """Probability that the classifier with this weight on the first feature is right under an enemy of this eps."""
        weak, scale = self.d * (self.eta - eps), math.sqrt(self.d)
        right = ndtr((weight * (1 - eps) + weak) / scale)
        return float(self.p * right + (1 - self.p) * ndtr((-weight * (1 + eps) + weak) / scale))

    def bound(self, natural: float) -> float:
        """What is left at most to a classifier of this natural accuracy, under an enemy of 2 eta or more."""
        return self.p / (1 - self.p) * (1 - natural)

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples: the first feature, then the weak ones."""
        return drawn(self.p, self.d, self.eta, Key(seed).fold("robust features"), n)

    def scene(self) -> Scene:
        """The mean of the weak features by class, as it is and as the enemy leaves it."""
        deviation = 1 / math.sqrt(self.d)
        wide = self.eta + self.eps + 4 * deviation
        bells = []
        for y, look in ((1, "plus"), (-1, "minus")):
            for moved, name in ((0.0, "as drawn"), (self.eps, "as the enemy leaves it")):
                points = curve(density(y * (self.eta - moved), deviation), -wide, wide)
                bells.append(path(points, look if not moved else f"{look} moved", f"class {y}, {name}"))
        zero = path([(0, 0), (0, 1.05)], "rule", "averaging classifier")
        return Scene("mean of the weak features", "density", (-wide, wide), (0, 1.05), (*bells, zero))

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """Natural and adversarial accuracy of the averaging, the mixed and the first-feature classifier."""
        draws = self.draw(n, seed)
        found = []
        for name, weight in (("averaging", 0.0), ("mixed", self.weight)):
            for kind, eps in (("natural", 0.0), ("adversarial", self.eps)):
                found.append(
                    Quantity(
                        f"{name}, {kind} accuracy",
                        self.accuracy(weight, eps),
                        self._integrated(weight, eps),
                        *counted(self._right(draws, np.array([weight, *np.ones(self.d)]), eps)),
                    )
                )
        for kind, eps in (("natural", 0.0), ("adversarial", self.eps)):
            alone = np.array([1.0, *np.zeros(self.d)])
            right = counted(self._right(draws, alone, eps))
            found.append(Quantity(f"first feature, {kind} accuracy", self.p, self.p, *right))
        return tuple(found)

    def _integrated(self, weight: float, eps: float) -> float:
        """The same by integrating the density of the mean of the weak features over where the answer is right."""
        deviation, total = 1 / math.sqrt(self.d), 0.0
        for sign, share in ((1, self.p), (-1, 1 - self.p)):
            border = eps * (1 + weight / self.d) - sign * weight / self.d
            low, high = max(border, self.eta - 12 * deviation), self.eta + 12 * deviation
            if low < high:
                total += share * quad(bell(self.eta, deviation), low, high, epsabs=1e-12, limit=200)[0]
        return total

    def _right(self, draws: Draws, weights: NDArray[np.float64], eps: float) -> NDArray[np.bool_]:
        """Move every example against its label as far as the enemy may, and ask the classifier."""
        moved = draws.x - eps * draws.y[:, None] * np.sign(weights)
        right: NDArray[np.bool_] = np.sign(moved @ weights) == draws.y
        return right
