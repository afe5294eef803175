"""Efforts: which attacks search how hard, for each question and for what is seen of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from frenemy.risks.named import Asked, asked
from frenemy.risks.search import able
from frenemy.threats.threat import Threat

__all__ = ["EFFORTS", "of_effort"]

EFFORTS: Final[Mapping[str, Mapping[str, str]]] = {
    "quick": {
        "all": "pgd(steps=20)",
        "scores": "square(queries=200)",
        "labels": "hopskipjump(queries=500)",
    },
    "standard": {
        "all": "pgd(steps=50)",
        "untargeted": "apgd(steps=50,loss=margin),deepfool(early_stop=yes),square(queries=200)",
        "scores": "square(queries=1000)",
        "labels": "hopskipjump(queries=1500),rays(queries=500),signopt(queries=1500)",
    },
    "thorough": {
        "all": "pgd(steps=100,restarts=5)",
        "untargeted": "autoattack",
        "scores": "square(queries=5000)",
        "labels": "hopskipjump(queries=5000),rays(queries=5000),signopt(queries=5000)",
    },
}
"""For each effort the attacks of every question, those that come after them for one question, and those that come
instead where no more than scores or labels are seen."""
_FINITE: Final = "grid"
"""What searches a threat that is a list of members, whatever the effort."""


def of_effort(effort: str, wish: str, threat: Threat, left_out: list[str], first: bool = True) -> list[Asked]:
    """The attacks of an effort that are there and can search the threat; `first` those of every question."""
    if hasattr(threat, "count"):
        return asked(_FINITE)
    found = []
    for text in filter(None, (EFFORTS[effort]["all"] if first else "", EFFORTS[effort].get(wish))):
        for one in asked(text):
            if able(one.attack, threat):
                found.append(one.freed())
            else:
                left_out.append(type(one.attack).__name__)
    return found
