"""ThreeClusters: a model too small to be accurate and robust must choose; the smallest risk chooses accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import ndtr

from frenemy.card import Card
from frenemy.rng import Key
from frenemy.theory.problem import Draws, Quantity, Slide, counted, inside
from frenemy.theory.scene import Scene, area, bell, path, ring, straight

__all__ = ["ThreeClusters"]


@final
@dataclass(frozen=True, slots=True)
class ThreeClusters:
    r"""Two clusters of one class, far apart, and one of the other between them; lines must tell them apart.

    $$ x \mid y = 1 \sim p\, \mathcal N((1, m), \sigma^2) + (1 - p)\, \mathcal N((1, -m), \sigma^2), \quad
       x \mid y = -1 \sim \mathcal N((-1, 0), \sigma^2) $$

    An enemy moves x by eps = gamma sigma in L2, straight at the line w x + b = 0. So a cluster of mean mu and class y
    falls with probability

    $$ \Phi\left(\gamma - \frac{y (w \mu + b)}{\sigma \|w\|}\right) $$

    The line x_1 = 0 errs least: standard risk Phi(-1 / sigma), robust risk Phi(gamma - 1 / sigma). The line that gives
    up the lower cluster, x_2 = -2 x_1 / m + m / 2 - sigma^2 log(p) / m, errs with probability of about (1 - p) / 2 and
    keeps the other two out of the enemy's reach.

    Args:
        p: in (0, 1), share of the upper cluster in its class.
        sigma: above 0, spread of a cluster.
        m: above 0, height of the upper cluster.
        gamma: 0 or more, eps in units of sigma.

    Raises:
        UsageError: a parameter is out of range, or not a number.

    References:
        001, Section 5.1, Figures 4 and 5, Appendix C.1.
    """

    p: float = 0.95
    sigma: float = 0.2
    m: float = 7.0
    gamma: float = 8.0

    card: ClassVar[Card] = Card(
        authors="Kim, Wang",
        title="Robust sensible adversarial learning of deep neural networks for image classification",
        year=2022,
        venue="arXiv preprint",
        place="Section 5.1, Figures 4 and 5",
        deviations=(
            "001 prints Phi(-1 / sigma^2) and Phi(gamma - 1 / sigma^2); its own 0.998 for sigma = 0.2, gamma = 8 is "
            "Phi(gamma - 1 / sigma), as here",
            "Figure 4(b) calls the linear rule Bayes; the Bayes rule is the one of 4(a)",
        ),
    )
    slide: ClassVar[Slide] = Slide("gamma", 0.0, 9.6)

    def __post_init__(self) -> None:
        inside("p", self.p, 0, 1, "0.95 is usual")
        inside("sigma", self.sigma, 0, 1e6, "0.2 is usual")
        inside("m", self.m, 0, 1e6, "7 is usual")
        inside("gamma", self.gamma, 0, 1e6, "8 is usual", ends="[]")

    @property
    def clusters(self) -> tuple[tuple[float, tuple[float, float], int], ...]:
        """Share, mean and class of each cluster."""
        return (
            (self.p / 2, (1.0, self.m), 1),
            ((1 - self.p) / 2, (1.0, -self.m), 1),
            (0.5, (-1.0, 0.0), -1),
        )

    @property
    def lines(self) -> dict[str, tuple[NDArray[np.float64], float]]:
        """Direction of length 1 and offset of each line; what lies on its far side is answered 1."""
        tilted, offset = np.array([2 / self.m, 1.0]), self.m / 2 - self.sigma**2 * math.log(self.p) / self.m
        length = float(np.linalg.norm(tilted))
        return {
            "upright line": (np.array([1.0, 0.0]), 0.0),
            "line without the lower cluster": (tilted / length, -offset / length),
        }

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples."""
        key, rows = Key(seed).fold("three clusters"), torch.arange(n)
        which = key.fold("cluster").uniform(rows, (), torch.float64).numpy()
        place = np.searchsorted(np.cumsum([share for share, _, _ in self.clusters])[:-1], which, side="right")
        noise = key.fold("x").normal(rows, (2,), torch.float64).numpy()
        means = np.array([mean for _, mean, _ in self.clusters])
        labels = np.array([label for _, _, label in self.clusters])
        return Draws(means[place] + self.sigma * noise, labels[place])

    def scene(self) -> Scene:
        """The clusters out to two deviations, how far the enemy moves them, and the two lines."""
        wide, tall = 2 + (self.gamma + 2) * self.sigma, self.m + (self.gamma + 2) * self.sigma
        shapes = []
        for _, middle, label in self.clusters:
            look = "plus" if label == 1 else "minus"
            shapes.append(
                area(ring(middle, (2 + self.gamma) * self.sigma), "reach", "as far as the enemy moves them")
            )
            shapes.append(area(ring(middle, 2 * self.sigma), look, f"class {label}, two deviations"))
        for (name, (way, offset)), look in zip(self.lines.items(), ("rule", "other"), strict=True):
            shapes.append(path(straight(way.tolist(), offset), look, name))
        bayes = [(self.bayes(float(x2)), float(x2)) for x2 in np.linspace(-tall, tall, 161)]
        shapes.append(path(bayes, "faint", "Bayes rule"))
        return Scene("x1", "x2", (-wide, wide), (-tall, tall), tuple(shapes))

    def bayes(self, x2: float) -> float:
        """The x1 from which on the Bayes rule answers 1, at this height: log-odds linear in x1 are 0 there."""
        s2 = self.sigma**2
        upper = math.log(self.p) - (x2 - self.m) ** 2 / (2 * s2)
        lower = math.log1p(-self.p) - (x2 + self.m) ** 2 / (2 * s2)
        return float(-s2 / 2 * (np.logaddexp(upper, lower) + x2**2 / (2 * s2)))

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """Standard and robust risk of both lines."""
        draws, found = self.draw(n, seed), []
        printed = {0.0: ndtr(-1 / self.sigma**2), self.gamma: ndtr(self.gamma - 1 / self.sigma**2)}
        for name, (way, offset) in self.lines.items():
            for kind, gamma in (("standard", 0.0), ("robust", self.gamma)):
                distance = draws.y * (draws.x @ way + offset) - gamma * self.sigma
                found.append(
                    Quantity(
                        f"{name}, {kind} risk",
                        self.risk(way, offset, gamma),
                        self._integrated(way, offset, gamma),
                        *counted(distance < 0),
                        float(printed[gamma]) if name == "upright line" else math.nan,
                    )
                )
        return tuple(found)

    def risk(self, way: NDArray[np.float64], offset: float, gamma: float) -> float:
        """Probability that the line `way x + offset`, `way` of length 1, is wrong under an enemy of gamma sigma."""
        parts = (
            share * ndtr(gamma - label * (way @ np.array(mean) + offset) / self.sigma)
            for share, mean, label in self.clusters
        )
        return float(sum(parts))

    def _integrated(self, way: NDArray[np.float64], offset: float, gamma: float) -> float:
        """The same by integrating the density of each cluster along the direction of the line."""
        total = 0.0
        for share, mean, label in self.clusters:
            middle = label * (float(way @ np.array(mean)) + offset)
            low, high = middle - 12 * self.sigma, min(middle + 12 * self.sigma, gamma * self.sigma)
            if low < high:
                total += share * quad(bell(middle, self.sigma), low, high, epsabs=1e-12, limit=200)[0]
        return total
