"""Halves: to be most robust one must err more; a sensible enemy does not ask for it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from scipy.integrate import quad

from frenemy.card import Card
from frenemy.errors import UsageError
from frenemy.rng import Key
from frenemy.theory.problem import Draws, Quantity, Slide, counted, inside
from frenemy.theory.scene import Scene, box, path

__all__ = ["Halves"]


@final
@dataclass(frozen=True, slots=True)
class Halves:
    r"""Two classes on the two halves of the unit square.

    $$ P(y = 1) = p, \quad x \mid y = 0 \sim U((0, \tfrac12) \times (0, 1)), \quad
       x \mid y = 1 \sim U((\tfrac12, 1) \times (0, 1)), \quad f_t(x) = 1[x_1 > t] $$

    For any threshold t, with a(u, v) twice the length of (u, v) inside the half that is meant:

    | risk | of class 0, weighed by 1 - p | of class 1, weighed by p |
    |---|---|---|
    | standard | a(t, 1/2) | a(1/2, t) |
    | robust | a(t - eps, 1/2) | a(1/2, t + eps) |
    | sensible | a(t - eps, 1/2) if t < 1/2, else 0 | a(1/2, t + eps) if t > 1/2, else 0 |

    A sensible enemy may not cross the Bayes boundary t = 1/2. So the sensible risk of the Bayes rule is its standard
    risk, 0 (Theorem 1), while its robust risk is 2 eps; the most robust rule, t = 1/2 - eps, has robust risk
    4 (1 - p) eps and errs on 2 (1 - p) eps of clean inputs.

    Args:
        p: in (1/2, 1), share of class 1.
        eps: what an enemy may do, in (0, 1/4): there the formulas of the most robust rule hold.
        threshold: t of a third rule, in (0, 1).

    Raises:
        UsageError: a parameter is out of range, or not a number.

    References:
        001, Example 1, Definitions 1 and 2, Theorem 1, Appendix B.1.
    """

    p: float = 0.75
    eps: float = 0.1
    threshold: float = 0.45

    card: ClassVar[Card] = Card(
        authors="Kim, Wang",
        title="Robust sensible adversarial learning of deep neural networks for image classification",
        year=2022,
        venue="arXiv preprint",
        place="Example 1, Appendix B.1",
        deviations=(
            "risks of every threshold, not of the two rules alone",
            "001 says sign, which gives -1 and 1, for labels that are 0 and 1",
        ),
    )
    slide: ClassVar[Slide] = Slide("eps", 0.01, 0.24)

    def __post_init__(self) -> None:
        inside("p", self.p, 0.5, 1, "0.75 is usual")
        inside("threshold", self.threshold, 0, 1, "0.5 is the Bayes rule")
        if self.eps >= 0.25:
            raise UsageError(
                f"expected eps below 1/4, got {self.eps:g}; from there on the most robust rule may answer 1 everywhere"
            )
        inside("eps", self.eps, 0, 0.25, "0.1 is usual")

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples; labels are 0 and 1."""
        key, rows = Key(seed).fold("halves"), torch.arange(n)
        y = (key.fold("y").uniform(rows, (), torch.float64).numpy() < self.p).astype(np.int64)
        x = key.fold("x").uniform(rows, (2,), torch.float64).numpy()
        return Draws(np.column_stack([(x[:, 0] + y) / 2, x[:, 1]]), y)

    def risks(self, t: float) -> dict[str, float]:
        """Standard, robust and sensible risk of the rule with threshold t."""

        def length(low: float, high: float) -> float:
            return 2 * max(high - low, 0.0)

        below, above = max(t - self.eps, 0.0), min(t + self.eps, 1.0)
        pairs = {
            "standard": (length(t, 0.5), length(0.5, t)),
            "robust": (length(below, 0.5), length(0.5, above)),
            "sensible": (length(below, 0.5) * (t < 0.5), length(0.5, above) * (t > 0.5)),
        }
        return {name: (1 - self.p) * zero + self.p * one for name, (zero, one) in pairs.items()}

    def scene(self) -> Scene:
        """The two halves, and the thresholds of the rules."""
        robust = 0.5 - self.eps
        return Scene(
            "x1",
            "x2",
            (0, 1),
            (0, 1),
            (
                box((0, 0), (0.5, 1), "minus", "class 0"),
                box((0.5, 0), (1, 1), "plus", "class 1"),
                box((robust, 0), (0.5 + self.eps, 1), "reach", "within eps of the Bayes boundary"),
                path([(0.5, 0), (0.5, 1)], "rule", "Bayes rule"),
                path([(robust, 0), (robust, 1)], "other", "most robust rule"),
                path([(self.threshold, 0), (self.threshold, 1)], "faint", f"t = {self.threshold:g}"),
            ),
            square=True,
        )

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """All three risks of the Bayes rule, of the most robust rule and of a third one."""
        draws, found = self.draw(n, seed), []
        rules = {"Bayes": 0.5, "most robust": 0.5 - self.eps, f"t = {self.threshold:g}": self.threshold}
        for rule, t in rules.items():
            for kind, value in self.risks(t).items():
                found.append(
                    Quantity(
                        f"{rule}, {kind} risk",
                        value,
                        self._integrated(kind, t),
                        *counted(self._wrong(kind, t, draws)),
                    )
                )
        return tuple(found)

    def _integrated(self, kind: str, t: float) -> float:
        """The same by integrating whether the answer can be made wrong, over each half, corner by corner."""
        corners = sorted({0.0, 0.5, 1.0, *(min(max(t + k * self.eps, 0.0), 1.0) for k in (-1, 0, 1))})
        total = 0.0
        for low, high in itertools.pairwise(corners):
            y = int(low >= 0.5)
            share = 2 * (self.p if y else 1 - self.p)
            wrong = self._wrong(kind, t, Draws(np.array([[(low + high) / 2, 0.5]]), np.array([y])))[0]
            total += quad(lambda x, share=share, wrong=wrong: share * wrong, low, high)[0]
        return total

    def _wrong(self, kind: str, t: float, draws: Draws) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Move each example towards the other class as far as this enemy may, inside the square, and ask the rule."""
        x, y = draws.x[:, 0], draws.y
        if kind != "standard":
            side = np.where(y == 1, -1, 1)
            x = np.clip(x + side * self.eps, 1e-12, 1 - 1e-12)
            if kind == "sensible":
                x = np.where(y == 1, np.maximum(x, 0.5 + 1e-12), np.minimum(x, 0.5 - 1e-12))
        wrong: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (x > t) != (y == 1)
        return wrong
