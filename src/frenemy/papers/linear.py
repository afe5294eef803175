"""A linear model on a toy problem, trained by any recipe, with its weights after every epoch."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from frenemy.data.examples import Examples
from frenemy.models.linear import Linear
from frenemy.rng import Key
from frenemy.theory.problem import Draws
from frenemy.threats.threat import Threat
from frenemy.training.fit import fit
from frenemy.training.recipe import Recipe
from frenemy.training.regime import Regime

__all__ = ["examples_of", "trained"]


def examples_of(draws: Draws, name: str) -> Examples:
    """Draws as a data set without walls; label 1 is class 1, all others class 0."""
    x = torch.tensor(draws.x, dtype=torch.float32)
    y = torch.tensor(draws.y == 1, dtype=torch.int64)
    return Examples(name, x, y, ("-1", "1"), -math.inf, math.inf)


def trained(
    recipe: Recipe,
    examples: Examples,
    threat: Threat,
    regime: Regime,
    key: Key,
    start: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Train, and give the weights and the bias of `logit 1 - logit 0` at the start and after each epoch.

    Args:
        recipe: a method of training.
        examples: of two classes.
        threat: what the enemy may do.
        regime: epochs, rate; an epoch is a step where `batch_size` holds all examples.
        key: settles the draws.
        start: `(features + 1,)` weights and bias to begin with; 0 by default.

    Returns:
        `(epochs + 1, features + 1)`.
    """
    model = Linear(examples.x[0].numel(), 2)
    first = torch.zeros(model.features + 1) if start is None else torch.tensor(start, dtype=torch.float32)
    with torch.no_grad():
        for sign, row in ((-0.5, 0), (0.5, 1)):
            model.layer.weight[row] = sign * first[:-1]
            model.layer.bias[row] = sign * first[-1]
    seen, last = [_difference(model)], 0.0

    def told(what: str, share: float) -> None:
        nonlocal last
        if share > last:  # the close of an epoch; its steps are told with the share before them
            seen.append(_difference(model))
            last = share

    fit(recipe, model, examples, key=key, threat=threat, regime=regime, told=told)
    return np.stack(seen)


def _difference(model: Linear) -> NDArray[np.float64]:
    weight, bias = model.layer.weight.detach(), model.layer.bias.detach()
    both: NDArray[np.float64] = torch.cat([weight[1] - weight[0], (bias[1] - bias[0])[None]]).double().numpy()
    return both
