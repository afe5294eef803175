"""Headline: the searches at the asked eps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from frenemy.ledger import Arrays
from frenemy.risks.attempt import Cost
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.plan import Plan
from frenemy.risks.pool import Pool
from frenemy.risks.search import Search
from frenemy.risks.wishes import WHO
from frenemy.threats.threat import Threat

__all__ = ["Headline", "Sought", "seek"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """One search, and what came of it.

    Args:
        wish: the objective it searched for.
        search: the attack and its loss.
        threat: what it searched.
        result: one row for each example it was tried on, as `Judge.search` gives them.
        cost: what it took.
        before, after: `(n,)` whether each example was known to yield at the asked eps.
    """

    wish: str
    search: Search
    threat: Threat
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
            found.searches[wish].append(Sought(wish, search, within, result, cost, before, after))
            if wish == "hypocritical" and len(result["rows"]):
                moved = (result["answer"] >= 0) & (result["answer"] != inquiry.answers[result["rows"]])
                moved &= result["distance"] <= eps
                found.changed[result["rows"][moved]] = True
    return found
