"""Pool: for each example, the smallest perturbation known to do it each kind of harm, whoever found it.

One point can answer three questions: it may be wrong, it may be right, it may differ from the clean answer. Because
every point counts for every question, the identities of 000 hold exactly on the measured points, and a curve is
monotone by construction.
"""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["OBJECTIVES", "Pool"]

OBJECTIVES: Final = ("untargeted", "hypocritical", "reversal")

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]
_Bools = NDArray[np.bool_]


@final
class Pool:
    """Distances and answers of the best points so far.

    Args:
        labels: `(n,)` true classes.
        clean: `(n,)` the model's answers at the inputs themselves.
        around: whether the threat holds the input itself, so that a wrong input needs no enemy and a right one no
            friend (true for balls, false for spheres).
    """

    def __init__(self, labels: _Ints, clean: _Ints, around: bool = True) -> None:
        self.labels, self.clean = labels, clean
        self.distance = {wish: np.full(len(labels), np.inf) for wish in OBJECTIVES}
        self.answer = {wish: np.full(len(labels), -1) for wish in OBJECTIVES}
        if around:
            everyone = np.arange(len(labels))
            self.add(everyone, clean, np.zeros(len(labels)))

    def add(self, rows: _Ints, answers: _Ints, distance: _Floats) -> None:
        """Tell of a confirmed point for each of `rows`: the model's answer there and how far away it is."""
        for wish in OBJECTIVES:
            nearer = self.done(wish, rows, answers) & (distance < self.distance[wish][rows])
            self.distance[wish][rows[nearer]] = distance[nearer]
            self.answer[wish][rows[nearer]] = answers[nearer]

    def done(self, wish: str, rows: _Ints, answers: _Ints) -> _Bools:
        """Whether these answers at these rows are what `wish` is after."""
        against = self.clean if wish == "reversal" else self.labels
        done: _Bools = (answers == against[rows]) == (wish == "hypocritical")
        return done

    def known(self, wish: str, eps: float = np.inf) -> _Bools:
        """Which examples are known to yield to `wish` within `eps`."""
        known: _Bools = np.isfinite(self.distance[wish]) & (self.distance[wish] <= eps)
        return known
