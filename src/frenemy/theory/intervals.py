"""Intervals: accuracy of a classifier on a line, exactly: by largest norm, by exact norm, and genuine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad

from frenemy.errors import UsageError
from frenemy.rng import Key
from frenemy.theory.problem import Draws, Quantity, counted
from frenemy.theory.scene import Scene, box, dots, path

__all__ = ["Steps", "Stretch", "accuracies", "drawn", "genuine", "pictured", "told"]


@final
@dataclass(frozen=True, slots=True)
class Steps:
    """A classifier that is constant between some borders, and at a border what it is above.

    Args:
        borders: ascending.
        signs: the answers, -1 or 1, from below the first border to above the last.

    Raises:
        UsageError: the borders do not ascend, or there is not one answer more than borders.
    """

    borders: tuple[float, ...]
    signs: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.signs) != len(self.borders) + 1 or not set(self.signs) <= {-1, 1}:
            raise UsageError(
                f"expected an answer of -1 or 1 below, between and above {len(self.borders)} borders, got {self.signs}"
            )
        if not all(np.isfinite(self.borders)) or any(not a < b for a, b in pairwise(self.borders)):
            raise UsageError(f"expected finite borders that ascend, got {self.borders}; sort them")

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.int64]:
        """Answer at every x."""
        places = np.searchsorted(np.array(self.borders), x, side="right")
        answers: NDArray[np.int64] = np.array(self.signs)[places]
        return answers


@final
@dataclass(frozen=True, slots=True)
class Stretch:
    """Where clean inputs lie: [low, high), all of one class, -1 or 1.

    Raises:
        UsageError: the interval is empty or not finite.
    """

    low: float
    high: float
    label: int

    def __post_init__(self) -> None:
        if not -np.inf < self.low < self.high < np.inf:
            raise UsageError(f"expected an interval with low below high, got [{self.low:g}, {self.high:g})")


_Holds: TypeAlias = Callable[[Steps, NDArray[np.float64], NDArray[np.int64], float], NDArray[np.bool_]]
"""Whether a rule gives the label at every x, whatever a perturber of this size does."""


def _shares(stretches: Sequence[Stretch]) -> list[float]:
    """The probability of each interval: both classes are as likely, and each is uniform on its own intervals."""
    length = {y: sum(s.high - s.low for s in stretches if s.label == y) for y in (-1, 1)}
    present = sum(value > 0 for value in length.values())
    return [(s.high - s.low) / length[s.label] / present for s in stretches]


def drawn(stretches: Sequence[Stretch], key: Key, n: int) -> Draws:
    """Draw examples."""
    rows = torch.arange(n)
    x, which = (key.fold(word).uniform(rows, (), torch.float64).numpy() for word in ("x", "y"))
    place = np.searchsorted(np.cumsum(_shares(stretches))[:-1], which, side="right")
    low, high = (np.array([getattr(s, end) for s in stretches])[place] for end in ("low", "high"))
    return Draws((low + x * (high - low))[:, None], np.array([s.label for s in stretches])[place])


def told(rule: Steps, stretches: Sequence[Stretch], eps: float, draws: Draws) -> tuple[Quantity, ...]:
    """Natural accuracy, standard accuracy by largest and by exact norm, genuine accuracy by exact norm."""
    found = []
    for name, holds in _KINDS.items():
        simulated = counted(holds(rule, draws.x[:, 0], draws.y, eps))
        exact, integrated = _measured(holds, rule, stretches, eps), _integrated(holds, rule, stretches, eps)
        found.append(Quantity(f"{name}, accuracy", exact, integrated, *simulated))
    ends, brute = genuine(rule, stretches, eps), _searched(rule, stretches, eps)
    return (*found, Quantity("genuine, exact norm, accuracy", ends, brute, math.nan, 0))


def pictured(rule: Steps, stretches: Sequence[Stretch], eps: float, wide: float) -> Scene:
    """The clean inputs, the rule, and the points at which genuine accuracy asks."""
    shapes = []
    for s in stretches:
        look = "plus" if s.label == 1 else "minus"
        shapes.append(box((s.low, -0.25), (s.high, 0.25), look, f"clean, class {s.label}"))
    ends = [-wide, *rule.borders, wide]
    steps = [(x, float(sign)) for sign, pair in zip(rule.signs, pairwise(ends), strict=True) for x in pair]
    shapes.append(path(steps, "rule", "answer"))
    for s in stretches:
        asked = [(end, 0.0) for end in (s.low - eps, s.high + eps) if _outside(end, stretches, eps)]
        shapes.append(dots(asked, "plus" if s.label == 1 else "minus", f"eps away, to be answered {s.label}"))
    return Scene("x", "answer", (-wide, wide), (-1.25, 1.25), tuple(shapes))


def _outside(x: float, stretches: Sequence[Stretch], eps: float) -> bool:
    """Whether no clean input is nearer than eps."""
    return not any(s.low - eps < x < s.high + eps for s in stretches)


def accuracies(rule: Steps, stretches: Sequence[Stretch], eps: float) -> dict[str, float]:
    """Natural accuracy, standard accuracy by largest and exact norm, genuine accuracy by exact norm, all exact."""
    found = {name: _measured(holds, rule, stretches, eps) for name, holds in _KINDS.items()}
    return {**found, "genuine": genuine(rule, stretches, eps)}


def _corners(rule: Steps, stretches: Sequence[Stretch], eps: float) -> list[float]:
    """Where what holds may change: the ends of the intervals, and the borders moved by eps."""
    moved = {b + k * eps for b in rule.borders for k in (-1, 0, 1)}
    return sorted({end for s in stretches for end in (s.low, s.high)} | moved)


def _measured(holds: _Holds, rule: Steps, stretches: Sequence[Stretch], eps: float) -> float:
    """Add the lengths of the pieces on which it holds, asked in their middle."""
    total, cuts = 0.0, _corners(rule, stretches, eps)
    for s, share in zip(stretches, _shares(stretches), strict=True):
        inner = [s.low, *(c for c in cuts if s.low < c < s.high), s.high]
        middles = np.array([(a + b) / 2 for a, b in pairwise(inner)])
        fine = holds(rule, middles, np.full(len(middles), s.label), eps)
        total += share * float((np.diff(inner) * fine).sum()) / (s.high - s.low)
    return total


def _integrated(holds: _Holds, rule: Steps, stretches: Sequence[Stretch], eps: float) -> float:
    """The same by adaptive integration, told only where to be careful."""
    total, cuts = 0.0, _corners(rule, stretches, eps)
    for s, share in zip(stretches, _shares(stretches), strict=True):
        care = [c for c in cuts if s.low < c < s.high]

        def fine(x: float, label: int = s.label) -> float:
            return float(holds(rule, np.array([x]), np.array([label]), eps)[0])

        total += share * quad(fine, s.low, s.high, points=care or None, limit=200)[0] / (s.high - s.low)
    return total


def genuine(rule: Steps, stretches: Sequence[Stretch], eps: float) -> float:
    """Accuracy at the points that lie exactly eps away from the nearest clean input; at eps = 0 the natural accuracy.

    These are the ends of the intervals moved outwards by eps, but for those that come nearer to another interval; each
    counts once for each interval that it is reached from, with that one's class, as 002 counts them.
    """
    if eps == 0:
        return _measured(_natural, rule, stretches, 0.0)
    answers = []
    for s in stretches:
        for end in (s.low - eps, s.high + eps):
            if _outside(end, stretches, eps):
                answers.append(int(rule(np.array([end]))[0]) == s.label)
    return float(np.mean(answers))


def _searched(rule: Steps, stretches: Sequence[Stretch], eps: float) -> float:
    """The same by brute force: every point of a fine grid whose distance from the nearest clean inputs is eps."""
    if eps == 0:
        return _integrated(_natural, rule, stretches, 0.0)
    clean = [np.linspace(s.low, s.high, 4097) for s in stretches]
    found: list[bool] = []
    for x, s in zip(clean, stretches, strict=True):
        for moved in (x - eps, x + eps):
            gaps = [np.minimum(np.abs(moved - z.min()), np.abs(moved - z.max())) for z in clean]
            within = np.any([(moved > z.min()) & (moved < z.max()) for z in clean], axis=0)
            ends = ~within & (np.min(gaps, axis=0) >= eps - 1e-9)
            found += (rule(moved[ends]) == s.label).tolist()
    return float(np.mean(found))


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


_KINDS: Final[dict[str, _Holds]] = {"natural": _natural, "largest norm": _largest, "exact norm": _exact}
"""What standard accuracy asks at each clean input, by name."""
