"""Slack: float32 storage is forgiven, a real excess is not."""

from __future__ import annotations

import math

import pytest
import torch

from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.slack import bounds, hold_, inside, slack
from frenemy.threats.threat import Threat


@pytest.mark.parametrize("eps", [0.01, 1.0])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("ball", [Linf(1.0), L2(1.0), L1(1.0)])
def test_a_point_on_the_boundary_is_still_a_member_after_storage_in_float32(
    ball: Threat, offset: float, eps: float
) -> None:
    index, size = torch.arange(50), torch.full((50,), eps, dtype=torch.float64)
    ball = type(ball)(eps, low=-math.inf, high=math.inf)  # type: ignore[call-arg]
    origin = (offset + Key(0).uniform(index, (3000,), torch.float64)).float()
    direction = Key(1).normal(index, (3000,), torch.float64)
    on = origin.double() + direction * (size / ball.norm(direction))[:, None]
    assert bool(ball.contains(on.float(), origin, size.float()).all())


@pytest.mark.parametrize("ball", [Linf(0.5), L2(0.5), L1(0.5)])
def test_a_thousandth_too_far_is_no_member(ball: Threat) -> None:
    index, size = torch.arange(50), torch.full((50,), 0.5)
    origin = torch.full((50, 100), 0.5)
    direction = Key(1).normal(index, (100,))
    out = origin + direction * (0.5005 / ball.norm(direction))[:, None]
    assert not bool(ball.contains(out, origin, size).any())


def test_slack_is_a_share_of_eps_and_some_units_in_the_last_place() -> None:
    eps, length = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 3.0])
    torch.testing.assert_close(slack(length, eps), torch.tensor([2e-5, 3 * 2.0**-22]))


@pytest.mark.parametrize("end", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ends_of_the_box_belong_to_it_in_every_kind(end: float, dtype: torch.dtype) -> None:
    x = torch.tensor([[end, end]], dtype=dtype)
    assert inside(x, end, 1.0).tolist() == [True]
    assert inside(x, 0.0, torch.tensor([end, end], dtype=torch.float64)).tolist() == [True]
    assert inside(torch.nextafter(x, torch.zeros_like(x)), end, 1.0).tolist() == [False]


def test_bounds_take_the_kind_of_x_and_hold_cuts_in_place() -> None:
    x = torch.tensor([[-1.0, 0.5], [0.5, 2.0]])
    low, high = bounds(0.0, torch.tensor([1.0, 1.5], dtype=torch.float64), x)
    assert (low.dtype, high.dtype) == (torch.float32, torch.float32)
    assert hold_(x, 0.0, torch.tensor([1.0, 1.5], dtype=torch.float64)) is x
    assert x.tolist() == [[0.0, 0.5], [0.5, 1.5]]
