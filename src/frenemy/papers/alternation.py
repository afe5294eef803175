"""001, Figure 6: on three clusters plain adversarial training changes its mind for ever, SENSE does not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from frenemy.papers.linear import examples_of, trained
from frenemy.reports.lesson import Figure
from frenemy.reports.panel import Line, Panel, drawn
from frenemy.reports.scenery import scenery
from frenemy.rng import Key
from frenemy.theory.scene import Scene, Shape, area, path, ring, straight
from frenemy.theory.three_clusters import ThreeClusters
from frenemy.threats.l2 import L2
from frenemy.training.pgdat import PGDAT
from frenemy.training.recipe import Recipe
from frenemy.training.regime import Regime
from frenemy.training.sense import SENSE

__all__ = ["Alternation", "alternation", "figures"]

_METHODS: Final[dict[str, Recipe]] = {
    "PGD-AT": PGDAT(steps=1, step_size=1.0, start="input"),
    "SENSE": SENSE(c=0.9, steps=1, step_size=1.0, start="input"),
}
_SETTLED: Final = 100
_DRAWN: Final = 120
"""The first iterations; a panel draws no more than 160 points of a line, and here each counts."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Alternation:
    """What came out.

    Args:
        weights: `(iterations + 1, 3)` weights and bias after each iteration, by method.
        angles: the direction of the weights in degrees, 0 for the line that errs least.
        spread: standard deviation of the angle after iteration 100, in degrees.
        risk: exact standard risk of the last line.
    """

    weights: dict[str, NDArray[np.float64]]
    angles: dict[str, NDArray[np.float64]]
    spread: dict[str, float]
    risk: dict[str, float]


def alternation(seed: int = 0, n: int = 200, rate: float = 0.01, iterations: int = 300) -> Alternation:
    """Train a line on three clusters (p = 0.55, sigma = 0.2, m = 7, eps = 8 sigma) by both methods.

    Both begin with a logistic regression and follow the gradient of the loss summed over the examples; one step of PGD
    of length eps is the exact maximiser for a line. SENSE has c = 0.9.

    Args:
        seed: of the examples.
        n: their number; 001 does not say it, nor whether its loss is a sum or a mean. With the mean and its rate of
            0.01 no line turns by more than 3 degrees in 300 iterations.
        rate: of the summed loss.
        iterations: full-batch steps.
    """
    problem = ThreeClusters(p=0.55)
    draws = problem.draw(n, seed)
    first = LogisticRegression().fit(draws.x, draws.y)
    start = np.append(first.coef_[0], first.intercept_)
    regime = Regime(
        epochs=iterations, batch_size=n, optimiser="sgd", momentum=0.0, rate=rate * n, select="last"
    )
    threat = L2(problem.gamma * problem.sigma, -math.inf, math.inf)
    examples = examples_of(draws, "three clusters")
    weights = {
        name: trained(recipe, examples, threat, regime, Key(seed), start) for name, recipe in _METHODS.items()
    }
    angles = {name: np.degrees(np.arctan2(w[:, 1], w[:, 0])) for name, w in weights.items()}
    spread = {name: float(angle[_SETTLED:].std()) for name, angle in angles.items()}
    risk = {}
    for name, w in weights.items():
        length = float(np.linalg.norm(w[-1, :2]))
        risk[name] = problem.risk(w[-1, :2] / length, float(w[-1, 2]) / length, 0.0)
    return Alternation(weights, angles, spread, risk)


def figures(seed: int = 0) -> tuple[Figure, ...]:
    """Draw the direction of the line against the iterations, and the last lines."""
    found = alternation(seed)
    x = np.arange(_DRAWN + 1, dtype=float)
    lines = [
        Line(x, angle[: _DRAWN + 1], name, look)
        for (name, angle), look in zip(found.angles.items(), ("enemy", "friend"), strict=True)
    ]
    panel = Panel("Direction of the line", "", "iteration", "degrees", tuple(lines), low=-90, high=90)
    told = (
        "Degrees away from the line that errs least. Red: PGD-AT, standard deviation "
        f"{found.spread['PGD-AT']:.0f} after iteration {_SETTLED}; blue: SENSE, {found.spread['SENSE']:.2f}."
    )
    last = (
        "PGD-AT after its last two iterations (black and green): each gives up another cluster. "
        f"SENSE (dashed) errs on {found.risk['SENSE']:.2%}, PGD-AT on {found.risk['PGD-AT']:.0%}."
    )
    title = "Training a line (001, Figure 6)"
    return (
        Figure("threeclusters", title, told, drawn(panel)),
        Figure("threeclusters", "The last lines", last, scenery(_scene(found), "The last lines")),
    )


def _scene(found: Alternation) -> Scene:
    problem = ThreeClusters(p=0.55)
    shapes: list[Shape] = []
    for _, middle, label in problem.clusters:
        shapes.append(
            area(ring(middle, 3 * problem.sigma), "plus" if label == 1 else "minus", f"class {label}")
        )
    plain, sense = found.weights["PGD-AT"], found.weights["SENSE"]
    for w, look in ((plain[-1], "rule"), (plain[-2], "other"), (sense[-1], "faint")):
        shapes.append(path(straight(w[:2].tolist(), float(w[2])), look))
    return Scene("x1", "x2", (-9, 9), (-9, 9), tuple(shapes), square=True)
