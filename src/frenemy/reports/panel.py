"""Panel: lines over two axes, as data that the page draws as SVG and a paper as PDF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from frenemy.reports.svg import Node, element, line, write

__all__ = ["Line", "Panel", "drawn", "round_steps"]

_WIDTH, _HEIGHT = 420.0, 270.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 38.0, 12.0, 26.0, 40.0
_POINTS = 160


@final
@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One line.

    Args:
        x, y: `(points,)`; a line is broken where `y` is not finite.
        name: what it is, shown when pointed at; empty for one of many.
        look: `faint` for one of many, `enemy`, `friend` or `model`.
        weight: of its stroke, 0 to 1; runs of one search fade in.
        dash: pattern of its stroke, as SVG has it.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    name: str = ""
    look: str = "faint"
    weight: float = 1.0
    dash: str = "none"


@final
@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over two axes.

    Args:
        title: what is shown.
        text: a sentence below it.
        x_name, y_name: the axes, with units.
        lines: drawn in this order.
        low, high: ends of the upright axis; None lets the lines decide.
    """

    title: str
    text: str
    x_name: str
    y_name: str
    lines: tuple[Line, ...]
    low: float | None = None
    high: float | None = None

    def range(self) -> tuple[float, float, float, float]:
        """Ends of both axes: lowest and highest x, lowest and highest y; never of no length."""
        x = np.concatenate([one.x for one in self.lines] or [np.array([0.0])])
        y = np.concatenate([one.y for one in self.lines] or [np.array([0.0])])
        y = y[np.isfinite(y)] if np.isfinite(y).any() else np.array([0.0])
        low = float(y.min()) if self.low is None else self.low
        high = float(y.max()) if self.high is None else self.high
        pad = 0.0 if high > low else max(abs(high), 1.0) * 0.05
        ends = float(x.min()), float(x.max())
        return ends[0], ends[1] if ends[1] > ends[0] else ends[0] + 1, low - pad, high + pad


def drawn(panel: Panel, stops: Sequence[float] = ()) -> str:
    """Draw a panel as SVG; its colours are those of the page.

    Args:
        panel: what is shown.
        stops: where a slider stops, each an upright line that is seen while it stands there.
    """
    left, right, low, high = panel.range()

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - left) / (right - left)
        up = (y - low) / (high - low)
        return (
            _LEFT + across * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    nodes: list[Node] = []
    for y in round_steps(low, high, 6):
        (x0, height), (x1, _) = place(left, y), place(right, y)
        nodes.append(element("path", class_="grid", d=line([(x0, height), (x1, height)])))
        nodes.append(element("text", f"{y:g}", class_="tick", x=x0 - 6, y=height + 4, text_anchor="end"))
    for x in round_steps(left, right, 6):
        at, bottom = place(x, low)
        nodes.append(element("path", class_="axis", d=line([(at, bottom), (at, bottom + 4)])))
        nodes.append(element("text", f"{x:g}", class_="tick", x=at, y=bottom + 16, text_anchor="middle"))
    nodes.append(element("path", class_="axis", d=line([place(left, low), place(right, low)])))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    nodes.append(element("text", panel.x_name, class_="tick", x=middle, y=_HEIGHT - 4, text_anchor="middle"))
    nodes.append(element("text", panel.y_name, class_="tick", x=0, y=11))
    for one in panel.lines:
        for across, up in _pieces(one):
            path = line(place(float(a), float(b)) for a, b in zip(across, up, strict=True))
            told = (element("title", one.name),) if one.name else ()
            style = {} if one.dash == "none" else {"stroke_dasharray": one.dash}
            nodes.append(
                element("path", *told, class_=f"line {one.look}", d=path, opacity=one.weight, **style)
            )
    for k, x in enumerate(stops):
        nodes.append(element("path", class_="needle", data_stop=k, d=line([place(x, low), place(x, high)])))
    label = f"{panel.title}: {panel.y_name} against {panel.x_name}"
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return write(element("svg", *nodes, viewBox=box, class_="chart", role="img", aria_label=label))


def round_steps(low: float, high: float, most: int) -> Sequence[float]:
    """Give at most so many round numbers between two ends, evenly spaced."""
    rough = (high - low) / max(most - 1, 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _pieces(one: Line) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Cut a line where it is not finite, and leave out points that nobody could tell apart."""
    stride = max(1, math.ceil(len(one.x) / _POINTS))
    some = np.unique([*range(0, len(one.x), stride), len(one.x) - 1]) if len(one.x) else np.empty(0, int)
    x, y = one.x[some], one.y[some]
    cuts = np.flatnonzero(np.diff(np.isfinite(y).astype(int))) + 1
    parts = zip(np.split(x, cuts), np.split(y, cuts), strict=True)
    return [(a, b) for a, b in parts if len(b) and np.isfinite(b).all()]
