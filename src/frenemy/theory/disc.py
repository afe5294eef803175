"""Disc: how far the border of a disc lies in a direction, which an attack that sees labels alone minimises."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ellipe

from frenemy.card import Card
from frenemy.errors import UsageError
from frenemy.rng import Key
from frenemy.theory.problem import Draws, Quantity, Slide, counted, inside
from frenemy.theory.scene import Scene, area, box, dots, path, ring

__all__ = ["Disc", "ray"]

_RADIUS: Final = math.sqrt(0.4)


@final
@dataclass(frozen=True, slots=True)
class Disc:
    r"""The inside of a disc against its outside, and the distance g to its border as a function of direction.

    $$ f(x) = 1[\|x\|_2^2 \ge 0.4], \quad x \sim U[-1, 1]^2, \quad
       g(\theta) = -a \cos\theta + \sqrt{0.4 - a^2 \sin^2\theta} $$

    seen from x_0 = (a, 0) inside. So the border is nearer than r in a share

    $$ \frac1\pi \arccos\frac{0.4 - a^2 - r^2}{2 a r} $$

    of all directions, and the mean of g is (2 / pi) sqrt(0.4) E(a^2 / 0.4) with the complete elliptic integral E. An
    enemy of size r in L2 turns whatever lies within r of the circle.

    Args:
        a: how far x_0 is from the middle, in (0, 0.63).
        r: a distance, above 0.

    Raises:
        UsageError: a parameter is out of range, or not a number.

    References:
        004, Section 2.4, eq. 2.13 to 2.15, Figure 2.3.
    """

    a: float = 0.3
    r: float = 0.5

    card: ClassVar[Card] = Card(
        authors="Cheng",
        title="On the Robustness of Neural Network: Attacks and Defenses",
        year=2021,
        venue="PhD dissertation, University of California, Los Angeles",
        place="Section 2.4, Figure 2.3",
        deviations=(
            "the source does not say where its examples lie or which point it looks from",
            "004 says that g is continuous for trees too; past the corner of a leaf it jumps",
        ),
    )
    slide: ClassVar[Slide] = Slide("r", 0.04, 1.0)

    def __post_init__(self) -> None:
        if self.a >= _RADIUS:
            raise UsageError(
                f"expected a below sqrt(0.4), a point inside the disc, got {self.a:g}; 0.3 is usual"
            )
        inside("a", self.a, 0, 1, "0.3 is usual")
        inside("r", self.r, 0, 1e6, "0.5 is usual")

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples; labels are -1 inside and 1 outside."""
        x = 2 * Key(seed).fold("disc").uniform(torch.arange(n), (2,), torch.float64).numpy() - 1
        return Draws(x, np.where((x**2).sum(1) >= _RADIUS**2, 1, -1))

    def border(self, angle: NDArray[np.float64]) -> NDArray[np.float64]:
        """g: the distance from x_0 to the circle, in each direction."""
        root: NDArray[np.float64] = np.sqrt(_RADIUS**2 - (self.a * np.sin(angle)) ** 2)
        return root - self.a * np.cos(angle)

    def scene(self) -> Scene:
        """The disc, the point, and what lies within r of it."""
        start = (self.a, 0.0)
        return Scene(
            "x1",
            "x2",
            (-1, 1),
            (-1, 1),
            (
                box((-1, -1), (1, 1), "plus", "class 1"),
                area(ring((0.0, 0.0), _RADIUS), "minus", "class -1"),
                path(ring(start, self.r), "reach", "distance r from the point"),
                path(
                    [start, (self.a + float(self.border(np.array(0.0))), 0.0)], "rule", "g, where it is least"
                ),
                dots([start], "rule"),
            ),
            square=True,
        )

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """Directions in which the border is near, the mean distance to it, and what an enemy turns."""
        draws, key = self.draw(n, seed), Key(seed).fold("directions")
        angles = 2 * math.pi * key.uniform(torch.arange(n), (), torch.float64).numpy()
        start = np.array([self.a, 0.0])
        found = ray(lambda x: (x**2).sum(-1) >= _RADIUS**2, start, angles)
        longest, mean = _RADIUS + self.a, 2 * _RADIUS * float(ellipe((self.a / _RADIUS) ** 2)) / math.pi
        summed = quad(lambda t: float(self.border(np.array(t))), 0, 2 * math.pi, epsabs=1e-12)[0] / (
            2 * math.pi
        )
        turned = np.abs(np.linalg.norm(draws.x, axis=1) - _RADIUS) < self.r
        return (
            Quantity(
                "directions with the border within r",
                self._near(),
                self._near_integrated(),
                *counted(found < self.r),
            ),
            Quantity("mean distance, as share of the longest", mean / longest, summed / longest, math.nan, 0),
            Quantity(
                "adversarial risk of the disc",
                self._turned(_covered),
                self._turned(_summed),
                *counted(turned),
            ),
        )

    def _near(self) -> float:
        k = (_RADIUS**2 - self.a**2 - self.r**2) / (2 * self.a * self.r)
        return math.acos(min(max(k, -1.0), 1.0)) / math.pi

    def _near_integrated(self) -> float:
        """The same by integrating over all directions whether g is below r, told only where it may change."""
        care = []
        if float(self.border(np.array(0.0))) < self.r < float(self.border(np.array(math.pi))):
            care = [brentq(lambda t: float(self.border(np.array(t))) - self.r, 0, math.pi, xtol=1e-14)]
        near = quad(lambda t: float(self.border(np.array(t)) < self.r), 0, math.pi, points=care or None)[0]
        return float(near / math.pi)

    def _turned(self, area: Callable[[float], float]) -> float:
        return (area(_RADIUS + self.r) - area(max(_RADIUS - self.r, 0.0))) / 4


def ray(
    wrong: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    start: NDArray[np.float64],
    angles: NDArray[np.float64],
    far: float = 3.0,
    coarse: int = 300,
) -> NDArray[np.float64]:
    """How far the answer changes in each direction of the plane: a coarse walk, then halves, by labels alone.

    Args:
        wrong: whether each of `(n, 2)` points is answered otherwise than the start.
        start: `(2,)`.
        angles: `(n,)` directions in radians.
        far: where the walk ends; infinity where nothing changed.
        coarse: steps of the walk; what is narrower than one may be missed.
    """
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    high = np.full(len(angles), np.inf)
    for step in range(1, coarse + 1):
        open_ = np.isinf(high)
        if not open_.any():
            break
        at = far * step / coarse
        high[open_] = np.where(wrong(start + at * ways[open_]), at, np.inf)
    low = high - far / coarse
    for _ in range(50):
        middle = np.where(np.isinf(high), 0.0, (low + high) / 2)
        over = wrong(start + middle[:, None] * ways)
        high, low = np.where(over & np.isfinite(high), middle, high), np.where(over, low, middle)
    return high


def _covered(radius: float) -> float:
    """Area of a disc around the middle inside the square [-1, 1]^2."""
    if radius <= 1:
        return math.pi * radius**2
    if radius >= math.sqrt(2):
        return 4.0
    over = math.acos(1 / radius)
    return 4 * (math.tan(over) + radius**2 * (math.pi / 4 - over))


def _summed(radius: float) -> float:
    """The same by integrating the height of the disc over the width of the square."""
    end = min(radius, 1.0)
    care = [math.sqrt(radius**2 - 1)] if 1 < radius < math.sqrt(2) else None
    half = quad(
        lambda x: min(math.sqrt(max(radius**2 - x**2, 0.0)), 1.0),
        0,
        end,
        points=care,
        epsabs=1e-12,
        limit=200,
    )
    return float(4 * half[0])
