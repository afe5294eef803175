"""003, Figure 9: under adversarial training the weight goes to the one feature that an enemy cannot flip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from frenemy.papers.linear import examples_of, trained
from frenemy.reports.lesson import Figure
from frenemy.reports.panel import Line, Panel, drawn
from frenemy.rng import Key
from frenemy.theory.tsipras import Tsipras
from frenemy.threats.linf import Linf
from frenemy.training.pgdat import PGDAT
from frenemy.training.recipe import Recipe
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard

__all__ = ["Weights", "figures", "weights"]

_METHODS: Final[dict[str, Recipe]] = {
    "standard training": Standard(),
    "adversarial training": PGDAT(steps=1, step_size=1.0, start="input"),
}


@final
@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What came out, by method.

    Args:
        first: weight on the first feature after each iteration.
        weak: mean weight on the weak ones.
        natural, adversarial: exact accuracies of the last weights, all weak ones taken as their mean.
    """

    first: dict[str, NDArray[np.float64]]
    weak: dict[str, NDArray[np.float64]]
    natural: dict[str, float]
    adversarial: dict[str, float]


def weights(seed: int = 0, n: int = 4_000, iterations: int = 300) -> Weights:
    """Train a linear model by full-batch gradient descent on the logistic loss, with and without the enemy.

    One step of PGD of length eps is the exact maximiser for a linear model.
    """
    problem = Tsipras()
    examples = examples_of(problem.draw(n, seed), "one robust feature and many weak ones")
    regime = Regime(epochs=iterations, batch_size=n, optimiser="sgd", momentum=0.0, rate=0.5, select="last")
    threat = Linf(problem.eps, -math.inf, math.inf)
    kept = {name: trained(recipe, examples, threat, regime, Key(seed)) for name, recipe in _METHODS.items()}
    last = {name: float(w[-1, 0] / w[-1, 1:-1].mean()) for name, w in kept.items()}
    return Weights(
        {name: w[:, 0] for name, w in kept.items()},
        {name: w[:, 1:-1].mean(axis=1) for name, w in kept.items()},
        {name: problem.accuracy(ratio, 0.0) for name, ratio in last.items()},
        {name: problem.accuracy(ratio, problem.eps) for name, ratio in last.items()},
    )


def figures(seed: int = 0) -> tuple[Figure, ...]:
    """Draw the weights against the iterations, one drawing a method."""
    found, made = weights(seed), []
    for name in _METHODS:
        x = np.arange(len(found.first[name]), dtype=float)
        lines = (
            Line(x, found.first[name], "first feature", "friend"),
            Line(x, found.weak[name], "a weak feature, mean", "enemy"),
        )
        panel = Panel(name.capitalize(), "", "iteration", "weight", lines)
        told = (
            f"Blue: the first feature; red: the mean of the weak ones (003, Figure 9). At the end it is right on "
            f"{found.natural[name]:.1%}, under the enemy on {found.adversarial[name]:.1%}."
        )
        made.append(Figure("tsipras", name.capitalize(), told, drawn(panel)))
    return tuple(made)
