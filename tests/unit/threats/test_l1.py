"""L1: projection against bisection and against a certificate by linear programming; the sparse step by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import optimize, stats
from torch import Tensor

from frenemy.errors import ThreatError
from frenemy.rng import Key
from frenemy.threats.l1 import L1

Array = NDArray[np.float64]


def _by_bisection(x: Array, origin: Array, eps: float, low: float, high: float) -> Array:
    """Cut every coordinate towards the origin by one number, clip at the box, bisect on the number."""
    delta = x - origin

    def cut(by: float) -> Array:
        moved: Array = origin + np.sign(delta) * np.maximum(np.abs(delta) - by, 0)
        return moved.clip(low, high)

    if np.abs(cut(0.0) - origin).sum() <= eps:
        return cut(0.0)
    near, far = 0.0, float(np.abs(delta).max())
    for _ in range(200):
        middle = (near + far) / 2
        over = np.abs(cut(middle) - origin).sum() > eps
        near, far = (middle, far) if over else (near, middle)
    return cut(far)


def _cases(count: int, features: int) -> tuple[Tensor, Tensor, Tensor]:
    index = torch.arange(count)
    origin = (Key(0).uniform(index, (features,), torch.float64) * 1.5 - 0.25).clamp(0, 1)
    far = 10 ** (3 * Key(1).uniform(index, (), torch.float64) - 1)
    x = origin + far[:, None] * Key(2).normal(index, (features,), torch.float64)
    return x, origin, 3 * Key(3).uniform(index, (), torch.float64)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-math.inf, math.inf), (-math.inf, 1.0)])
@pytest.mark.parametrize("features", [1, 7, 40])
def test_projection_equals_bisection(features: int, low: float, high: float) -> None:
    x, origin, eps = _cases(200, features)
    back = L1(1.0, low=low, high=high).retract(x, origin, eps)
    for row in range(200):
        oracle = _by_bisection(x[row].numpy(), origin[row].numpy(), float(eps[row]), low, high)
        np.testing.assert_allclose(back[row].numpy(), oracle, rtol=0, atol=1e-11)


def test_projection_carries_its_certificate() -> None:
    """`z` is the projection of `x` exactly if no `w` of the set has `<x - z, w> > <x - z, z>`."""
    x, origin, eps = _cases(40, 6)
    back = L1(1.0).retract(x, origin, eps)
    for row in range(40):
        pull, start, z = (x - back)[row].numpy(), origin[row].numpy(), back[row].numpy()
        ends = [(0, 1 - o) for o in start] + [(0, o) for o in start]
        best = optimize.linprog(
            -np.concatenate([pull, -pull]), A_ub=np.ones((1, 12)), b_ub=[float(eps[row])], bounds=ends
        )
        assert -best.fun <= pull @ (z - start) + 1e-9 * (1 + np.abs(pull).sum())


@pytest.mark.parametrize("far", [1.0, 1e3, 1e6])
def test_the_sum_stays_within_a_millionth_in_float32(far: float) -> None:
    index, eps = torch.arange(20), torch.full((20,), 12.0)
    origin = Key(0).uniform(index, (3072,))
    x = origin + far * Key(1).normal(index, (3072,))
    back = L1(12.0).retract(x, origin, eps).double()
    assert bool(((back - origin.double()).abs().sum(1) <= 12 * (1 + 1e-6)).all())


def test_samples_are_uniform_in_the_ball() -> None:
    count, features = 20_000, 5
    ball = L1(2.0, low=-math.inf, high=math.inf)
    origin = torch.zeros(count, features, dtype=torch.float64)
    drawn = ball.sample(origin, torch.arange(count), Key(0), torch.full((count,), 2.0, dtype=torch.float64))
    radius = ball.norm(drawn) / 2
    share = drawn[:, 0].abs() / ball.norm(drawn)
    assert stats.kstest((radius**features).numpy(), "uniform").pvalue > 1e-4
    assert stats.kstest(share.numpy(), stats.beta(1, features - 1).cdf).pvalue > 1e-4
    assert stats.binomtest(int((drawn[:, 0] > 0).sum()), count).pvalue > 1e-4
    assert stats.binomtest(int((drawn[:, 0] * drawn[:, 1] > 0).sum()), count).pvalue > 1e-4


def test_a_step_is_spread_over_the_largest_free_coordinates() -> None:
    x = torch.tensor([[0.0, 1.0, 0.5, 0.5, 0.5, 0.5]])
    gradient = torch.tensor([[-9.0, 8.0, -3.0, 2.0, 1.0, 0.0]])
    size = torch.tensor([0.4])
    two = L1(1.0, spread=0.3).move(x, gradient, size)
    torch.testing.assert_close(two, torch.tensor([[0.0, 1.0, 0.3, 0.7, 0.5, 0.5]]))
    one = L1(1.0).move(x, gradient, size)
    torch.testing.assert_close(one, torch.tensor([[0.0, 1.0, 0.1, 0.5, 0.5, 0.5]]))
    back = L1(1.0).move(x, -gradient, size)
    torch.testing.assert_close(back, torch.tensor([[0.4, 1.0, 0.5, 0.5, 0.5, 0.5]]))


def test_a_step_keeps_its_size_where_few_coordinates_are_free() -> None:
    x = torch.tensor([[0.0, 1.0, 0.5]])
    gradient = torch.tensor([[-9.0, 8.0, 1.0]])
    step = L1(1.0, spread=1.0).move(x, gradient, torch.tensor([0.25]))
    assert step.tolist() == [[0.0, 1.0, 0.75]]


def test_norms_of_a_row_done_by_hand() -> None:
    ball, g = L1(1.0), torch.tensor([[3.0, -4.0, 0.0]])
    assert ball.norm(g).tolist() == [7.0]
    assert ball.dual_norm(g).tolist() == [4.0]
    assert ball.steepest(g).tolist() == [[0.0, -1.0, 0.0]]


@pytest.mark.parametrize("spread", [0.0, -0.1, 1.1, math.nan])
def test_a_spread_that_is_no_share_is_refused(spread: float) -> None:
    with pytest.raises(ThreatError, match="spread"):
        L1(1.0, spread=spread)
