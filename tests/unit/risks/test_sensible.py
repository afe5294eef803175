"""Sensible risk: an enemy who may not cross the border of a reference, against what is known exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.risks.sensible import sensible_risk
from frenemy.rng import Key
from frenemy.theory.halves import Halves
from frenemy.threats.linf import Linf


class Threshold(nn.Module):
    """Answers 1 where the first coordinate is above t, with slopes that lead there."""

    def __init__(self, t: float) -> None:
        super().__init__()
        self.t = t

    def forward(self, x: Tensor) -> Tensor:
        gap = 5 * (x[:, 0] - self.t)
        return torch.stack([-gap, gap], dim=1)


def halves(problem: Halves, n: int = 400) -> Examples:
    draws = problem.draw(n, 0)
    return Examples(
        "halves", torch.tensor(draws.x, dtype=torch.float32), torch.tensor(draws.y), ("left", "right")
    )


@given(st.floats(0.05, 0.24), st.floats(0.3, 0.7))
@example(0.1875, 0.49609375)
@example(0.2, 0.479)
@settings(max_examples=6, deadline=None)
def test_every_example_as_on_the_two_halves(eps: float, t: float) -> None:
    """001, Example 1: each verdict is that of the exact rule, but for points within rounding of a border.

    Between the two borders an enemy may stand; where that is less than a twentieth of eps wide a search may miss it.
    """
    problem = Halves(eps=eps, threshold=t)
    examples = halves(problem)
    found = sensible_risk(Threshold(t), Threshold(0.5), examples, threat=Linf(eps), key=Key(0))
    draws = problem.draw(400, 0)
    near = np.zeros(400, bool)
    for k, border in itertools.product((-1, 0, 1), (t, 0.5)):
        near |= np.abs(draws.x[:, 0] - border - k * eps) < 1e-4
    for column, kind in enumerate(("standard", "sensible", "robust")):
        exact = problem._wrong(kind, t, draws)
        said = found.wrong[:, column].numpy()
        assert (~said | exact | near).all(), kind
        if kind != "sensible" or abs(t - 0.5) > eps / 20:
            assert (said | ~exact | near).all(), kind
    inside = (found.x - examples.x).abs().max()
    assert inside <= eps + 1e-6


def test_of_the_reference_itself_it_is_the_standard_risk() -> None:
    """Theorem 1a, as an identity on every example."""
    examples = halves(Halves())
    found = sensible_risk(Threshold(0.42), Threshold(0.42), examples, threat=Linf(0.2), key=Key(1))
    assert torch.equal(found.wrong[:, 0], found.wrong[:, 1])
    assert found.robust.value > found.sensible.value == found.standard.value > 0


def test_theorem_1_over_all_classifiers_of_ten_cells() -> None:
    """Bayes alone has the least sensible risk; and away from its border nobody is more robust, cell by cell."""
    cells, border = 10, 6
    labels = np.arange(cells) >= border
    reach = [range(max(k - 1, 0), min(k + 2, cells)) for k in range(cells)]
    away = [all(labels[j] == labels[k] for j in reach[k]) for k in range(cells)]
    bayes_falls = [any(labels[j] != labels[k] for j in reach[k]) for k in range(cells)]
    least = []
    for rule in itertools.product((False, True), repeat=cells):
        sensible = sum(
            any(rule[j] != labels[k] for j in reach[k] if labels[j] == labels[k]) for k in range(cells)
        )
        least.append((sensible, rule))
        falls = [any(rule[j] != labels[k] for j in reach[k]) for k in range(cells)]
        assert all(bayes_falls[k] <= falls[k] for k in range(cells) if away[k])
    least.sort()
    assert least[0] == (0, tuple(bool(y) for y in labels))
    assert least[1][0] > 0


def test_classes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="expected model and reference to give 2 logits"):
        sensible_risk(Threshold(0.5), nn.Linear(2, 3), halves(Halves()), threat=Linf(0.1), key=Key(0))
