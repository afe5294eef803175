"""Line: by the largest norm two classifiers are equal, by the exact norm they are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad

from frenemy.card import Card
from frenemy.errors import UsageError, nearest
from frenemy.rng import Key
from frenemy.theory.problem import Draws, Quantity, counted, inside

__all__ = ["Line", "Steps", "genuine"]

_CLASSES: Final = ((-2.0, -1.0, -1), (1.0, 2.0, 1))
"""The intervals the clean inputs lie in, each with its class: [-2, -1) and [1, 2)."""


@final
@dataclass(frozen=True, slots=True)
class Steps:
    """A classifier that is constant between some borders, and at a border what it is above.

    Args:
        borders: ascending.
        signs: the answers, -1 or 1, from below the first border to above the last.
    """

    borders: tuple[float, ...]
    signs: tuple[int, ...]

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.int64]:
        """Answer at every x."""
        places = np.searchsorted(np.array(self.borders), x, side="right")
        answers: NDArray[np.int64] = np.array(self.signs)[places]
        return answers


_Holds: TypeAlias = Callable[[Steps, NDArray[np.float64], NDArray[np.int64], float], NDArray[np.bool_]]
"""Whether a rule gives the label at every x, whatever a perturber of this size does."""

_RULES: Final = {
    "f1": Steps((1.0,), (-1, 1)),
    "f2": Steps((-4.0, 0.0), (1, -1, 1)),
    "f3": Steps((0.0,), (-1, 1)),
    "f4": Steps((0.0, 4.0), (-1, 1, -1)),
}


@final
@dataclass(frozen=True, slots=True)
class Line:
    r"""Two classes on a line, and classifiers that are right on both.

    $$ x \sim U([-2, -1) \cup [1, 2)), \quad y = \operatorname{sign} x $$

    | rule | answers 1 |
    |---|---|
    | f1 | from 1 on |
    | f2 | below -4, and from 0 on |
    | f3 | from 0 on |
    | f4 | from 0 to 4 |

    Standard accuracy by the largest norm asks for the same answer everywhere in [x - eps, x + eps], by the exact norm
    at its two ends only. Genuine accuracy asks at those points alone that are exactly eps away from the nearest clean
    input: the ends of the eps-neighbourhood of the clean inputs, each with the class of the interval it is reached
    from, an end that two intervals reach at once counted twice. At eps = 0 it is the natural accuracy.

    Args:
        rule: `f1`, `f2`, `f3` or `f4`.
        eps: what is done to an input, 0 or more.

    Raises:
        UsageError: the rule is unknown, or eps is no number of 0 or more.

    References:
        002, Section 2, Figures 5 to 8; Section 9.1 for f4.
    """

    rule: str = "f1"
    eps: float = 0.5

    card: ClassVar[Card] = Card(
        authors="Anonymous",
        title="Finding a human-like classifier",
        year=2019,
        venue="preprint",
        place="Section 2; Section 9.1 for f4",
        deviations=(
            "step(x) is 1 from 0 on and -1 below; 002 prints 1 twice",
            "f4 as printed takes the value 0; here it is -1 where it is not 1",
            "S_exact is a set of clean inputs, but 002 lists and counts the perturbed points: so does this",
        ),
    )

    def __post_init__(self) -> None:
        if self.rule not in _RULES:
            raise UsageError(f"unknown rule '{self.rule}'{nearest(self.rule, _RULES)}")
        inside("eps", self.eps, 0, 1e6, "0.5 is usual", closed=True)

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples."""
        key, rows = Key(seed).fold("line"), torch.arange(n)
        x, side = (key.fold(word).uniform(rows, (), torch.float64).numpy() for word in ("x", "y"))
        y = np.where(side < 0.5, -1, 1)
        return Draws(np.where(y == 1, 1 + x, -2 + x)[:, None], y)

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """Natural accuracy, standard accuracy by largest and by exact norm, genuine accuracy by exact norm."""
        draws, found = self.draw(n, seed), []
        for name, holds in (("natural", _natural), ("largest norm", _largest), ("exact norm", _exact)):
            simulated = counted(holds(_RULES[self.rule], draws.x[:, 0], draws.y, self.eps))
            found.append(
                Quantity(f"{name}, accuracy", self._measured(holds), self._integrated(holds), *simulated)
            )
        ends, brute = genuine(_RULES[self.rule], self.eps), _searched(_RULES[self.rule], self.eps)
        found.append(Quantity("genuine, exact norm, accuracy", ends, brute, ends, 0))
        return tuple(found)

    def _corners(self) -> list[float]:
        """Where what holds may change: the ends of the classes, and the borders moved by eps."""
        moved = {b + k * self.eps for b in _RULES[self.rule].borders for k in (-1, 0, 1)}
        return sorted({end for low, high, _ in _CLASSES for end in (low, high)} | moved)

    def _measured(self, holds: _Holds) -> float:
        """Add the lengths of the pieces on which it holds, asked in their middle."""
        total, corners = 0.0, self._corners()
        for low, high, label in _CLASSES:
            inner = [low, *(c for c in corners if low < c < high), high]
            middles = np.array([(a + b) / 2 for a, b in pairwise(inner)])
            fine = holds(_RULES[self.rule], middles, np.full(len(middles), label), self.eps)
            total += float((np.diff(inner) * fine).sum()) / (high - low)
        return total / len(_CLASSES)

    def _integrated(self, holds: _Holds) -> float:
        """The same by adaptive integration, told only where to be careful."""
        total = 0.0
        for low, high, label in _CLASSES:
            care = [c for c in self._corners() if low < c < high]

            def fine(x: float, label: int = label) -> float:
                return float(holds(_RULES[self.rule], np.array([x]), np.array([label]), self.eps)[0])

            total += quad(fine, low, high, points=care or None, limit=200)[0] / (high - low)
        return total / len(_CLASSES)


def genuine(rule: Steps, eps: float) -> float:
    """Accuracy at the ends of the neighbourhood, interval by interval; an end that lies inside another's is none."""
    answers = []
    for low, high, label in _CLASSES:
        for end in (low - eps, high + eps):
            inner = any(a - eps < end < b + eps for a, b, other in _CLASSES if other != label)
            answers += [] if inner else [int(rule(np.array([end]))[0]) == label]
    if eps == 0:
        return float(
            np.mean([np.all(rule(np.array([low, (low + high) / 2])) == y) for low, high, y in _CLASSES])
        )
    return float(np.mean(answers))


def _searched(rule: Steps, eps: float) -> float:
    """The same by brute force: every point of a fine grid whose distance from the nearest clean inputs is eps."""
    clean = [(y, np.linspace(low, high, 4097)) for low, high, y in _CLASSES]
    if eps == 0:
        return float(np.mean([np.mean(rule(x[:-1]) == y) for y, x in clean]))
    right = []
    for y, x in clean:
        for moved in (x - eps, x + eps):
            gaps = [np.minimum(np.abs(moved - z.min()), np.abs(moved - z.max())) for _, z in clean]
            within = np.any([(moved > z.min()) & (moved < z.max()) for _, z in clean], axis=0)
            ends = ~within & (np.min(gaps, axis=0) >= eps - 1e-9)
            right += (rule(moved[ends]) == y).tolist()
    return float(np.mean(right))


def _natural(rule: Steps, x: NDArray[np.float64], y: NDArray[np.int64], eps: float) -> NDArray[np.bool_]:
    return np.asarray(rule(x) == y)


def _exact(rule: Steps, x: NDArray[np.float64], y: NDArray[np.int64], eps: float) -> NDArray[np.bool_]:
    return np.asarray((rule(x - eps) == y) & (rule(x + eps) == y))


def _largest(rule: Steps, x: NDArray[np.float64], y: NDArray[np.int64], eps: float) -> NDArray[np.bool_]:
    """The same answer at both ends, and at every border between them and just below it."""
    tries = [x - eps, x, x + eps]
    for border in rule.borders:
        for point in (border, np.nextafter(border, -np.inf)):
            tries.append(np.clip(point, x - eps, x + eps))
    return np.asarray(np.all([rule(at) == y for at in tries], axis=0))
