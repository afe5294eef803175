"""The page for people: one HTML file that needs nothing else and runs nothing but what it came with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from markupsafe import Markup

from frenemy.errors import UsageError
from frenemy.reports.curve import Chart, bar, chart
from frenemy.reports.frame import framed
from frenemy.reports.gallery import gallery, unit
from frenemy.reports.queries import asked
from frenemy.reports.record import records
from frenemy.reports.searches import searches_page
from frenemy.reports.verdicts import verdicts
from frenemy.reports.words import (
    ACCURACIES,
    RISKS,
    Word,
    headline,
    interval,
    percent,
    reach,
    share,
    size,
    trust,
)
from frenemy.risks.order import lexicographic
from frenemy.risks.result import Audit, Caveat

__all__ = ["render"]

_CHARTS = (
    ("largest", "Anything up to the size", "The worst of all perturbations whose norm is at most the size."),
    ("exact", "Exactly the size", "Only perturbations whose norm is the size; the line may rise."),
)
_POINT = 0.01
"""A difference between accuracies that is none, when models are put in order."""
_CARDS = (ACCURACIES[1], ACCURACIES[2], ACCURACIES[0])


@final
@dataclass(frozen=True, slots=True)
class _Number:
    """One estimate, ready to be shown."""

    word: Word
    value: str
    interval: str
    n: int
    bar: Markup


def render(audits: Sequence[Audit]) -> str:
    """Write the report of one model or of several as one HTML file.

    It loads nothing and allows nothing else to run: its content security policy names the hash of its own style
    sheet and of its own script, and images only as data. Every text of a user is escaped. The same audits give
    the same page.

    Args:
        audits: one a model, in the order they shall be shown; at least one.

    Returns:
        The text of the file, to be written as UTF-8.

    Raises:
        UsageError: there is no audit.
    """
    if not audits:
        raise UsageError("expected at least one audit to report, got none; audit a model first")
    shared = _shared(audits)
    risks = [word for word in RISKS if any(headline(audit, word.measure) for audit in audits)]
    return framed(
        "page.html",
        title=audits[0].model if len(audits) == 1 else f"{len(audits)} models",
        confidence=_confidence(audits),
        cards=_CARDS,
        risks=risks,
        compared=[word for word in risks if word.measure != "risk_hypocritical_changed"],
        data=list(dict.fromkeys(audit.data for audit in audits)),
        threats=list(dict.fromkeys(audit.threat for audit in audits)),
        shared=shared,
        models=[_model(audit, place, shared) for place, audit in enumerate(audits)],
        charts=_charts(audits, None) if len(audits) > 1 else [],
        records=Markup(_embed(records(audits))),
    )


def _embed(value: Any) -> str:
    """JSON that can stand inside a script element: no `<`, `>` or `&` is left in it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _confidence(audits: Sequence[Audit]) -> str:
    levels = {audit.settings.get("confidence", 0.95) for audit in audits}
    known = levels.pop() if len(levels) == 1 else None
    return f"{100 * known:g} % interval" if isinstance(known, float) else "interval"


def _shared(audits: Sequence[Audit]) -> list[Caveat]:
    """Caveats that every one of several models has."""
    if len(audits) == 1:
        return []
    return [caveat for caveat in audits[0].caveats if all(caveat in audit.caveats for audit in audits)]


def _model(audit: Audit, place: int, shared: list[Caveat]) -> dict[str, Any]:
    numbers = {word.measure: _number(audit, word) for word in (*ACCURACIES, *RISKS)}
    sought = headline(audit, "accuracy_adversarial") or headline(audit, "accuracy_hypocritical")
    return {
        "anchor": f"model-{place + 1}",
        "audit": audit,
        "numbers": numbers,
        "reach": reach(sought.threat, sought.eps, unit(audit)) if sought else "",
        "caveats": [caveat for caveat in audit.caveats if caveat not in shared],
        "charts": [*_charts([audit], [place]), *_asked(audit)],
        "gallery": gallery(audit),
        "extremes": [(rank, gallery(audit, rank)) for rank in ("easiest", "hardest")],
        "searches": searches_page(audit),
        "settings": [(name, _setting(value)) for name, value in audit.settings.items()],
        "seconds": f"{audit.cost.seconds:,.1f}",
        "trust": trust(audit),
        "checking": _part(audit),
        "verdicts": verdicts(audit),
    }


def _part(audit: Audit) -> str:
    """The checks' share of all rows that went through the model, forward or back."""
    rows, every = (cost.forwards + cost.backwards for cost in (audit.checking, audit.cost))
    return f"{share(rows / every if every else 0.0)} %"


def _number(audit: Audit, word: Word) -> _Number | None:
    found = headline(audit, word.measure)
    if found is None:
        return None
    estimate = found.estimate
    drawn = Markup(bar(estimate, word.side))
    return _Number(word, percent(estimate), interval(estimate), estimate.n, drawn)


def _charts(audits: Sequence[Audit], order: Sequence[int] | None) -> list[tuple[str, str, Chart]]:
    drawn = (
        (title, text + (_ordered(audits) if kind == "exact" else ""), chart(audits, kind, order))
        for kind, title, text in _CHARTS
    )
    return [(title, text, made) for title, text, made in drawn if made is not None]


def _asked(audit: Audit) -> list[tuple[str, str, Chart]]:
    made = asked(audit)
    text = (
        "Half of the examples have a success this near, inside the threat or not, after so many queries each."
    )
    return [("What questions buy", text, made)] if made else []


def _ordered(audits: Sequence[Audit]) -> str:
    """Say how each other model stands to the first under an enemy, small sizes before large ones (002, LSR)."""
    found = [
        (audit.model, curve)
        for audit in audits
        for curve in audit.curves
        if (curve.kind, curve.objective) == ("exact", "untargeted")
    ]
    said = ""
    for model, curve in found[1:]:
        first, base = found[0]
        if (curve.threat, curve.eps) != (base.threat, base.eps):
            continue
        order = lexicographic(base.eps, base.accuracy, curve.accuracy, _POINT)
        what = {
            "better": f"{model} is more robust than {first}, decided at {size(order.eps)}",
            "worse": f"{model} is less robust than {first}, decided at {size(order.eps)}",
            "equal": f"{model} and {first} are equal",
            "undecided": f"{model} and {first} are not ordered: more examples would tell at {size(order.eps)}",
        }
        said += f" Small sizes before large ones: {what[order.relation]}."
    return said


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
