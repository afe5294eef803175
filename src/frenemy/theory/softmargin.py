"""SoftMargin: what a support vector machine weighs, with and without an enemy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias, final

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr

from frenemy.card import Card
from frenemy.rng import Key
from frenemy.theory.features import checked, drawn
from frenemy.theory.problem import Draws, Quantity, Slide, counted
from frenemy.theory.scene import Scene, bell, curve, dots, path

__all__ = ["SoftMargin"]

_Slope: TypeAlias = Callable[[float, float], float]
"""Derivative of the loss in the angle t, under an eps."""

_bell: Final = bell(0.0, 1.0)


@final
@dataclass(frozen=True, slots=True)
class SoftMargin:
    r"""A soft-margin SVM on one feature that an enemy cannot flip and many weak ones that he can.

    $$ \min_{\|w\|_2 = 1} E \max\{0, 1 - y w^\top x + \varepsilon \|w\|_1\}, \quad
       w = (\cos t, \sin t / \sqrt d, \dots, \sin t / \sqrt d) $$

    on the examples of `Tsipras`. The weak features are exchangeable and the loss is convex, so they have one weight,
    and what is left is a search over the angle t. With z the sum of the weak features over sqrt(d), y z is of
    N(eta sqrt(d), 1), and the expectation of each hinge is

    $$ E \max\{0, c - N(\mu, s^2)\} = (c - \mu)\, \Phi\left(\frac{c - \mu}{s}\right)
       + s\, \varphi\left(\frac{c - \mu}{s}\right) $$

    For eta >= 4 / sqrt(d) and p <= 0.975 the minimiser without an enemy is right on more than 99 % and, under
    eps = 2 eta, on less than 1 %; the minimiser under that enemy puts all weight on the first feature and is right
    with probability p, with him or without.

    Args:
        p: in [1/2, 1), how often the first feature is right.
        d: number of weak features, at least 1.
        eta: their mean, above 0; 4 / sqrt(d) is the least for which the theorem is stated.
        eps: what the enemy may do, from 0, below 1; 2 eta in the theorem.

    Raises:
        UsageError: a parameter is out of range, or not a number.

    References:
        Tsipras et al. 2019, Theorem 2.2; 003, pages 56 to 61.
    """

    p: float = 0.975
    d: int = 100
    eta: float = 0.4
    eps: float = 0.8

    card: ClassVar[Card] = Card(
        authors="Tsipras, Santurkar, Engstrom, Turner, Madry",
        title="Robustness may be at odds with accuracy",
        year=2019,
        venue="ICLR",
        link="arXiv:1805.12152",
        place="Section 2, Theorem 2.2",
        deviations=(
            "003 sets 0.0004 against 0.0004 in the proof; the two losses are 0.000425 and 0.000382",
            "003 writes w_i > 0 for i > 2 in the proof; it is i >= 2",
        ),
    )
    slide: ClassVar[Slide] = Slide("eps", 0.0, 0.96)

    def __post_init__(self) -> None:
        checked(self.p, self.d, self.eta, self.eps)

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples, those of `Tsipras`."""
        return drawn(self.p, self.d, self.eta, Key(seed).fold("robust features"), n)

    def angle(self, eps: float) -> float:
        """The angle t of the weights of least loss under an enemy of this eps, in [0, pi / 2]."""
        return self._least(self._slope, eps)

    def loss(self, t: float, eps: float) -> float:
        """Expected hinge of the weights with angle t, under an enemy of this eps."""
        return sum(share * _hinge(1 - a, mean, s) for share, a, mean, s in self._margins(t, eps))

    def scene(self) -> Scene:
        """The loss against the angle of the weights, and where it is least."""
        shapes, top = [], 0.0
        for eps, look, name in ((0.0, "rule", "no enemy"), (self.eps, "reach", "under the enemy")):

            def loss(t: float, eps: float = eps) -> float:
                return self.loss(math.radians(t), eps)

            points = curve(loss, 0, 90)
            least = self.angle(eps)
            shapes.append(path(points, look, f"loss, {name}"))
            shapes.append(dots([(math.degrees(least), self.loss(least, eps))], look, f"least, {name}"))
            top = max(top, *(y for _, y in points))
        return Scene(
            "angle t, from the first feature to the weak ones", "loss", (0, 90), (0, top), tuple(shapes)
        )

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """Accuracies of both minimisers, their weights, and the two losses of the proof."""
        draws, found = self.draw(n, seed), []
        for name, eps in (("standard SVM", 0.0), ("robust SVM", self.eps)):
            t, other = self.angle(eps), self._least(self._slope_integrated, eps)
            for kind, size in (("natural", 0.0), ("adversarial", self.eps)):
                found.append(
                    Quantity(
                        f"{name}, {kind} accuracy",
                        self._accuracy(t, size),
                        self._accuracy_integrated(other, size),
                        *counted(self._right(draws, t, size)),
                    )
                )
            share = math.sin(t) ** 2, math.sin(other) ** 2
            found.append(Quantity(f"{name}, squared weight of the weak features", *share, math.nan, 0))
        equal = math.pi / 4
        _, a, mean, s = self._margins(equal, 0.0)[1]
        proof = (1 - self.p) * _hinge(1 - a, mean, s), (1 - self.p) * _hinge_integrated(1 - a, mean, s)
        found.append(Quantity("equal weights, loss where the first is wrong", *proof, math.nan, 0, 0.0004))
        alone = self.loss(math.pi / 2, 0.0), _hinge_integrated(1, self.eta * math.sqrt(self.d), 1)
        found.append(Quantity("weak features alone, loss", *alone, math.nan, 0, 0.0004))
        return tuple(found)

    def _margins(self, t: float, eps: float) -> list[tuple[float, float, float, float]]:
        """Probability, fixed part, mean and deviation of the margin, where the first feature is right and where not."""
        lost = eps * (math.cos(t) + math.sqrt(self.d) * math.sin(t))
        mean = self.eta * math.sqrt(self.d) * math.sin(t)
        return [
            (self.p, math.cos(t) - lost, mean, math.sin(t)),
            (1 - self.p, -math.cos(t) - lost, mean, math.sin(t)),
        ]

    def _turns(self, t: float, eps: float) -> list[tuple[float, float, float, float, float]]:
        """Of each margin: probability, border of z below which it counts, its slope in t as `u + v z`, mean of z."""
        root, found = math.sqrt(self.d), []
        for share, sign in ((self.p, 1), (1 - self.p, -1)):
            fixed = sign * math.cos(t) - eps * (math.cos(t) + root * math.sin(t))
            border = (1 - fixed) / math.sin(t) if math.sin(t) > 0 else math.copysign(math.inf, 1 - fixed)
            u = -sign * math.sin(t) - eps * (-math.sin(t) + root * math.cos(t))
            found.append((share, border, u, math.cos(t), self.eta * root))
        return found

    def _slope(self, t: float, eps: float) -> float:
        """Derivative of the loss: less the mean slope of the margins below 1."""
        total = 0.0
        for share, border, u, v, mean in self._turns(t, eps):
            below = ndtr(border - mean)
            total -= share * ((u + v * mean) * below - v * _bell(border - mean))
        return float(total)

    def _slope_integrated(self, t: float, eps: float) -> float:
        """The same by integrating over z."""
        total = 0.0
        for share, border, u, v, mean in self._turns(t, eps):
            high = min(border, mean + 12)

            def part(z: float, u: float = u, v: float = v, mean: float = mean) -> float:
                return (u + v * z) * _bell(z - mean)

            if high > mean - 12:
                total -= share * quad(part, mean - 12, high, epsabs=1e-13)[0]
        return float(total)

    def _least(self, slope: _Slope, eps: float) -> float:
        """The angle of least loss: the best of a grid, then the root of the slope beside it, or an end."""
        grid = np.linspace(0, math.pi / 2, 721)
        best = int(np.argmin([self.loss(float(t), eps) for t in grid]))
        low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, 720)])
        if slope(low, eps) < 0 < slope(high, eps):
            return float(brentq(slope, low, high, args=(eps,), xtol=1e-14))
        return low if best == 0 else high

    def _accuracy(self, t: float, eps: float) -> float:
        return float(
            sum(
                share * (ndtr((a + mean) / s) if s > 0 else float(a > 0))
                for share, a, mean, s in self._margins(t, eps)
            )
        )

    def _accuracy_integrated(self, t: float, eps: float) -> float:
        total = 0.0
        for share, a, mean, s in self._margins(t, eps):
            low = -a / s - mean / s if s > 0 else (-math.inf if a > 0 else math.inf)
            if low < 12:
                total += share * quad(_bell, max(low, -12), 12, epsabs=1e-12, points=[0.0])[0]
        return float(total)

    def _right(self, draws: Draws, t: float, eps: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Move every example as far as the enemy may, and ask the machine."""
        w = np.array([math.cos(t), *np.full(self.d, math.sin(t) / math.sqrt(self.d))])
        moved = draws.x - eps * draws.y[:, None] * np.sign(w)
        right: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = np.sign(moved @ w) == draws.y
        return right


def _hinge(c: float, mean: float, s: float) -> float:
    """E max(0, c - N(mean, s^2))."""
    if s <= 0:
        return max(0.0, c - mean)
    return float((c - mean) * ndtr((c - mean) / s) + s * _bell((c - mean) / s))


def _hinge_integrated(c: float, mean: float, s: float) -> float:
    return float(quad(lambda z: (c - mean - s * z) * _bell(z), -40, (c - mean) / s, epsabs=1e-14)[0])
