"""Dial: accuracies over the masks of a model, drawn so that a slider can point at each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from frenemy.reports.panel import round_steps
from frenemy.reports.svg import Node, element, line, write
from frenemy.reports.words import interval, percent
from frenemy.risks.estimate import Estimate
from frenemy.risks.sweep import Sweep

__all__ = ["over_shares", "trade"]

_WIDTH, _HEIGHT = 420.0, 290.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 16.0, 26.0, 40.0
_ROUND: Final = 5.0
_ROOM: Final = (26.0, 13.0)
"""How near labels may come to each other."""

_Place = Callable[[float], float]


def over_shares(found: Sweep) -> str:
    """Draw clean accuracy and accuracy under attack against p, with their intervals, as SVG."""
    x, y = _axis(found.shares[0], found.shares[-1], _LEFT, _WIDTH - _RIGHT), _upright(0.0, 100.0)
    nodes = [*_upwards(y, round_steps(0.0, 100.0, 6)), *_across(x, found.shares, "p")]
    nodes.append(element("text", "accuracy, %", class_="tick", x=0, y=11))
    for place, p in enumerate(found.shares):
        nodes.append(
            element("path", class_="needle", data_stop=place, d=line([(x(p), y(0)), (x(p), y(100))]))
        )
    for numbers, look, name in ((found.clean, "model", "untouched"), (found.robust, "enemy", "under attack")):
        own = [numbers(place) for place in range(len(found.shares))]
        nodes += _ribbon(found.shares, own, x, y, look)
        for place, (p, one) in enumerate(zip(found.shares, own, strict=True)):
            told = f"p = {p:g}, {name}: {percent(one)} {interval(one)}"
            nodes.append(_point(x(p), y(100 * one.value), look, place, told))
    return _written(nodes, "Accuracy against p, on untouched inputs and under attack")


def trade(found: Sweep) -> str:
    """Draw accuracy under attack against clean accuracy, one point a mask, in the order of p, as SVG."""
    count = range(len(found.shares))
    clean, robust = [found.clean(k) for k in count], [found.robust(k) for k in count]
    x = _axis(*_ends(clean), _LEFT, _WIDTH - _RIGHT)
    y = _upright(*_ends(robust))
    nodes = [*_upwards(y, round_steps(*_ends(robust), 6)), *_across(x, round_steps(*_ends(clean), 6), "")]
    nodes.append(element("text", "under attack, %", class_="tick", x=0, y=11))
    nodes.append(
        element("text", "untouched, %", class_="tick", x=_WIDTH - _RIGHT, y=_HEIGHT - 4, text_anchor="end")
    )
    middles = [(x(100 * a.value), y(100 * b.value)) for a, b in zip(clean, robust, strict=True)]
    for (across, up), a, b in zip(middles, clean, robust, strict=True):
        nodes.append(element("path", class_="spread", d=line([(x(100 * a.low), up), (x(100 * a.high), up)])))
        nodes.append(
            element("path", class_="spread", d=line([(across, y(100 * b.low)), (across, y(100 * b.high))]))
        )
    nodes.append(element("path", class_="line model", d=line(middles)))
    for place, (across, up) in enumerate(middles):
        p, a, b = found.shares[place], clean[place], robust[place]
        told = f"p = {p:g}: untouched {percent(a)} {interval(a)}, under attack {percent(b)} {interval(b)}"
        nodes.append(_point(across, up, "enemy", place, told))
    nodes += _labels(found.shares, middles)
    return _written(nodes, "Accuracy under attack against clean accuracy, one point a mask")


def _labels(shares: Sequence[float], middles: Sequence[tuple[float, float]]) -> list[Node]:
    """The p beside its point: of both ends, then of the others as far as there is room."""
    nodes: list[Node] = []
    taken: list[tuple[float, float]] = []
    last = len(shares) - 1
    for place in (0, last, *range(1, last)):
        x, y = middles[place]
        if any(abs(x - a) < _ROOM[0] and abs(y - b) < _ROOM[1] for a, b in taken):
            continue
        taken.append((x, y))
        left = x > _WIDTH - 60
        side = {"x": x - 9, "text_anchor": "end"} if left else {"x": x + 9, "text_anchor": "start"}
        nodes.append(element("text", f"{shares[place]:g}", class_="tick", y=y - 7, **side))
    return nodes


def _ends(numbers: Sequence[Estimate]) -> tuple[float, float]:
    """From the tens below the lowest interval to the tens above the highest, within 0 and 100."""
    low = 10 * (100 * min(one.low for one in numbers) // 10)
    high = 10 * -(-100 * max(one.high for one in numbers) // 10)
    return max(low, 0.0), min(max(high, low + 10), 100.0)


def _axis(low: float, high: float, first: float, last: float) -> _Place:
    span = high - low if high > low else 1.0
    return lambda value: first + (value - low) / span * (last - first)


def _upright(low: float, high: float) -> _Place:
    return _axis(low, high, _HEIGHT - _BOTTOM, _TOP)


def _upwards(y: _Place, steps: Sequence[float]) -> list[Node]:
    nodes = []
    for step in steps:
        ends = [(_LEFT, y(step)), (_WIDTH - _RIGHT, y(step))]
        nodes.append(element("path", class_="grid", d=line(ends)))
        nodes.append(
            element("text", f"{step:g}", class_="tick", x=_LEFT - 6, y=y(step) + 4, text_anchor="end")
        )
    return nodes


def _across(x: _Place, steps: Sequence[float], name: str) -> list[Node]:
    bottom, nodes, last = _HEIGHT - _BOTTOM, [], -_WIDTH
    for step in steps:
        nodes.append(element("path", class_="axis", d=line([(x(step), bottom), (x(step), bottom + 4)])))
        if x(step) - last >= 28:
            last = x(step)
            nodes.append(
                element("text", f"{step:.3g}", class_="tick", x=last, y=bottom + 16, text_anchor="middle")
            )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    nodes.append(element("path", class_="axis", d=line([(_LEFT, bottom), (_WIDTH - _RIGHT, bottom)])))
    return [*nodes, element("text", name, class_="tick", x=middle, y=_HEIGHT - 4, text_anchor="middle")]


def _ribbon(
    shares: Sequence[float], numbers: Sequence[Estimate], x: _Place, y: _Place, look: str
) -> list[Node]:
    """A line and the band of its intervals."""
    pairs = list(zip(shares, numbers, strict=True))
    there = [(x(p), y(100 * one.high)) for p, one in pairs]
    back = [(x(p), y(100 * one.low)) for p, one in reversed(pairs)]
    band = element("path", class_=f"band {look}", d=line([*there, *back], closed=True))
    return [
        band,
        element("path", class_=f"line {look}", d=line([(x(p), y(100 * one.value)) for p, one in pairs])),
    ]


def _point(x: float, y: float, look: str, place: int, told: str) -> Node:
    return element(
        "circle", element("title", told), class_=f"point {look}", data_stop=place, cx=x, cy=y, r=_ROUND
    )


def _written(nodes: Sequence[Node], label: str) -> str:
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return write(element("svg", *nodes, viewBox=box, class_="chart", role="img", aria_label=label))
