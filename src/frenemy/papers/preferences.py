"""002, Figures 9 to 12: on the line a sum of losses fluctuates, and losses in their order do not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor, nn

from frenemy.models.build import initialise
from frenemy.papers.linear import examples_of
from frenemy.rng import Key
from frenemy.theory.intervals import Steps, accuracies
from frenemy.theory.line import CLASSES, Line
from frenemy.threats.l2 import L2
from frenemy.threats.sphere import Sphere
from frenemy.training.alphamix import AlphaMix
from frenemy.training.fit import fit
from frenemy.training.olgrc import OLGRC
from frenemy.training.olsrc import OLSRC
from frenemy.training.recipe import Recipe
from frenemy.training.regime import Regime
from frenemy.training.trades import TRADES

__all__ = ["METHODS", "SIZES", "Net", "Outcome", "borders", "preferences"]

_SIX: Final = tuple((k + 1) / 6 for k in range(6))
METHODS: Final[dict[str, tuple[Recipe, float]]] = {
    "1: AT": (AlphaMix(alpha=0.5, steps=10, step_size=1.5, start="uniform"), 4.0),
    "1: TRADES": (TRADES(beta=1.0, steps=10, step_size=1.5, start="uniform"), 4.0),
    "1: OLSRC": (OLSRC(steps=10, step_size=1.5), 4.0),
    "2: OLSRC": (OLSRC(sizes=_SIX, steps=10, step_size=1.5), 6.0),
    "2: OLGRC": (OLGRC(sizes=_SIX, steps=10, step_size=1.5), 6.0),
}
"""Method and largest norm: the first experiment has the norm 4 alone, the second the norms 1 to 6.

On a sphere of two points a step must be longer than the norm to reach the other side."""
SIZES: Final = tuple(k / 4 for k in range(29))
"""Exact norms from 0 to 7 at which a trained net is judged."""


@final
class Net(nn.Module):
    """256 hidden neurons with leaky ReLU of slope 0.2 on one number, two logits."""

    def __init__(self, hidden: int = 256) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, hidden), nn.Linear(hidden, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits `(batch, 2)`."""
        logits: Tensor = self.last(nn.functional.leaky_relu(self.first(x), 0.2))
        return logits


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """What a method came to on the line.

    Args:
        swings: standard deviation of the natural accuracy over the second half of the iterations.
        natural, large: exact natural accuracy, and exact accuracy at the largest norm it was trained on, over the
            second half of the iterations (mean).
        exact, genuine: of the last net, accuracy by exact norm and genuine accuracy at each of `SIZES`.
        borders, signs: where its answer changes, exactly, and its answers between.
    """

    swings: float
    natural: float
    large: float
    exact: tuple[float, ...]
    genuine: tuple[float, ...]
    borders: tuple[float, ...]
    signs: tuple[int, ...]


def preferences(name: str, seed: int = 0, iterations: int = 1_000, rate: float = 1.5) -> Outcome:
    """Train one of `METHODS` on 100 examples of the line, full batch, by gradient descent with a rate of 0.015.

    Accuracies are exact: the net is linear between the bends of its neurons, so its answer is a rule of steps.
    """
    recipe, size = METHODS[name]
    key = Key(seed).fold("line")
    model = Net()
    initialise(model, key.fold("weights"))
    seen: list[tuple[float, float]] = []
    last = 0.0

    def told(what: str, share: float) -> None:
        nonlocal last
        if share > last:
            last = share
            if len(seen) % 5 == 0 or share == 1:
                rule = borders(model)
                seen.append(
                    (accuracies(rule, CLASSES, 0.0)["natural"], accuracies(rule, CLASSES, size)["exact norm"])
                )
            else:
                seen.append(seen[-1])

    regime = Regime(
        epochs=iterations, batch_size=100, optimiser="sgd", momentum=0.0, rate=rate, select="last"
    )
    examples = examples_of(Line().draw(100, seed), "line")
    ball: Any = L2(size, -math.inf, math.inf)
    threat = ball if isinstance(recipe, OLSRC | OLGRC) else Sphere(ball)
    fit(recipe, model, examples, key=key, threat=threat, regime=regime, told=told)
    late, rule = np.array(seen[len(seen) // 2 :]), borders(model)
    judged = [accuracies(rule, CLASSES, eps) for eps in SIZES]
    return Outcome(
        float(late[:, 0].std()),
        float(late[:, 0].mean()),
        float(late[:, 1].mean()),
        tuple(one["exact norm"] for one in judged),
        tuple(one["genuine"] for one in judged),
        rule.borders,
        rule.signs,
    )


def borders(model: Net) -> Steps:
    """Where the answer of a net changes: the roots of a function that is linear between the bends of its neurons."""
    with torch.no_grad():
        w, b = model.first.weight[:, 0].double(), model.first.bias.double()
        out = (model.last.weight[1] - model.last.weight[0]).double()
        rest = float(model.last.bias[1] - model.last.bias[0])
        bends = (-b / w)[w != 0].sort().values.numpy()

        def gap(x: np.ndarray) -> np.ndarray:
            at = torch.from_numpy(x)[:, None] * w + b
            values: np.ndarray = (torch.where(at > 0, at, 0.2 * at) @ out + rest).numpy()
            return values

    far = float(np.abs(bends).max(initial=1.0))
    knots = np.concatenate([[-4 * far - 100, -2 * far - 50], bends, [2 * far + 50, 4 * far + 100]])
    values = gap(knots)
    turns = np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0)
    roots = [
        float(knots[k] - values[k] * (knots[k + 1] - knots[k]) / (values[k + 1] - values[k])) for k in turns
    ]
    ascending = [root for place, root in enumerate(roots) if place == 0 or root > roots[place - 1]]
    ends = (
        [
            ascending[0] - 1,
            *((a + c) / 2 for a, c in pairwise(ascending)),
            ascending[-1] + 1,
        ]
        if ascending
        else [0.0]
    )
    signs = tuple(1 if value > 0 else -1 for value in gap(np.array(ends)))
    return Steps(tuple(ascending), signs)
