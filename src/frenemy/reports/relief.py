"""Relief: a surface over a square, as data that the page draws as SVG and a paper as PDF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from frenemy.reports.svg import Node, element, line, write

__all__ = ["RAMP", "Relief", "relieved"]

_WIDTH, _HEIGHT = 420.0, 300.0
_ACROSS, _DOWN, _UP = 165.0, 62.0, 150.0
_MIDDLE, _FLOOR = 205.0, 208.0

RAMP: Final = (
    "#2d4373",
    "#3f6a9c",
    "#5b93b5",
    "#8fb9bd",
    "#d7d2bd",
    "#e8b98a",
    "#de8a55",
    "#c45a2c",
    "#8f3312",
)
"""Colours from the lowest to the highest value: from blue over sand to the enemy's red."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Relief:
    """A surface.

    Args:
        title: what is shown.
        text: a sentence below it.
        x_name, y_name, z_name: the axes, with units; x runs to the right and towards the reader, y to the left.
        x, y: `(points,)` ascending.
        z: `(len(x), len(y))` heights.
        low, high: ends of the upright axis, shared by surfaces that are compared.
    """

    title: str
    text: str
    x_name: str
    y_name: str
    z_name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    low: float
    high: float


def relieved(relief: Relief) -> str:
    """Draw a surface as SVG, seen from above one corner; patches behind are drawn first."""
    rows, columns = relief.z.shape
    span = max(relief.high - relief.low, 1e-12)
    a = np.linspace(-1, 1, rows)[:, None]
    b = np.linspace(-1, 1, columns)[None, :]
    height = np.clip((relief.z - relief.low) / span, 0, 1)

    def place(a: float, b: float, up: float) -> tuple[float, float]:
        return _MIDDLE + _ACROSS * (a - b) / 2, _FLOOR + _DOWN * (a + b) / 2 - _UP * up

    nodes = _frame(relief, place)
    for i in range(rows - 1):
        for j in range(columns - 1):
            around = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
            corners = [place(a[p, 0], b[0, q], height[p, q]) for p, q in around]
            level = float(np.mean([height[p, q] for p, q in around]))
            colour = RAMP[min(int(level * len(RAMP)), len(RAMP) - 1)]
            nodes.append(element("path", class_="patch", fill=colour, d=line(corners, closed=True)))
    label = (
        f"{relief.title}: {relief.z_name} from {relief.z.min():.3g} to {relief.z.max():.3g}, over {relief.x_name} and "
        f"{relief.y_name}"
    )
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return write(element("svg", *nodes, viewBox=box, class_="chart", role="img", aria_label=label))


def _frame(relief: Relief, place: Callable[[float, float, float], tuple[float, float]]) -> list[Node]:
    """The floor, the upright axis with its ends, and the names of the axes."""
    floor = [place(*corner, 0) for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    top, bottom = place(-1, 1, 1), place(-1, 1, 0)
    nodes = [
        element("path", class_="grid", d=line(floor, closed=True)),
        element("path", class_="axis", d=line([top, bottom])),
    ]
    for value, (x, y) in ((relief.high, top), (relief.low, bottom)):
        told = 0.0 if abs(value) < 1e-3 * (relief.high - relief.low) else value
        nodes.append(element("text", f"{told:.3g}", class_="tick", x=x - 5, y=y + 4, text_anchor="end"))
    nodes.append(element("text", relief.z_name, class_="tick", x=top[0] - 38, y=top[1] - 10))
    right, left = place(1, 0, 0), place(0, 1, 0)
    ends = f"{relief.x[0]:.3g} to {relief.x[-1]:.3g}"
    for (x, y), name, anchor in ((right, relief.x_name, "start"), (left, relief.y_name, "end")):
        near = x + (4 if anchor == "start" else -4)
        nodes.append(element("text", name, class_="tick", x=near, y=y + 20, text_anchor=anchor))
        nodes.append(element("text", ends, class_="tick", x=near, y=y + 34, text_anchor=anchor))
    return nodes
