"""Headline: the searches at the asked eps, and what they come to for each example."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from frenemy.attacks.attack import Status
from frenemy.ledger import Arrays
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.plan import Plan
from frenemy.risks.pool import Pool
from frenemy.risks.result import Cost, Picture
from frenemy.risks.search import Search
from frenemy.risks.wishes import WHO
from frenemy.threats.threat import Threat

__all__ = ["Headline", "Sought", "columns", "pictures", "seek"]

_PICTURES = 6


@final
@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """One search, and what came of it.

    Args:
        search: the attack and its loss.
        result: one row for each example it was tried on, as `Judge.search` gives them.
        cost: what it took.
        before, after: `(n,)` whether each example was known to yield at the asked eps.
    """

    search: Search
    result: Arrays
    cost: Cost
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]

    @property
    def won(self) -> NDArray[np.int64]:
        """Positions of the examples that yielded to it."""
        rows: NDArray[np.int64] = self.result["rows"]
        won: NDArray[np.int64] = rows[(self.after & ~self.before)[rows]]
        return won


@final
@dataclass(slots=True)
class Headline:
    """What the searches at the asked eps found.

    Args:
        pool: the nearest point known for each example and objective.
        changed: `(n,)` whether the false friend's best point is answered differently from the clean input.
        searches: for each objective, the searches in their order.
    """

    pool: Pool
    changed: NDArray[np.bool_]
    searches: dict[str, list[Sought]] = field(default_factory=dict)

    def cost(self, wish: str) -> Cost:
        """What the searches for one objective took."""
        return sum((sought.cost for sought in self.searches.get(wish, [])), Cost())


def seek(inquiry: Inquiry, threat: Threat, around: bool, plan: Plan, eps: float, largest: float) -> Headline:
    """Run the searches of a plan, each on the examples that are still open.

    Args:
        around: whether the threat holds the clean input itself.
        eps: the asked size.
        largest: the size up to which attacks of least distance search, so that they need not be run again for a curve.
    """
    count = len(inquiry.examples)
    found = Headline(Pool(inquiry.labels, inquiry.answers, around), np.zeros(count, dtype=bool))
    for wish, searches in plan.searches.items():
        found.searches[wish] = []
        for search in searches:
            before = found.pool.known(wish, eps)
            rows = inquiry.judged
            rows = rows[~before[rows]]
            within = threat.at(largest) if search.nearest and largest > eps else threat
            result, cost = inquiry.search(
                WHO[wish], rows, search.attack, within, search.wish(wish), [found.pool]
            )
            after = found.pool.known(wish, eps)
            found.searches[wish].append(Sought(search, result, cost, before, after))
            if wish == "hypocritical" and len(result["rows"]):
                moved = (result["answer"] >= 0) & (result["answer"] != inquiry.answers[result["rows"]])
                moved &= result["distance"] <= eps
                found.changed[result["rows"][moved]] = True
    return found


def columns(inquiry: Inquiry, found: Headline, around: bool, eps: float) -> dict[str, NDArray[Any]]:
    """Lay the verdicts out as one column a fact, one row an example.

    A distance is the smallest one known; where it was found on the way to a curve, it may be above `eps`.
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
        pool = found.pool
        outcome = np.where(pool.known(wish, eps), int(Status.FOUND), int(Status.NOT_FOUND))
        outcome[around & (pool.distance[wish] == 0)] = int(Status.ALREADY)
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
            ("outcome", outcome, -1),
            ("answer", answer, -1),
            ("loss", loss, np.nan),
            ("distance", distance, np.nan),
            ("queries", queries, 0),
        ):
            table[f"{wish}_{name}"] = np.where(apart == "", values, blank).astype(values.dtype)
    return table


def pictures(inquiry: Inquiry, found: Headline, eps: float) -> tuple[Picture, ...]:
    """Choose a few inputs that an enemy broke and a few that a false friend mended, of as many classes as possible."""
    chosen: list[Picture] = []
    for wish in ("untargeted", "hypocritical"):
        shown: list[Picture] = []
        for sought in found.searches.get(wish, []):
            result = sought.result
            for row, point in zip(result.get("shown", np.empty(0, int)).tolist(), result.get("points", [])):
                where = int(np.flatnonzero(result["rows"] == row)[0])
                clean = inquiry.examples.batch(slice(row, row + 1)).x[0].numpy()
                if row not in inquiry.apart and result["distance"][where] <= eps:
                    shown.append(
                        Picture(
                            index=int(inquiry.examples.index[row]),
                            label=int(inquiry.labels[row]),
                            objective=wish,
                            before=int(inquiry.answers[row]),
                            after=int(result["answer"][where]),
                            distance=float(result["distance"][where]),
                            clean=clean,
                            perturbed=point,
                        )
                    )
        first = {picture.label: picture for picture in reversed(shown)}
        rest = [picture for picture in shown if first[picture.label] is not picture]
        chosen += [*sorted(first.values(), key=lambda p: p.label), *rest][:_PICTURES]
    return tuple(chosen)
