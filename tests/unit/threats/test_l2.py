"""L2: scaling by hand, the uniform law of samples, gradients of any size."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from frenemy.rng import Key
from frenemy.threats.l2 import L2


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 10)])
def test_samples_are_uniform_in_the_ball(shape: tuple[int, ...]) -> None:
    count, features = 20_000, math.prod(shape)
    ball = L2(2.0, low=-math.inf, high=math.inf)
    origin = torch.zeros(count, *shape, dtype=torch.float64)
    drawn = ball.sample(origin, torch.arange(count), Key(0), torch.full((count,), 2.0, dtype=torch.float64))
    radius = ball.norm(drawn) / 2
    assert stats.kstest((radius**features).numpy(), "uniform").pvalue > 1e-4
    assert stats.binomtest(int((drawn.flatten(1)[:, 0] > 0).sum()), count).pvalue > 1e-4
    if features > 1:
        share = (drawn.flatten(1)[:, 0] / (2 * radius)) ** 2
        assert stats.kstest(share.numpy(), stats.beta(0.5, (features - 1) / 2).cdf).pvalue > 1e-4
        assert abs(stats.spearmanr(radius.numpy(), share.numpy()).pvalue) > 1e-4


def test_without_a_box_in_the_way_retraction_is_the_nearest_point() -> None:
    index = torch.arange(200)
    ball = L2(0.7, low=-math.inf, high=math.inf)
    origin = Key(0).normal(index, (6,), torch.float64)
    x = origin + Key(1).normal(index, (6,), torch.float64)
    back = ball.retract(x, origin, torch.full((200,), 0.7, dtype=torch.float64))
    distance = (x - origin).norm(dim=1)
    torch.testing.assert_close((back - x).norm(dim=1), (distance - 0.7).clamp(min=0))
    torch.testing.assert_close((back - origin).norm(dim=1), distance.clamp(max=0.7))


def test_scaling_then_cutting_done_by_hand() -> None:
    origin = torch.tensor([[0.5, 0.9], [0.5, 0.5]])
    x = origin + torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    back = L2(0.5).retract(x, origin, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(back, torch.tensor([[0.8, 1.0], [0.5, 0.5]]))


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e30, 3e38])
def test_the_step_is_the_same_for_tiny_and_huge_gradients(scale: float) -> None:
    gradient = torch.tensor([[scale, -scale, 0.0, 0.0]])
    step = L2(1.0).move(torch.zeros(1, 4), gradient, torch.tensor([2.0]))
    torch.testing.assert_close(step, torch.tensor([[2**0.5, -(2**0.5), 0.0, 0.0]]))


def test_lengths_do_not_underflow_or_overflow() -> None:
    rows = torch.tensor([[3e-30, 4e-30], [3e30, 4e30], [0.0, 0.0]])
    torch.testing.assert_close(L2(1.0).norm(rows), torch.tensor([5e-30, 5e30, 0.0]), rtol=1e-6, atol=0)


def test_size_zero_takes_back_even_steps_whose_squares_vanish() -> None:
    origin = torch.zeros(1, 2)
    back = L2(0.0).retract(origin + 1e-30, origin, torch.zeros(1))
    assert torch.equal(back, origin)
