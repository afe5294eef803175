"""Queries: how far the nearest success lay after so many questions, drawn."""

from __future__ import annotations

import math

import numpy as np

from frenemy.reports.curve import Chart, Entry
from frenemy.reports.panel import Line, Panel, drawn
from frenemy.reports.svg import element, write
from frenemy.reports.words import WHO
from frenemy.risks.attempt import Attempt
from frenemy.risks.result import Audit

__all__ = ["asked"]

_DASHES = ("none", "7 4", "2 3", "9 3 2 3", "4 2", "1 4")
_LOOKS = {"untargeted": "enemy", "hypocritical": "friend"}
_ROWS = 12


def asked(audit: Audit) -> Chart | None:
    """Draw the median distance against queries, one line a search that kept books.

    Returns:
        The chart; None where no search kept books, or none came so far that half of the examples had a success.
    """
    kept = [one for one in audit.attempts if any(math.isfinite(point.median) for point in one.trail)]
    if not kept:
        return None
    looks = [
        (one, _LOOKS.get(one.objective, "model"), _DASHES[k % len(_DASHES)]) for k, one in enumerate(kept)
    ]
    lines = tuple(
        Line(
            np.array([float(point.queries) for point in one.trail]),
            np.array([point.median for point in one.trail]),
            name=_name(one),
            look=look,
            dash=dash,
        )
        for one, look, dash in looks
    )
    svg = drawn(Panel("Distance against queries", "", "queries an example", "", lines, low=0.0))
    counts = sorted({point.queries for one in kept for point in one.trail})
    shown = [counts[k] for k in sorted({round(k * (len(counts) - 1) / (_ROWS - 1)) for k in range(_ROWS)})]
    return Chart(
        svg=svg,
        legend=tuple(Entry(_sample(look, dash), _name(one)) for one, look, dash in looks),
        names=tuple(_name(one) for one in kept),
        rows=tuple((f"{count:,}", tuple(_at(one, count) for one in kept)) for count in shown),
        unit="median distance of the nearest success",
        head="queries",
    )


def _name(one: Attempt) -> str:
    return f"{one.attack}, {WHO.get(one.objective, one.objective)}"


def _at(one: Attempt, count: int) -> str:
    """The median after so many queries, and the share of examples that had a success by then."""
    before = [point for point in one.trail if point.queries <= count]
    if not before or count > one.trail[-1].queries:
        return ""
    median = f"{before[-1].median:.3g}" if math.isfinite(before[-1].median) else "none"
    return f"{median} ({100 * before[-1].found:.0f} % found)"


def _sample(look: str, dash: str) -> str:
    path = element("path", class_=f"line {look}", d="M1 6 L31 6", stroke_dasharray=dash)
    return write(element("svg", path, class_="sample", viewBox="0 0 32 12", aria_hidden="true"))
