"""Problem: a distribution whose risks are known exactly, and the same numbers got in three independent ways."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from frenemy.card import Card
from frenemy.errors import UsageError
from frenemy.theory.scene import Scene

__all__ = ["Draws", "Problem", "Quantity", "Slide", "counted", "inside"]

_RARE: Final = 3.17e-5
"""Chance of more than four standard errors to one side, for a normal error; here it is asked of the binomial itself."""


@final
@dataclass(frozen=True, slots=True)
class Quantity:
    """One number of a problem, got in three ways that share no code.

    Args:
        name: two or three words, as in `averaging, natural accuracy`.
        closed_form: by the formula.
        quadrature: by adaptive integration of the density, or of a length or an area.
        simulated: share of drawn examples, each attacked as the worst perturber would; NaN where none is concerned.
        n: how many examples that is the share of.
        printed: what the source prints, where it prints a number; NaN otherwise.
    """

    name: str
    closed_form: float
    quadrature: float
    simulated: float
    n: int
    printed: float = math.nan

    @property
    def agrees(self) -> bool:
        """Whether the three are one: integrals to 1e-6, samples as far off as four standard errors would be."""
        near = abs(self.closed_form - self.quadrature) <= 1e-6
        if not self.n:
            return near
        hits, chance = round(self.simulated * self.n), min(max(self.closed_form, 0.0), 1.0)
        fewer, more = binom.cdf(hits, self.n, chance), binom.sf(hits - 1, self.n, chance)
        return near and bool(min(fewer, more) >= _RARE)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Examples of a problem.

    Args:
        x: `(n, features)` float64.
        y: `(n,)` int64, -1 or 1.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True)
class Slide:
    """A parameter that is worth moving, and between which ends."""

    name: str
    low: float
    high: float


@runtime_checkable
class Problem(Protocol):
    """A toy problem: a frozen dataclass of its parameters."""

    card: ClassVar[Card]
    slide: ClassVar[Slide]

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples; the same seed gives the same ones."""
        ...

    def scene(self) -> Scene:
        """Give its picture."""
        ...

    def quantities(self, n: int, seed: int) -> tuple[Quantity, ...]:
        """Give every number of the problem, in three ways, the third from `n` examples."""
        ...


def counted(flags: NDArray[np.bool_]) -> tuple[float, int]:
    """The share of some examples at which something holds, and how many they are."""
    return (float(flags.mean()), len(flags)) if len(flags) else (math.nan, 0)


def inside(name: str, value: float, low: float, high: float, fix: str, *, ends: str = "()") -> None:
    """Refuse a parameter that is no finite number between two ends.

    Args:
        ends: a square bracket where the end itself is allowed.

    Raises:
        UsageError: it is not.
    """
    above = low <= value if ends[0] == "[" else low < value
    below = value <= high if ends[1] == "]" else value < high
    if not (math.isfinite(value) and above and below):
        between = f"{ends[0]}{low:g}, {high:g}{ends[1]}"
        raise UsageError(f"expected {name} in {between}, got {value:g}; {fix}")
