"""Separable: two classes with room between them, and what an enemy who reaches further than that leaves to a line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad

from frenemy.card import Card
from frenemy.rng import Key
from frenemy.theory.problem import Draws, Quantity, Slide, counted, inside
from frenemy.theory.scene import Scene, box, path, straight

__all__ = ["Separable"]

_MARGIN: Final = 1.75
_WIDE, _TALL = 4.0, 5.0


@final
@dataclass(frozen=True, slots=True)
class Separable:
    r"""Two rectangles, one a class, each 1.75 away from the line between them; a line must tell them apart.

    $$ y \sim U\{-1, 1\}, \quad x_1 \sim y\, U[1.75, 5.75], \quad x_2 \sim U[-5, 5], \quad
       f(x) = \operatorname{sign}(x_1 \cos\alpha + x_2 \sin\alpha - b) $$

    An enemy who may move each coordinate by eps (Linf) turns every input with
    y (x_1 cos a + x_2 sin a - b) < eps (|cos a| + |sin a|). So a risk is the area that a half-plane cuts from a
    rectangle. The upright line errs nowhere and keeps that up to eps = 1.75; beyond, no line keeps all. At eps = 4 it
    loses (4 - 1.75) / 4 of the inputs, more than the half that answering one class throughout would lose.

    Args:
        alpha: the tilt of the line in degrees, from -90 to 90; 0 is upright.
        b: its distance from the middle, from -10 to 10.
        eps: what the enemy may do, 0 or more.

    Raises:
        UsageError: a parameter is out of range, or not a number.

    References:
        004, Section 4.1.1, Figure 4.1.
    """

    alpha: float = 25.0
    b: float = 0.5
    eps: float = 1.0

    card: ClassVar[Card] = Card(
        authors="Cheng",
        title="On the Robustness of Neural Network: Attacks and Defenses",
        year=2021,
        venue="PhD dissertation, University of California, Los Angeles",
        place="Section 4.1.1, Figure 4.1",
        deviations=(
            "004 draws points with a margin of 1.75; here they fill two rectangles, so that risks are areas",
        ),
    )
    slide: ClassVar[Slide] = Slide("eps", 0.0, 5.0)

    def __post_init__(self) -> None:
        inside("alpha", self.alpha, -90, 90, "0 is the upright line", ends="[]")
        inside("b", self.b, -10, 10, "0 is the middle", ends="[]")
        inside("eps", self.eps, 0, 1e6, "1 and 4 are those of Figure 4.1", ends="[]")

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples."""
        key, rows = Key(seed).fold("separable"), torch.arange(n)
        y = np.where(key.fold("y").uniform(rows, (), torch.float64).numpy() < 0.5, -1, 1)
        u = key.fold("x").uniform(rows, (2,), torch.float64).numpy()
        return Draws(np.column_stack([y * (_MARGIN + _WIDE * u[:, 0]), _TALL * (2 * u[:, 1] - 1)]), y)

    def risk(self, alpha: float, b: float, eps: float) -> float:
        """Probability that the line with this tilt (degrees) and distance is wrong under an enemy of this eps."""
        return sum(self._cut(alpha, b, eps, y) for y in (-1, 1)) / 2

    def scene(self) -> Scene:
        """The rectangles, the lines, and the part of each class that the enemy turns for the upright one."""
        far, shapes = _MARGIN + _WIDE, []
        for y, look in ((-1, "minus"), (1, "plus")):
            left, right = sorted((y * _MARGIN, y * far))
            shapes.append(box((left, -_TALL), (right, _TALL), look, f"class {y}"))
        shapes.append(box((-self.eps, -_TALL), (self.eps, _TALL), "reach", "within eps of the upright line"))
        shapes.append(path(straight((1, 0), 0), "rule", "upright line"))
        c, s = math.cos(math.radians(self.alpha)), math.sin(math.radians(self.alpha))
        shapes.append(path(straight((c, s), -self.b), "other", "tilted line"))
        return Scene("x1", "x2", (-6, 6), (-6, 6), tuple(shapes), square=True)

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """Natural and adversarial risk of the upright and of the tilted line."""
        draws, found = self.draw(n, seed), []
        for name, alpha, b in (("upright line", 0.0, 0.0), ("tilted line", self.alpha, self.b)):
            for kind, eps in (("natural", 0.0), ("adversarial", self.eps)):
                found.append(
                    Quantity(
                        f"{name}, {kind} risk",
                        self.risk(alpha, b, eps),
                        self._integrated(alpha, b, eps),
                        *counted(self._wrong(draws, alpha, b, eps)),
                    )
                )
        return tuple(found)

    def _border(self, alpha: float, b: float, eps: float, y: int) -> tuple[float, float, float]:
        """A class is lost where `c u + s v < k`, on u in [1.75, 5.75], v in [-5, 5]; both signs mirrored to this."""
        c, s = math.cos(math.radians(alpha)), math.sin(math.radians(alpha))
        return c, y * s, y * b + eps * (abs(c) + abs(s))

    def _cut(self, alpha: float, b: float, eps: float, y: int) -> float:
        """Share of a rectangle below the border: its corners on that side and where the sides cross it, by shoelace."""
        c, s, k = self._border(alpha, b, eps, y)
        corners = [(_MARGIN, -_TALL), (_MARGIN + _WIDE, -_TALL), (_MARGIN + _WIDE, _TALL), (_MARGIN, _TALL)]
        kept: list[tuple[float, float]] = []
        for (u0, v0), (u1, v1) in zip(corners, corners[1:] + corners[:1], strict=True):
            one, other = c * u0 + s * v0 - k, c * u1 + s * v1 - k
            kept += [(u0, v0)] if one < 0 else []
            if (one < 0) != (other < 0):
                part = one / (one - other)
                kept.append((u0 + part * (u1 - u0), v0 + part * (v1 - v0)))
        turns = zip(kept, kept[1:] + kept[:1], strict=True)
        return abs(sum(u0 * v1 - u1 * v0 for (u0, v0), (u1, v1) in turns)) / 2 / (2 * _WIDE * _TALL)

    def _integrated(self, alpha: float, b: float, eps: float) -> float:
        """The same by integrating over the height how much of the width is lost."""
        total = 0.0
        for y in (-1, 1):
            c, s, k = self._border(alpha, b, eps, y)

            def lost(v: float, c: float = c, s: float = s, k: float = k) -> float:
                if c < 1e-12:
                    return _WIDE * float(s * v < k)
                return min(max((k - s * v) / c - _MARGIN, 0.0), _WIDE)

            bends = [(k - c * u) / s for u in (_MARGIN, _MARGIN + _WIDE) if s]
            care = [v for v in bends if -_TALL < v < _TALL]
            total += quad(lost, -_TALL, _TALL, points=care or None, limit=200, epsabs=1e-12)[0]
        return float(total / 2 / (2 * _WIDE * _TALL))

    def _wrong(self, draws: Draws, alpha: float, b: float, eps: float) -> NDArray[np.bool_]:
        """Move every example against its label as far as the enemy may, and ask the line."""
        w = np.array([math.cos(math.radians(alpha)), math.sin(math.radians(alpha))])
        moved = draws.x - eps * draws.y[:, None] * np.sign(w)
        wrong: NDArray[np.bool_] = draws.y * (moved @ w - b) < 0
        return wrong
