"""Accuracy against the size of the perturbation, drawn; and an interval as a bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from frenemy.reports.svg import Node, element, line, write
from frenemy.reports.words import headline, interval, percent, size
from frenemy.risks.estimate import Estimate
from frenemy.risks.result import Audit, Curve

__all__ = ["Chart", "Entry", "bar", "chart"]

_WIDTH, _HEIGHT = 420.0, 270.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 30.0, 20.0, 12.0, 40.0
_DASHES = ("none", "7 4", "2 3", "9 3 2 3")
_SIDES = {"untargeted": ("enemy", "enemy"), "hypocritical": ("friend", "false friend")}


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the legend: a drawn sample and what it stands for."""

    sample: str
    text: str


@final
@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart.

    Args:
        svg: the drawing.
        legend: what its colours and lines stand for.
        names, rows: the same numbers as a table: the names of the lines; and for each size the values.
        unit: what is drawn upwards.
        head: what the rows of the table stand for.
    """

    svg: str
    legend: tuple[Entry, ...]
    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    unit: str = "accuracy, %"
    head: str = "size"


@final
@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a size and a share lie in the drawing."""

    most: float

    def x(self, eps: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (eps / self.most if self.most > 0 else 0.0)

    def y(self, share: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)


def chart(audits: Sequence[Audit], kind: str, order: Sequence[int] | None = None) -> Chart | None:
    """Draw the curves of one kind, of one model or of several.

    Colour says who acts (enemy, false friend, nobody), the style of a line and of its marks says which model;
    each point tells its numbers when pointed at; colours come from the page's style sheet.

    Args:
        audits: the models.
        kind: `largest` or `exact`, as in `Curve.kind`.
        order: for each audit the number of its line style; by default 0, 1, 2, ...

    Returns:
        The chart, or None where no audit has a curve of this kind with a defined number.
    """
    styles = list(order) if order is not None else list(range(len(audits)))
    drawn = [
        (audit, style, curve)
        for audit, style in zip(audits, styles, strict=True)
        for curve in audit.curves
        if curve.kind == kind and curve.objective in _SIDES and any(_seen(e) for e in curve.accuracy)
    ]
    if not drawn:
        return None
    many = len(audits) > 1
    frame = _Frame(max(curve.eps[-1] for _, _, curve in drawn))
    sizes = sorted({eps for _, _, curve in drawn for eps in curve.eps})
    asked = {m.eps for a, _, _ in drawn if (m := headline(a, "accuracy_adversarial")) is not None}
    nodes = _axes(frame, sizes, asked, drawn[0][2].threat)
    nodes += [_band(frame, curve) for _, _, curve in drawn]
    once = {id(audit): (audit, style) for audit, style, _ in drawn}
    nodes += [node for audit, style in once.values() for node in _level(frame, audit, style)]
    nodes += [node for audit, style, curve in drawn for node in _curve(frame, audit, style, curve)]
    label = f"Accuracy against the {'largest' if kind == 'largest' else 'exact'} size of the perturbation. "
    spoken = " ".join(_spoken(audit, curve) for audit, _, curve in drawn)
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    svg = element("svg", *nodes, viewBox=box, class_="chart", role="img", aria_label=label + spoken)
    names = tuple(_name(audit, curve, many) for audit, _, curve in drawn)
    columns = [_values(curve, sizes) for _, _, curve in drawn]
    rows = tuple((size(eps), tuple(column[row] for column in columns)) for row, eps in enumerate(sizes))
    return Chart(write(svg), _legend(drawn, many), names, rows)


def bar(estimate: Estimate, side: str) -> str:
    """Draw an estimate and its interval on a track from 0 to 100 %; an undefined one leaves the track empty.

    Args:
        estimate: the number.
        side: `clean`, `enemy`, `friend` or `either`; gives the colour.
    """
    parts = [element("rect", class_="track", x=0, y=3, width=100, height=2)]
    if _seen(estimate):
        low, width = 100 * estimate.low, 100 * (estimate.high - estimate.low)
        place = min(max(100 * estimate.value - 0.5, 0.0), 99.0)
        parts.append(element("rect", class_=f"reach {side}", x=low, y=1, width=max(width, 0.5), height=6))
        parts.append(element("rect", class_=f"mark {side}", x=place, y=0, width=1, height=8))
    text = f"{percent(estimate)} {interval(estimate)}"
    return write(
        element(
            "svg",
            *parts,
            class_="bar",
            viewBox="0 0 100 8",
            preserveAspectRatio="none",
            role="img",
            aria_label=text,
        )
    )


def _seen(estimate: Estimate) -> bool:
    return estimate.defined and math.isfinite(estimate.value)


def _axes(frame: _Frame, sizes: list[float], asked: set[float], threat: str) -> list[Node]:
    bottom, right = frame.y(0), frame.x(frame.most)
    nodes = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = frame.y(share)
        nodes.append(element("path", class_="grid", d=line([(_LEFT, y), (right, y)])))
        nodes.append(
            element("text", f"{100 * share:.0f}", class_="tick", x=_LEFT - 6, y=y + 4, text_anchor="end")
        )
    taken: list[float] = []
    for eps in sorted(sizes, key=lambda eps: (eps not in asked, eps != frame.most, eps != 0, -eps)):
        x = frame.x(eps)
        nodes.append(element("path", class_="axis", d=line([(x, bottom), (x, bottom + 4)])))
        if all(abs(x - other) > 48 for other in taken):
            taken.append(x)
            nodes.append(element("text", size(eps), class_="tick", x=x, y=bottom + 16, text_anchor="middle"))
    for eps in sorted(asked):
        if 0 < eps <= frame.most:
            x = frame.x(eps)
            nodes.append(element("path", class_="asked", d=line([(x, _TOP), (x, bottom)])))
    nodes.append(element("path", class_="axis", d=line([(_LEFT, bottom), (right, bottom)])))
    middle = (_LEFT + right) / 2
    words = f"size of the perturbation, {threat}"
    nodes.append(element("text", words, class_="tick", x=middle, y=_HEIGHT - 4, text_anchor="middle"))
    return nodes


def _band(frame: _Frame, curve: Curve) -> Node:
    known = [(frame.x(eps), e) for eps, e in zip(curve.eps, curve.accuracy, strict=True) if _seen(e)]
    edge = [(x, frame.y(e.high)) for x, e in known] + [(x, frame.y(e.low)) for x, e in reversed(known)]
    return element("path", class_=f"band {_SIDES[curve.objective][0]}", d=line(edge, closed=True))


def _level(frame: _Frame, audit: Audit, style: int) -> list[Node]:
    found = headline(audit, "accuracy_clean")
    if found is None or not _seen(found.estimate):
        return []
    y = frame.y(found.estimate.value)
    title = element("title", f"{audit.model}, clean: {percent(found.estimate)} {interval(found.estimate)}")
    path = line([(_LEFT, y), (frame.x(frame.most), y)])
    return [element("path", title, class_="line clean", d=path, stroke_dasharray=_dash(style))]


def _curve(frame: _Frame, audit: Audit, style: int, curve: Curve) -> list[Node]:
    side, who = _SIDES[curve.objective]
    known = [(eps, e) for eps, e in zip(curve.eps, curve.accuracy, strict=True) if _seen(e)]
    path = line((frame.x(eps), frame.y(e.value)) for eps, e in known)
    nodes = [element("path", class_=f"line {side}", d=path, stroke_dasharray=_dash(style))]
    for eps, e in known:
        text = f"{audit.model}, {who}, {curve.threat} {size(eps)}: {percent(e)} {interval(e)}, n = {e.n}"
        nodes.append(_mark(frame.x(eps), frame.y(e.value), style, side, text))
    return nodes


def _mark(x: float, y: float, style: int, side: str, text: str) -> Node:
    shapes = (
        [(x + 3 * math.cos(t * math.pi / 8), y + 3 * math.sin(t * math.pi / 8)) for t in range(16)],
        [(x - 2.7, y - 2.7), (x + 2.7, y - 2.7), (x + 2.7, y + 2.7), (x - 2.7, y + 2.7)],
        [(x, y - 3.6), (x + 3.4, y + 2.6), (x - 3.4, y + 2.6)],
        [(x, y - 3.8), (x + 3.8, y), (x, y + 3.8), (x - 3.8, y)],
    )
    path = line(shapes[style % len(shapes)], closed=True)
    return element("path", element("title", text), class_=f"point {side}", d=path)


def _dash(style: int) -> str:
    return _DASHES[style % len(_DASHES)]


def _name(audit: Audit, curve: Curve, many: bool) -> str:
    who = _SIDES[curve.objective][1]
    return f"{audit.model}, {who}" if many else who


def _values(curve: Curve, sizes: list[float]) -> tuple[str, ...]:
    known = dict(zip(curve.eps, curve.accuracy, strict=True))
    return tuple(percent(known[eps]) if eps in known else "" for eps in sizes)


def _spoken(audit: Audit, curve: Curve) -> str:
    points = zip(curve.eps, curve.accuracy, strict=True)
    known = [f"{percent(e)} at {size(eps)}" for eps, e in points if _seen(e)]
    return f"{audit.model}, {_SIDES[curve.objective][1]}: from {known[0]} to {known[-1]}."


def _legend(drawn: list[tuple[Audit, int, Curve]], many: bool) -> tuple[Entry, ...]:
    sides = list(dict.fromkeys(_SIDES[curve.objective] for _, _, curve in drawn))
    styles = {id(audit): (audit.model, style) for audit, style, _ in drawn} if many else {}
    style = 0 if many else drawn[0][1]
    colours = [
        Entry(_sample(style, side, marked=not many and side != "clean"), who)
        for side, who in [*sides, ("clean", "clean level")]
    ]
    return (*colours, *(Entry(_sample(style, "model", marked=True), name) for name, style in styles.values()))


def _sample(style: int, side: str, *, marked: bool) -> str:
    path = element("path", class_=f"line {side}", d="M1 6 L31 6", stroke_dasharray=_dash(style))
    parts = [path, _mark(16, 6, style, side, "")] if marked else [path]
    return write(element("svg", *parts, class_="sample", viewBox="0 0 32 12", aria_hidden="true"))
