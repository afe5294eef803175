"""Scene: the picture of a toy problem, as shapes in its own coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np

__all__ = [
    "Points",
    "Scene",
    "Shape",
    "area",
    "bell",
    "box",
    "curve",
    "density",
    "dots",
    "path",
    "ring",
    "straight",
]

Points: TypeAlias = tuple[tuple[float, float], ...]

_FAR: Final = 100.0
"""Half the length of a line without ends; no picture is so wide."""


@final
@dataclass(frozen=True, slots=True)
class Shape:
    """One thing in a picture.

    Args:
        kind: `area`, `path` or `dots`.
        points: corners, or places, in the coordinates of the problem.
        look: `plus` and `minus` for what belongs to the classes, `rule` for a classifier, `other` for a second one,
            `reach` for what a perturber can do, `faint` for the rest.
        name: what it is; the same name is told once.
    """

    kind: str
    points: Points
    look: str
    name: str = ""


@final
@dataclass(frozen=True, slots=True)
class Scene:
    """A picture.

    Args:
        x_name, y_name: the axes.
        across, up: their ends.
        shapes: drawn in this order.
        square: whether a unit is as long on both axes.
    """

    x_name: str
    y_name: str
    across: tuple[float, float]
    up: tuple[float, float]
    shapes: tuple[Shape, ...]
    square: bool = False


def area(points: Iterable[tuple[float, float]], look: str, name: str = "") -> Shape:
    """Fill what lies between some corners."""
    return Shape("area", tuple(points), look, name)


def path(points: Iterable[tuple[float, float]], look: str, name: str = "") -> Shape:
    """Draw a line through some points."""
    return Shape("path", tuple(points), look, name)


def dots(points: Iterable[tuple[float, float]], look: str, name: str = "") -> Shape:
    """Mark some places."""
    return Shape("dots", tuple(points), look, name)


def box(low: tuple[float, float], high: tuple[float, float], look: str, name: str = "") -> Shape:
    """Fill a rectangle."""
    return area([low, (high[0], low[1]), high, (low[0], high[1])], look, name)


def ring(middle: tuple[float, float], radius: float) -> Points:
    """Points around a circle."""
    turns = [2 * math.pi * k / 72 for k in range(73)]
    return tuple((middle[0] + radius * math.cos(t), middle[1] + radius * math.sin(t)) for t in turns)


def straight(slope: Sequence[float], offset: float) -> Points:
    """The ends of a long piece of the line on which `slope . x + offset` is 0."""
    a, b = slope
    square = a * a + b * b
    reach = _FAR / math.sqrt(square)
    foot = (-offset * a / square, -offset * b / square)
    return tuple((foot[0] - side * reach * b, foot[1] + side * reach * a) for side in (-1, 1))


def curve(value: Callable[[float], float], low: float, high: float, count: int = 120) -> Points:
    """Points of a function."""
    return tuple((float(x), value(float(x))) for x in np.linspace(low, high, count))


def density(mean: float, deviation: float) -> Callable[[float], float]:
    """The bell of a normal distribution, its height made 1."""
    return lambda x: math.exp(-(((x - mean) / deviation) ** 2) / 2)


def bell(mean: float, deviation: float) -> Callable[[float], float]:
    """The density of a normal distribution."""
    shape, height = density(mean, deviation), 1 / (deviation * math.sqrt(2 * math.pi))
    return lambda x: height * shape(x)
