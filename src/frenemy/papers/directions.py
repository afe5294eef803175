"""004, Figure 2.3: how far the border lies in each direction, for a disc, for trees, and for a small net."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.neural_network import MLPClassifier

from frenemy.reports.lesson import Figure
from frenemy.reports.panel import Line, Panel, drawn
from frenemy.reports.scenery import scenery
from frenemy.theory.disc import Disc, ray
from frenemy.theory.scene import Scene, area, box, dots, path

__all__ = ["Directions", "directions", "figures"]

_LOOKS = {"disc": "model", "trees": "enemy", "small net": "friend"}


@final
@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """What was measured.

    Args:
        angles: `(directions,)` in radians, evenly spaced.
        distance: g in each direction, by classifier.
        jump: the largest change of g between neighbouring directions.
    """

    angles: NDArray[np.float64]
    distance: dict[str, NDArray[np.float64]]
    jump: dict[str, float]


def directions(seed: int = 0, count: int = 3_600, n: int = 2_000) -> Directions:
    """Fit trees and a small net to the disc, and search the border in every direction by labels alone."""
    problem = Disc()
    draws = problem.draw(n, seed)
    trees = GradientBoostingClassifier(random_state=seed).fit(draws.x, draws.y)
    net = MLPClassifier((32, 32), max_iter=5_000, random_state=seed).fit(draws.x, draws.y)
    rules: dict[str, Callable[[NDArray[np.float64]], NDArray[np.bool_]]] = {
        "disc": lambda x: (x**2).sum(-1) >= 0.4,
        "trees": lambda x: trees.predict(x) == 1,
        "small net": lambda x: net.predict(x) == 1,
    }
    angles = np.arange(count) * 2 * math.pi / count
    start = np.array([problem.a, 0.0])
    distance = {name: ray(rule, start, angles, far=1.5, coarse=150) for name, rule in rules.items()}
    jump = {name: float(np.abs(np.diff(g, append=g[:1])).max()) for name, g in distance.items()}
    return Directions(angles, distance, jump)


def figures(seed: int = 0) -> tuple[Figure, ...]:
    """Draw g against the direction, and the borders as they are seen from the point."""
    found, start = directions(seed), Disc().a
    degrees = np.degrees(found.angles)
    lines = tuple(Line(degrees, g, name, _LOOKS[name]) for name, g in found.distance.items())
    jumps = ", ".join(f"{name} {jump:.3f}" for name, jump in found.jump.items())
    told = (
        "Black: the disc; red: trees; blue: a small net (004, Figure 2.3). Largest step between directions 0.1 degrees "
        f"apart: {jumps}. Past the corner of a leaf the border of the trees lies further off at once: their g is not "
        "continuous."
    )
    shapes = [box((-1, -1), (1, 1), "plus faint")]
    for name, look in (("trees", "minus"), ("small net", "rule"), ("disc", "faint")):
        g = found.distance[name][::4]
        x, y = start + g * np.cos(found.angles[::4]), g * np.sin(found.angles[::4])
        points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        shapes.append(area(points, look) if name == "trees" else path([*points, points[0]], look))
    shapes.append(dots([(start, 0.0)], "rule"))
    scene = Scene("x1", "x2", (-1, 1), (-1, 1), tuple(shapes), square=True)
    panel = Panel("g", "", "direction, degrees", "distance", lines, low=0.0)
    seen = "What the point sees of each border: trees filled, small net in black, disc dotted."
    return (
        Figure("disc", "The distance to the border in each direction", told, drawn(panel)),
        Figure("disc", "The borders", seen, scenery(scene, "The borders")),
    )
