"""Attempt: one search as it is kept on record, what it cost, and where it stood on its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from frenemy.risks.estimate import Estimate

__all__ = ["Attempt", "Cost", "Trail"]


@final
@dataclass(frozen=True, slots=True)
class Cost:
    """What a measurement took: rows through the model, rows back through it, seconds of wall time."""

    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.forwards + other.forwards, self.backwards + other.backwards, self.seconds + other.seconds
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.forwards - other.forwards, self.backwards - other.backwards, self.seconds - other.seconds
        )


@final
@dataclass(frozen=True, slots=True)
class Trail:
    """Where a search stood after so many queries for each example that it had to look for.

    Args:
        queries: rows asked about, the clean input included.
        found: share of the examples with a success by then, inside the threat or not.
        median: distance that the nearest success of half of them did not exceed; NaN before half had one.
    """

    queries: int
    found: float
    median: float


@final
@dataclass(frozen=True, slots=True)
class Attempt:
    """One search at the asked eps: what it was tried on, what fell to it, what is left after it.

    Args:
        objective: `untargeted`, `hypocritical` or `reversal`.
        attack: the attack and its loss, in words.
        tried: examples it was tried on: those that nothing before it had made yield.
        fell: examples of these that yielded to it.
        measure: what is counted after it: `accuracy_adversarial`, `accuracy_hypocritical` or `risk_reversible`.
        estimate: its value once this search and all before it are counted.
        cost: what the search took.
        trail: where it stood on its way, for searches that keep books of what they ask.
        state: empty; `not applicable` where it was not run, since it needs gradients and the model has none.
    """

    objective: str
    attack: str
    tried: int
    fell: int
    measure: str
    estimate: Estimate
    cost: Cost
    state: str = ""
    trail: tuple[Trail, ...] = ()
