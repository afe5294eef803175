"""Lesson: toy problems on one page: formula, a picture to move, exact numbers, and what was printed otherwise."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

import numpy as np
from latex2mathml.converter import convert
from numpy.typing import NDArray

from frenemy.files import write_atomic
from frenemy.reports.frame import framed
from frenemy.reports.panel import Line, Panel, drawn
from frenemy.reports.scenery import legend, scenery
from frenemy.theory.problem import Problem, Quantity

__all__ = ["Figure", "lesson"]

_FRAMES: Final = 25
"""Values at which the moving parameter can be stopped."""
_FINER: Final = 4
"""How much finer the curves are."""
_DASHES: Final = {"none": "solid", "6 3": "dashed", "2 3": "dotted", "8 3 2 3": "dash and dot"}
_HEADS: Final = ("formula", "integral", "simulated", "printed in the source")
_TONES: Final = {"enemy": "red", "friend": "blue", "model": "black"}


@final
@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing that belongs to a problem: what came out of training on it.

    Args:
        problem: the name of that problem.
        title, text: what is shown, and what to see in it.
        svg: the drawing.
    """

    problem: str
    title: str
    text: str
    svg: str


@final
@dataclass(frozen=True, slots=True)
class _Frame:
    """One value of the moving parameter: as text, the picture, the numbers."""

    value: str
    scene: str
    rows: tuple[tuple[str, ...], ...]


@final
@dataclass(frozen=True, slots=True)
class _Part:
    """One problem, ready for the page."""

    name: str
    title: str
    idea: str
    formulas: tuple[str, ...]
    settings: str
    moved: str
    heads: tuple[str, ...]
    frames: tuple[_Frame, ...]
    start: int
    legend: tuple[tuple[str, str, str], ...]
    chart: str
    lines: str
    figures: tuple[Figure, ...]
    departures: tuple[str, ...]
    source: str


def lesson(
    problems: Sequence[Problem],
    out: Path,
    command: str,
    n: int = 2_000,
    seed: int = 0,
    figures: Sequence[Figure] = (),
    told: Callable[[str, float], None] = lambda what, share: None,
) -> Path:
    """Write the page.

    Args:
        problems: with their settings; each is worked out at 25 values of the parameter it names as worth moving.
        out: the directory.
        command: what made the page.
        n, seed: examples drawn for the simulated numbers.
        figures: drawings that belong to some of the problems.
        told: told of the progress.

    Returns:
        The file, `theory.html`.

    Raises:
        RunError: it cannot be written.

    Cost: 25 times the numbers of each problem, some 10 s for all.
    """
    parts = []
    for place, problem in enumerate(problems):
        told(type(problem).__name__, place / len(problems))
        parts.append(_part(problem, n, seed, figures))
    file = out / "theory.html"
    write_atomic(file, framed("lesson.html", parts=parts, command=command, n=n).encode("utf-8", "replace"))
    return file


def _part(problem: Problem, n: int, seed: int, figures: Sequence[Figure]) -> _Part:
    maker, slide = type(problem), problem.slide
    fine = np.linspace(slide.low, slide.high, (_FRAMES - 1) * _FINER + 1)
    curves = [_moved(problem, float(v)).quantities(0, seed) for v in fine]
    values, start = _stops(problem)
    moved = [_moved(problem, v) for v in values]
    title = f"{maker.__name__} against {slide.name}"
    heads = _HEADS if any(not math.isnan(one.printed) for one in curves[0]) else _HEADS[:-1]
    frames = tuple(
        _Frame(
            f"{value:.4g}",
            scenery(one.scene(), title),
            tuple(_row(found)[: len(heads) + 1] for found in one.quantities(n, seed)),
        )
        for value, one in zip(values, moved, strict=True)
    )
    summary, _, rest = (maker.__doc__ or "").partition("\n")
    panel, lines = _chart(slide.name, fine, curves)
    name = maker.__name__.lower()
    latex = [" ".join(text.split()) for text in re.findall(r"\$\$(.*?)\$\$", rest, re.S)]
    return _Part(
        name=name,
        title=maker.__name__,
        idea=summary,
        formulas=tuple(convert(text, display="block") for text in latex),
        settings=repr(problem),
        moved=slide.name,
        heads=heads,
        frames=frames,
        start=start,
        legend=legend(moved[start].scene()),
        chart=drawn(panel, stops=values),
        lines=lines,
        figures=tuple(one for one in figures if one.problem == name),
        departures=maker.card.deviations,
        source=maker.card.citation,
    )


def _moved(problem: Problem, value: float) -> Problem:
    changed: Problem = replace(problem, **{problem.slide.name: value})  # type: ignore[type-var]
    return changed


def _stops(problem: Problem) -> tuple[list[float], int]:
    """Evenly spaced values of the moving parameter, the nearest one replaced by what is set, and its place."""
    slide = problem.slide
    values = [float(v) for v in np.linspace(slide.low, slide.high, _FRAMES)]
    own = float(getattr(problem, slide.name))
    place = int(np.argmin([abs(v - own) for v in values]))
    if slide.low <= own <= slide.high:
        values[place] = own
    return values, place


def _row(one: Quantity) -> tuple[str, ...]:
    return (
        one.name,
        f"{one.closed_form:.6f}",
        f"{one.quadrature:.6f}",
        f"{one.simulated:.3f}" if one.n else "",
        "" if math.isnan(one.printed) else f"{one.printed:.4g}",
    )


def _chart(name: str, x: NDArray[np.float64], numbers: Sequence[tuple[Quantity, ...]]) -> tuple[Panel, str]:
    """All numbers against the moving parameter, and what each line is."""
    looks = itertools.product(_DASHES.items(), _TONES.items())
    lines, said = [], []
    for k, ((dash, word), (look, tone)) in zip(range(len(numbers[0])), looks, strict=False):
        y = np.array([found[k].closed_form for found in numbers])
        lines.append(Line(x, y, numbers[0][k].name, look, dash=dash))
        said.append(f"{numbers[0][k].name} ({tone}, {word})")
    return Panel(f"Exactly, against {name}", "", name, "", tuple(lines), low=0.0, high=1.0), "; ".join(
        said
    ) + "."
