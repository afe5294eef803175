"""Summary: verdicts turned into named measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frenemy.attacks.attack import Books, Status
from frenemy.risks.attempt import Attempt, Cost, Trail
from frenemy.risks.curves import Course
from frenemy.risks.estimate import proportion
from frenemy.risks.headline import Headline, Sought
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.measure import MEASURES, measure
from frenemy.risks.plan import Plan
from frenemy.risks.result import Curve, Measurement
from frenemy.risks.search import Search, spelled

__all__ = ["COUNTED", "attempts", "curve_points", "headline_points"]

COUNTED: Final = {
    "untargeted": "accuracy_adversarial",
    "hypocritical": "accuracy_hypocritical",
    "reversal": "risk_reversible",
}
"""What is counted after each search for an objective."""


def headline_points(
    found: Headline, judged: NDArray[np.int64], inquiry: Inquiry, plan: Plan, kind: str, eps: float
) -> list[Measurement]:
    """Turn verdicts into measurements at the asked eps."""
    known = {wish: found.pool.known(wish, eps)[judged] for wish in plan.searches}
    correct = (inquiry.answers == inquiry.labels)[judged]
    friend = known.get("hypocritical")
    estimates = measure(
        correct,
        enemy=known.get("untargeted"),
        friend=friend,
        changed=None if friend is None else found.changed[judged] | (friend & ~correct),
        flipped=known.get("reversal"),
    )
    what = {wish: f"{_worst(searches)}; worst of all" for wish, searches in plan.searches.items()}
    return [
        Measurement(
            measure=name,
            threat="none" if MEASURES[name] == "none" else kind,
            eps=0.0 if MEASURES[name] == "none" else eps,
            objective=MEASURES[name],
            attack=what.get(MEASURES[name], "none"),
            estimate=estimate,
            cost=found.cost(MEASURES[name]) if MEASURES[name] in what else Cost(len(judged)),
        )
        for name, estimate in estimates.items()
    ]


def attempts(found: Headline, judged: NDArray[np.int64], plan: Plan) -> tuple[Attempt, ...]:
    """Say of each search what it was tried on, what fell to it, and what was left."""
    lines = []
    for wish, searches in found.searches.items():
        for search in (plan.idle or {}).get(wish, ()):
            blank = proportion(0, 0)
            lines.append(Attempt(wish, search.name, 0, 0, COUNTED[wish], blank, Cost(), "not applicable"))
        for sought in searches:
            yields = sought.after[judged]
            hits = ~yields if wish == "untargeted" else yields
            lines.append(
                Attempt(
                    objective=wish,
                    attack=sought.search.name,
                    tried=len(sought.result["rows"]),
                    fell=len(np.intersect1d(sought.won, judged)),
                    measure=COUNTED[wish],
                    estimate=proportion(int(hits.sum()), len(judged)),
                    cost=sought.cost,
                    trail=_trail(sought),
                )
            )
    return tuple(lines)


def _trail(sought: Sought) -> tuple[Trail, ...]:
    """Where a search stood after so many queries, on the examples that were not yet where it wanted them."""
    trace = sought.result.get("trace")
    if trace is None:
        return ()
    far = np.sort(trace[sought.result["outcome"] != Status.ALREADY], axis=0)
    if not len(far):
        return ()
    marks = Books.marks(getattr(sought.search.attack, "queries", 1))
    found, median = np.isfinite(far).mean(0), far[(len(far) - 1) // 2]
    median = np.where(np.isfinite(median), median, np.nan)
    return tuple(Trail(*point) for point in zip(marks, found.tolist(), median.tolist(), strict=True))


def curve_points(curves: Sequence[Curve], courses: Mapping[str, Course]) -> list[Measurement]:
    """Turn the points of the curves into measurements."""
    return [
        Measurement(
            measure=COUNTED[curve.objective],
            threat=curve.threat if curve.kind == "largest" else f"sphere-{curve.threat}",
            eps=eps,
            objective=curve.objective,
            attack=f"{_drawing(curve, courses)}; worst of all at this eps and below",
            estimate=estimate,
            cost=Cost(),
            role="curve",
        )
        for curve in curves
        for eps, estimate in zip(curve.eps, curve.accuracy)
    ]


def _worst(searches: Sequence[Search]) -> str:
    """The searches in words, the losses of one attack beside each other."""
    losses: dict[str, list[str]] = {}
    for search in searches:
        name = search.label or spelled(search.attack)
        losses.setdefault(name, []).extend([search.loss] if search.loss else [])
    return "; ".join(f"{name} on {', '.join(over)}" if over else name for name, over in losses.items())


def _drawing(curve: Curve, courses: Mapping[str, Course]) -> str:
    course = courses[curve.objective]
    search = course.largest if curve.kind == "largest" else course.exact
    return search.name if search else "none"
