"""Scenery: the picture of a toy problem as SVG; its colours are those of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from frenemy.reports.panel import round_steps
from frenemy.reports.svg import Node, element, line, number, write
from frenemy.theory.scene import Points, Scene, Shape

__all__ = ["legend", "scenery"]

_WIDTH, _HEIGHT = 420.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 38.0, 12.0, 22.0, 40.0
_DOT: Final = 3.6


def scenery(scene: Scene, title: str) -> str:
    """Draw a scene.

    Args:
        scene: what is shown; whatever lies outside its axes is cut off.
        title: told to who cannot see it.
    """
    place, (left, right), (low, high) = _placed(scene)
    nodes = [
        element("path", class_="axis", d=line([(left, high), (left, low), (right, low)])),
        *_ticks(scene, place),
        element(
            "text", scene.x_name, class_="tick", x=(left + right) / 2, y=_HEIGHT - 4, text_anchor="middle"
        ),
        element("text", scene.y_name, class_="tick", x=0, y=11),
    ]
    held = [node for shape in scene.shapes for node in _shape(shape, place)]
    inner = element(
        "svg",
        *held,
        x=left,
        y=high,
        width=right - left,
        height=low - high,
        viewBox=" ".join(number(v) for v in (left, high, right - left, low - high)),
        overflow="hidden",
    )
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return write(element("svg", *nodes, inner, viewBox=box, class_="chart", role="img", aria_label=title))


def legend(scene: Scene) -> tuple[tuple[str, str, str], ...]:
    """Kind, look and name of everything that has a name, each once."""
    named = {(s.look, s.name): (s.kind, s.look, s.name) for s in scene.shapes if s.name and s.points}
    return tuple(named.values())


def _placed(
    scene: Scene,
) -> tuple[Callable[[float, float], tuple[float, float]], tuple[float, float], tuple[float, float]]:
    """Where a point goes, and the ends of both axes on the paper: left and right, bottom and top."""
    (x0, x1), (y0, y1) = scene.across, scene.up
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    if scene.square:
        unit = min(wide / (x1 - x0), tall / (y1 - y0))
        wide, tall = unit * (x1 - x0), unit * (y1 - y0)
    left, low = _LEFT + (_WIDTH - _LEFT - _RIGHT - wide) / 2, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (x - x0) / (x1 - x0) * wide, low - (y - y0) / (y1 - y0) * tall

    return place, (left, left + wide), (low, low - tall)


def _ticks(scene: Scene, place: Callable[[float, float], tuple[float, float]]) -> list[Node]:
    (x0, x1), (y0, y1) = scene.across, scene.up
    nodes = []
    for x in round_steps(x0, x1, 6):
        at, bottom = place(x, y0)
        nodes.append(element("text", f"{x:g}", class_="tick", x=at, y=bottom + 16, text_anchor="middle"))
    for y in round_steps(y0, y1, 5):
        left, at = place(x0, y)
        nodes.append(element("text", f"{y:g}", class_="tick", x=left - 6, y=at + 4, text_anchor="end"))
    return nodes


def _shape(shape: Shape, place: Callable[[float, float], tuple[float, float]]) -> list[Node]:
    told = (element("title", shape.name),) if shape.name else ()
    points: Points = tuple(place(x, y) for x, y in shape.points)
    if shape.kind == "dots":
        return [element("circle", *told, class_=f"dot {shape.look}", cx=x, cy=y, r=_DOT) for x, y in points]
    drawing = line(points, closed=shape.kind == "area")
    node = element("path", *told, class_=f"{shape.kind} {shape.look}", d=drawing)
    solid = shape.kind == "area" and shape.look != "reach"
    return [element("path", class_="back", d=drawing), node] if solid else [node]
