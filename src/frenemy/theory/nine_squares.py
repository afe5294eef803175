"""NineSquares: where no data lie only robustness says what to answer; how much of the truth does it save?"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np
import torch
from numpy.typing import NDArray

from frenemy.card import Card
from frenemy.errors import UsageError
from frenemy.rng import Key
from frenemy.theory.problem import Draws, Quantity, Slide, counted, inside
from frenemy.theory.scene import Scene, box, path

__all__ = ["NineSquares"]

_SIDE: Final = 1 / 6
_CENTRES: Final = (1 / 6, 1 / 2, 5 / 6)
_FAR: Final = 1 / 12
"""From here on the neighbourhoods of the squares cover all inputs."""


@final
@dataclass(frozen=True, slots=True)
class NineSquares:
    r"""Two classes on the halves of the unit square, of which one only sees nine small squares.

    $$ P(y = 1) = p, \quad x \mid y \text{ uniform on its half, as in } \texttt{Halves}; \quad
       \text{seen: } x \in S, \text{ nine squares of side } \tfrac16 \text{ around } (c_i, c_j), \;
       c = \tfrac16, \tfrac12, \tfrac56 $$

    Each rule is the worst one of those that are best by what is seen: it answers everything wrongly that its risk does
    not ask about. With B the squares grown by eps in Linf:

    | rule | answers rightly on | true standard risk |
    |---|---|---|
    | natural | S | 3/4 |
    | sensible | B | 1 - 9 (1/6 + 2 eps)^2 |
    | robust | B, but for the strip 1/2 - eps < x_1 < 1/2 | that of the sensible rule + 6 (1 - p) eps (1/6 + 2 eps) |

    An enemy who moves x by eps inside what is seen takes 4 eps from the Bayes rule, and 8 (1 - p) eps from the robust
    one, which nobody can better: inputs mirrored at 1/2 and at most 2 eps apart cannot both be answered rightly. Beyond
    eps = 1/24 the robust rule gives up the left half of the middle squares and all around it.

    Args:
        p: in (1/2, 1), share of class 1.
        eps: what an enemy may do, in (0, 1/12]; at 1/12 all inputs are near a square, and the sensible rule is Bayes'.

    Raises:
        UsageError: a parameter is out of range, or not a number.

    References:
        001, Example 2, Theorem 2, Corollary 2.1, Figure 2, Appendix B.2.
    """

    p: float = 0.75
    eps: float = 1 / 24

    card: ClassVar[Card] = Card(
        authors="Kim, Wang",
        title="Robust sensible adversarial learning of deep neural networks for image classification",
        year=2022,
        venue="arXiv preprint",
        place="Example 2, Figure 2, Appendix B.2",
        deviations=(
            "001 says that what robustness gains on B is cancelled out by the strip; at p = 3/4 and eps = 1/24 it "
            "gains 0.3125 and loses 0.0156",
            "Appendix B.2 gives the strip a width of 2 eps: that is its robust risk, its standard risk has eps",
            "001 stops at eps = 1/24 for the robust rule; here it goes on to 1/12",
        ),
    )
    slide: ClassVar[Slide] = Slide("eps", 0.0033, 0.0825)

    def __post_init__(self) -> None:
        inside("p", self.p, 0.5, 1, "0.75 is usual")
        if self.eps > _FAR:
            raise UsageError(
                f"expected eps of 1/12 at most, got {self.eps:g}; from there on the squares' neighbourhoods overlap"
            )
        inside("eps", self.eps, 0, 1, "1/24 is usual")

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples, seen or not; labels are 0 and 1."""
        key, rows = Key(seed).fold("nine squares"), torch.arange(n)
        y = (key.fold("y").uniform(rows, (), torch.float64).numpy() < self.p).astype(np.int64)
        x = key.fold("x").uniform(rows, (2,), torch.float64).numpy()
        return Draws(np.column_stack([(x[:, 0] + y) / 2, x[:, 1]]), y)

    @property
    def formulas(self) -> dict[str, float]:
        """Every number by its formula."""
        p, eps = self.p, self.eps
        grown = 1 / 6 + 2 * eps
        wide = eps if eps <= 1 / 24 else 1 / 12 + eps
        uncovered = 1 - 9 * grown**2
        return {
            "natural, true standard risk": 3 / 4,
            "sensible, true standard risk": uncovered,
            "robust, true standard risk": uncovered + 6 * (1 - p) * grown * wide,
            "natural, seen standard risk": 0.0,
            "sensible, seen standard risk": 0.0,
            "robust, seen standard risk": 4 * (1 - p) * min(wide, 1 / 12),
            "sensible, seen robust risk": 4 * eps,
            "robust, seen robust risk": 4 * (1 - p) * min(2 * eps, 1 / 12),
        }

    def scene(self) -> Scene:
        """What is seen, how far a sensible rule spreads it, and the strip that the most robust rule gives away."""
        shapes = [box((0, 0), (0.5, 1), "minus faint"), box((0.5, 0), (1, 1), "plus faint")]
        end = 0.5 - self.eps if self.eps <= 1 / 24 else 1 / 3
        for x, y in itertools.product(_CENTRES, repeat=2):
            wide = _SIDE / 2 + self.eps
            shapes.append(
                box((x - wide, y - wide), (x + wide, y + wide), "reach", "within eps of what is seen")
            )
            for low, high, look, name in ((0.0, 0.5, "minus", "class 0"), (0.5, 1.0, "plus", "class 1")):
                left, right = max(x - _SIDE / 2, low), min(x + _SIDE / 2, high)
                if left < right:
                    shapes.append(box((left, y - _SIDE / 2), (right, y + _SIDE / 2), look, f"{name}, seen"))
        shapes.append(path([(0.5, 0), (0.5, 1)], "rule", "Bayes and sensible rule"))
        shapes.append(path([(end, 0), (end, 1)], "other", "most robust rule"))
        return Scene("x1", "x2", (0, 1), (0, 1), tuple(shapes), square=True)

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """True and seen standard risk of each rule, and seen robust risk of those that are right around the squares."""
        draws, cells = self.draw(n, seed), self._cells()
        areas = cells.areas * np.where(cells.draws.y == 1, self.p, 1 - self.p) * 2
        found = []
        for name, exact in self.formulas.items():
            rule, _, kind = name.partition(", ")
            reach = self.eps if kind.endswith("robust risk") else 0.0
            summed, simulated = areas @ self._wrong(rule, cells.draws, reach), self._wrong(rule, draws, reach)
            if kind.startswith("seen"):
                shown = self._near(cells.draws.x, 0.0)
                summed = areas[shown] @ self._wrong(rule, cells.draws, reach)[shown] / areas[shown].sum()
                simulated = simulated[self._near(draws.x, 0.0)]
            found.append(Quantity(name, exact, float(summed), *counted(simulated)))
        return tuple(found)

    def _near(self, x: NDArray[np.float64], eps: float) -> NDArray[np.bool_]:
        """Whether points lie in a square that is grown by eps."""
        far = np.abs(x[:, :, None] - np.array(_CENTRES)).min(2).max(1)
        near: NDArray[np.bool_] = far < _SIDE / 2 + eps
        return near

    def _answer(self, rule: str, x: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether a rule answers 1: rightly where it must, wrongly elsewhere."""
        right: NDArray[np.bool_] = x[:, 0] > 0.5
        given = right
        if rule == "robust":
            ends = 0.5 - self.eps if self.eps <= 1 / 24 else 1 / 3
            given = right | (x[:, 0] > ends)
        answer: NDArray[np.bool_] = np.where(
            self._near(x, 0.0 if rule == "natural" else self.eps), given, ~right
        )
        return answer

    def _wrong(self, rule: str, draws: Draws, reach: float) -> NDArray[np.bool_]:
        """Ask a rule at each example, and as far as the enemy reaches to either side, up and down."""
        hair = max(reach - 1e-9, 0.0)
        moves = itertools.product((-hair, 0.0, hair), repeat=2) if reach else [(0.0, 0.0)]
        asked = [self._answer(rule, draws.x + np.array(move)) != (draws.y == 1) for move in moves]
        wrong: NDArray[np.bool_] = np.any(asked, axis=0)
        return wrong

    def _cells(self) -> _Cells:
        """Cut the unit square wherever anything can change, and stand for each cell by its middle."""
        ends = {
            c + side * (_SIDE / 2 + k * self.eps) for c in _CENTRES for side in (-1, 1) for k in (-1, 0, 1)
        }
        ends |= {0.0, 1.0, 1 / 3, 0.5, *(0.5 + k * self.eps for k in (-2, -1, 1, 2))}
        cuts = np.array(sorted(end for end in ends if 0 <= end <= 1))
        middles, sizes = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
        x = np.stack(np.meshgrid(middles, middles, indexing="ij"), 2).reshape(-1, 2)
        return _Cells(Draws(x, (x[:, 0] > 0.5).astype(np.int64)), np.outer(sizes, sizes).ravel())


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Rectangles that fill the unit square: their middles with labels, and their areas."""

    draws: Draws
    areas: NDArray[np.float64]
