"""Linf: projection against brute force, uniform samples, plain sums for the norms."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy import stats

from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.threats.threat import radii


def test_projection_is_the_nearest_point_of_a_fine_grid_of_ball_and_box() -> None:
    index = torch.arange(50)
    origin = Key(0).uniform(index, (2,), torch.float64)
    x = origin + Key(1).normal(index, (2,), torch.float64)
    ball = Linf(0.3)
    back = ball.retract(x, origin, radii(0.3, x))
    ticks = torch.linspace(-0.3, 0.3, 61, dtype=torch.float64)
    grid = torch.tensor(list(itertools.product(ticks.tolist(), repeat=2)), dtype=torch.float64)
    points = (origin[:, None] + grid).clamp(0, 1)
    nearest = (points - x[:, None]).norm(dim=2).amin(1)
    reached = (back - x).norm(dim=1)
    assert bool((reached <= nearest + 1e-12).all())
    assert bool((reached >= nearest - 0.01 * 2**0.5).all())


def test_samples_are_uniform_on_the_cut_interval() -> None:
    index = torch.arange(20_000)
    origin = torch.tensor([[0.1, 0.5, 1.0]]).expand(20_000, 3)
    drawn = Linf(0.2).sample(origin, index, Key(0), torch.full((20_000,), 0.2))
    for column, (low, high) in enumerate([(0.0, 0.3), (0.3, 0.7), (0.8, 1.0)]):
        result = stats.kstest(drawn[:, column].numpy(), stats.uniform(low, high - low).cdf)
        assert result.pvalue > 1e-4


def test_norms_and_steps_of_a_row_done_by_hand() -> None:
    ball, g = Linf(1.0), torch.tensor([[3.0, -4.0, 0.0]])
    assert ball.norm(g).tolist() == [4.0]
    assert ball.dual_norm(g).tolist() == [7.0]
    assert ball.steepest(g).tolist() == [[1.0, -1.0, 0.0]]
    assert ball.move(torch.zeros(1, 3), g, torch.tensor([0.5])).tolist() == [[0.5, -0.5, 0.0]]


def test_equal_settings_make_equal_balls() -> None:
    assert Linf(8 / 255) == Linf(8 / 255)
    assert Linf(8 / 255) != Linf(8 / 255, high=2.0)


@pytest.mark.parametrize("far", [1e3, 1e30])
def test_far_points_come_back_to_the_very_corner(far: float) -> None:
    origin = torch.tensor([[0.5, 0.9]])
    back = Linf(0.25).retract(origin + far, origin, torch.tensor([0.25]))
    assert back.tolist() == [[0.75, 1.0]]
