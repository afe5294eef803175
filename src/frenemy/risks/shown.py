"""Shown: the inputs that a person should look at, with what was done to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from frenemy.attacks.attack import Status
from frenemy.ledger import Arrays
from frenemy.risks.fates import Fate
from frenemy.risks.headline import Headline, Sought
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.result import Picture
from frenemy.threats.threat import Threat

__all__ = ["extremes", "pictures"]

_PICTURES: Final = 6
_EXTREMES: Final = 3


def pictures(inquiry: Inquiry, found: Headline, eps: float) -> tuple[Picture, ...]:
    """Choose a few inputs that an enemy broke and a few that a false friend mended, of as many classes as possible."""
    chosen: list[Picture] = []
    for wish in ("untargeted", "hypocritical"):
        shown = [
            picture
            for sought in found.searches.get(wish, [])
            for _, picture, outcome in _taken(inquiry, wish, sought, sought.result)
            if outcome == Status.FOUND and picture.distance <= eps
        ]
        first = {picture.label: picture for picture in reversed(shown)}
        rest = [picture for picture in shown if first[picture.label] is not picture]
        chosen += [*sorted(first.values(), key=lambda p: p.label), *rest][:_PICTURES]
    return tuple(chosen)


def extremes(
    inquiry: Inquiry, found: Headline, ended: Mapping[str, Fate], threat: Threat
) -> tuple[Picture, ...]:
    """Show which examples an enemy broke, and a false friend mended, most easily, and which least or not at all.

    The easiest has the nearest success known; of two as near, the one with more to spare comes first. The hardest is
    that of which none is known, and whose nearest miss fell shortest. The points are found once more, by the search
    that found them, whose draws depend on the example alone.
    """
    chosen: list[Picture] = []
    for wish, fate in ended.items():
        if wish == "reversal":
            continue
        rows = [row for row in inquiry.possible(inquiry.judged, threat).tolist() if fate.by[row] is not None]
        reach = np.where(found.pool.known(wish), found.pool.distance[wish], np.inf)
        order = sorted(rows, key=lambda row: (reach[row], -np.nan_to_num(fate.spare[row], nan=-np.inf), row))
        easiest = [row for row in order if fate.outcome[row] == Status.FOUND][:_EXTREMES]
        hardest = [row for row in reversed(order) if row not in easiest][:_EXTREMES]
        shown = _again(inquiry, wish, fate, [*easiest, *hardest])
        for rank, some in (("easiest", easiest), ("hardest", hardest)):
            chosen += [
                replace(shown[row], rank=rank, least=float(reach[row])) for row in some if row in shown
            ]
    return tuple(chosen)


def _again(inquiry: Inquiry, wish: str, fate: Fate, rows: list[int]) -> dict[int, Picture]:
    """Find the points of some examples again, each by its own search."""
    groups: dict[int, list[int]] = {}
    for row in sorted(rows):
        groups.setdefault(id(fate.by[row]), []).append(row)
    shown: dict[int, Picture] = {}
    for group in groups.values():
        one = fate.by[group[0]]
        assert one is not None
        within, objective = one.threat, one.search.wish(one.wish)
        result, _ = inquiry.search(
            "easiest and hardest", np.array(group), one.search.attack, within, objective, []
        )
        shown |= {row: picture for row, picture, _ in _taken(inquiry, wish, one, result)}
    return shown


def _taken(inquiry: Inquiry, wish: str, sought: Sought, result: Arrays) -> Iterator[tuple[int, Picture, int]]:
    """Make pictures of the points that a search brought along: the row, the picture, and the outcome."""
    for row, point in zip(result.get("shown", np.empty(0, int)).tolist(), result.get("points", [])):
        if row in inquiry.apart:
            continue
        place = int(np.flatnonzero(result["rows"] == row)[0])
        over = float(result["over_label"][place])
        picture = Picture(
            index=int(inquiry.examples.index[row]),
            label=int(inquiry.labels[row]),
            objective=wish,
            before=int(inquiry.answers[row]),
            after=int(result["answer"][place]),
            distance=float(result["distance"][place]),
            clean=inquiry.examples.batch(slice(row, row + 1)).x[0].numpy(),
            perturbed=point,
            attack=sought.search.name,
            step=int(result["step"][place]),
            spare=over if wish == "hypocritical" else -over,
        )
        yield row, picture, int(result["outcome"][place])
