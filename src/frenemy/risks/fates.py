"""Fates: what became of each example, which search did it, at which step, and with how much to spare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from frenemy.attacks.attack import Status
from frenemy.risks.headline import Headline, Sought
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.wishes import WHO

__all__ = ["Fate", "columns", "fates"]

_SOUND: Final = (Status.ALREADY, Status.FOUND, Status.NOT_FOUND, Status.OUT_OF_BUDGET)
_ON_THE_WAY: Final = "a search for the curve"
_RIVAL: Final = {"untargeted": "over_label", "reversal": "over_clean"}
"""Whose lead over all others must become negative."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Fate:
    """What one question came to, a row an example.

    Args:
        outcome: values of `Status`: `ALREADY`, `FOUND` or `NOT_FOUND`.
        by: the search that was first to do it; for an example that stood, the one that came nearest, or that did it
            at more than the asked size; None where the clean input was there already, or no search has an answer.
        attack: the name of the search that did it; empty where none did.
        step: the step at which that search first succeeded, counted through restarts; -1 where there is none.
        spare: how far beyond the border its point lies, in logits: the lead of another class over the label for an
            enemy, of the label over all others for a false friend, of another class over the clean answer for a
            reversal. Negative for an example that stood: by so much the nearest miss fell short, among the points of
            at most the asked size where there are any.
    """

    outcome: NDArray[np.int64]
    by: list[Sought | None]
    attack: NDArray[np.str_]
    step: NDArray[np.int64]
    spare: NDArray[np.float32]


def fates(inquiry: Inquiry, found: Headline, around: bool, eps: float) -> dict[str, Fate]:
    """Give what each question came to at the asked `eps`."""
    return {wish: _fate(inquiry, found, wish, around, eps) for wish in found.searches}


def _fate(inquiry: Inquiry, found: Headline, wish: str, around: bool, eps: float) -> Fate:
    """Go through all searches in the order in which they ran, those for other questions too."""
    known, count = found.pool.known(wish, eps), len(inquiry.labels)
    home = around & (found.pool.distance[wish] == 0)
    outcome = np.where(home, int(Status.ALREADY), np.where(known, int(Status.FOUND), int(Status.NOT_FOUND)))
    attack = np.where(known & ~home, _ON_THE_WAY, "").astype(object)
    by: list[Sought | None] = [None] * count
    step, spare = np.full(count, -1, dtype=np.int64), np.full(count, np.nan, dtype=np.float32)
    spare[home] = _at_home(inquiry, wish)[home]
    undone, within = ~home, np.zeros(count, dtype=bool)
    for one in (sought for searches in found.searches.values() for sought in searches):
        rows, result = one.result["rows"], one.result
        if not len(rows):
            continue
        beyond = result["over_label"] if wish == "hypocritical" else -result[_RIVAL[wish]]
        here = undone[rows] & np.isin(result["outcome"], _SOUND) & (result["answer"] >= 0)
        near, done = result["distance"] <= eps, found.pool.done(wish, rows, result["answer"])
        did = here & near & done
        missed = here & ~known[rows] & ~done & (near | ~within[rows])
        missed &= (near & ~within[rows]) | ~(beyond <= spare[rows])
        for place in np.flatnonzero(here & (did | missed | done)).tolist():
            by[rows[place]] = one if did[place] or missed[place] else by[rows[place]] or one
        spare[rows[did | missed]] = beyond[did | missed]
        within[rows[missed & near]] = True
        step[rows[did]] = result["step"][did]
        attack[rows[did]] = one.search.name + ("" if one.wish == wish else f", for {WHO[one.wish]}")
        undone[rows[did]] = False
    return Fate(outcome, by, attack.astype(np.str_), step, spare)


def columns(inquiry: Inquiry, found: Headline, ended: Mapping[str, Fate]) -> dict[str, NDArray[Any]]:
    """Lay the verdicts out as one column a fact, one row an example.

    A distance is the smallest one known; where it was found on the way to a curve, it may be above the asked size.
    """
    everyone = np.arange(len(inquiry.examples))
    apart = np.array([inquiry.apart.get(row, "") for row in everyone.tolist()], dtype=np.str_)
    table: dict[str, NDArray[Any]] = {
        "index": inquiry.examples.index.numpy(),
        "label": inquiry.labels,
        "clean_answer": np.where(apart == "", inquiry.answers, -1),
        "set_apart": apart,
    }
    for wish, searches in found.searches.items():
        pool, fate = found.pool, ended[wish]
        answer, loss = pool.answer[wish].copy(), np.full(len(everyone), np.nan, dtype=np.float32)
        queries = np.ones(len(everyone), dtype=np.int64)
        for sought in reversed(searches):
            result, rows = sought.result, sought.result["rows"]
            if len(rows):
                missing = ~pool.known(wish)[rows]
                answer[rows[missing]] = result["answer"][missing]
                loss[rows] = result["loss"]
                queries[rows] += result["forwards"]
        distance = np.where(pool.known(wish), pool.distance[wish], np.nan)
        for name, values, blank in (
            ("outcome", fate.outcome, -1),
            ("answer", answer, -1),
            ("attack", fate.attack, ""),
            ("step", fate.step, -1),
            ("spare", fate.spare, np.nan),
            ("loss", loss, np.nan),
            ("distance", distance, np.nan),
            ("queries", queries, 0),
        ):
            table[f"{wish}_{name}"] = np.where(apart == "", values, blank).astype(values.dtype)
    return table


def _at_home(inquiry: Inquiry, wish: str) -> NDArray[np.float32]:
    """How far beyond the border the clean inputs themselves lie."""
    own, rows = inquiry.answers if wish == "reversal" else inquiry.labels, np.arange(len(inquiry.labels))
    others = inquiry.logits.copy()
    others[rows, own] = -np.inf
    with np.errstate(invalid="ignore"):
        over: NDArray[np.float32] = inquiry.logits[rows, own] - others.max(1)
    return over if wish == "hypocritical" else -over
