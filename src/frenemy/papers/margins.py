"""004, Figure 4.1: an enemy who reaches further than the margin spoils the line that is trained against him."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from frenemy.papers.linear import examples_of, trained
from frenemy.reports.lesson import Figure
from frenemy.reports.scenery import scenery
from frenemy.rng import Key
from frenemy.theory.problem import Draws
from frenemy.theory.scene import Scene, dots, path, straight
from frenemy.theory.separable import Separable
from frenemy.threats.linf import Linf
from frenemy.training.pgdat import PGDAT
from frenemy.training.recipe import Recipe
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard

__all__ = ["Trained", "figures", "margins"]

_AGAINST: Final[dict[str, tuple[Recipe, float]]] = {
    "Standard training": (Standard(), 0.0),
    "Adversarial training, eps = 1": (PGDAT(steps=1, step_size=1.0, start="input"), 1.0),
    "Adversarial training, eps = 4": (PGDAT(steps=1, step_size=1.0, start="input"), 4.0),
}


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A line and how good it is.

    Args:
        weights: `(3,)` two weights and a bias.
        natural, adversarial: exact risks, the latter at eps = 1.
    """

    weights: NDArray[np.float64]
    natural: float
    adversarial: float


def margins(seed: int = 0, n: int = 60, iterations: int = 500) -> dict[str, Trained]:
    """Train a line on a few examples of `Separable`, by full-batch gradient descent on the logistic loss."""
    problem, found = Separable(), {}
    examples = examples_of(problem.draw(n, seed), "two rectangles")
    regime = Regime(epochs=iterations, batch_size=n, optimiser="sgd", momentum=0.0, rate=0.1, select="last")
    for name, (recipe, eps) in _AGAINST.items():
        w = trained(recipe, examples, Linf(eps, -math.inf, math.inf), regime, Key(seed))[-1]
        alpha, b = math.degrees(math.atan2(w[1], w[0])), -float(w[2] / np.linalg.norm(w[:2]))
        found[name] = Trained(w, problem.risk(alpha, b, 0.0), problem.risk(alpha, b, 1.0))
    return found


def figures(seed: int = 0, n: int = 60) -> tuple[Figure, ...]:
    """Draw each line among the examples."""
    draws, made = Separable().draw(n, seed), []
    for name, one in margins(seed, n).items():
        told = (
            f"It errs on {one.natural:.1%}, under an enemy of eps = 1 on {one.adversarial:.1%}, exactly "
            "(004, Figure 4.1)."
        )
        made.append(Figure("separable", name, told, scenery(_scene(draws, one.weights), name)))
    return tuple(made)


def _scene(draws: Draws, w: NDArray[np.float64]) -> Scene:
    shapes = [
        dots([(float(a), float(b)) for a, b in draws.x[draws.y == y]], look, f"class {y}")
        for y, look in ((-1, "minus"), (1, "plus"))
    ]
    shapes.append(path(straight(w[:2].tolist(), float(w[2])), "rule", "the line"))
    return Scene("x1", "x2", (-6, 6), (-6, 6), tuple(shapes), square=True)
