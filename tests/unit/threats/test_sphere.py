"""Sphere: exact norm wherever the corners of the box allow it, and `empty` exactly where they do not."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from frenemy.errors import ThreatError
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

BALLS: list[Threat] = [Linf(1.0), L2(1.0), L1(1.0)]


def _cases(count: int, features: int, most: float) -> tuple[Tensor, Tensor, Tensor]:
    index = torch.arange(count)
    origin = (Key(0).uniform(index, (features,), torch.float64) * 1.4 - 0.2).clamp(0, 1)
    x = origin + 10 ** (4 * Key(1).uniform(index, (1,), torch.float64) - 3) * Key(2).normal(
        index, (features,), torch.float64
    )
    return x, origin, most * Key(3).uniform(index, (), torch.float64)


@pytest.mark.parametrize("ball", BALLS)
@pytest.mark.parametrize("features", [1, 2, 4])
def test_norm_is_exact_where_some_corner_is_far_enough_and_empty_says_the_rest(
    ball: Threat, features: int
) -> None:
    x, origin, eps = _cases(500, features, 1.3 * float(ball.norm(torch.ones(1, features))))
    corners = torch.tensor(list(itertools.product([0.0, 1.0], repeat=features)), dtype=torch.float64)
    far = torch.stack([ball.norm(corner - origin) for corner in corners]).amax(0)
    sphere = Sphere(ball)
    empty = sphere.empty(origin, eps)
    assert torch.equal(empty, far < eps)
    assert bool(empty.any())
    assert not bool(empty.all())
    for start in (x, x.clamp(0, 1), origin):
        step = sphere.retract(start, origin, eps) - origin
        torch.testing.assert_close(sphere.norm(step)[~empty], eps[~empty], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("features", [2, 3])
def test_linf_lands_on_the_nearest_point_of_the_cut_sphere(features: int) -> None:
    _, origin, eps = _cases(100, features, 1.0)
    share = 2.4 * Key(4).uniform(torch.arange(100), (features,), torch.float64) - 1.2
    x = origin + eps[:, None] * share
    sphere = Sphere(Linf(1.0))
    back = sphere.retract(x, origin, eps)
    ticks = torch.linspace(-1, 1, 81 if features == 2 else 21, dtype=torch.float64)
    for row in torch.nonzero(~sphere.empty(origin, eps)).flatten().tolist():
        nearest = math.inf
        for face, end in itertools.product(range(features), (-1.0, 1.0)):
            columns = [ticks * eps[row]] * features
            columns[face] = end * eps[row : row + 1]
            points = (torch.cartesian_prod(*columns) + origin[row]).clamp(0, 1)
            on = ((points - origin[row]).abs().amax(1) - eps[row]).abs() < 1e-12
            nearest = min([nearest, *(points[on] - x[row]).norm(dim=1).tolist()])
        assert float((back[row] - x[row]).norm()) <= nearest + 1e-12


@pytest.mark.parametrize("ball", [L2(1.0), L1(1.0)])
def test_reachable_rows_are_one_scaling_of_the_step_cut_at_the_box(ball: Threat) -> None:
    x, origin, eps = _cases(300, 4, 1.0)
    step, back = x - origin, Sphere(ball).retract(x, origin, eps) - origin
    room = torch.where(step > 0, 1 - origin, origin)
    reachable = ball.norm(room) > eps
    assert int(reachable.sum()) > 100
    near, far = torch.zeros(300, dtype=torch.float64), torch.full((300,), 1e9, dtype=torch.float64)
    for _ in range(200):
        middle = (near + far) / 2
        under = ball.norm(torch.minimum(middle[:, None] * step.abs(), room)) < eps
        near, far = torch.where(under, middle, near), torch.where(under, far, middle)
    oracle = step.sign() * torch.minimum(far[:, None] * step.abs(), room)
    torch.testing.assert_close(back[reachable], oracle[reachable], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("ball", [L2(1.0), L1(1.0)])
def test_where_the_corner_is_too_near_the_way_goes_on_to_the_farthest_corner(ball: Threat) -> None:
    origin = torch.tensor([[0.9, 0.8, 0.3]], dtype=torch.float64)
    x = origin + torch.tensor([[0.05, 0.01, -0.2]], dtype=torch.float64)
    corner = torch.tensor([0.1, 0.2, -0.3], dtype=torch.float64)
    farthest = torch.tensor([-0.9, -0.8, 0.7], dtype=torch.float64)
    eps = 0.95 * ball.norm(farthest[None])
    step = (Sphere(ball).retract(x, origin, eps) - origin)[0]
    share = (step - corner) / (farthest - corner)
    torch.testing.assert_close(share, share[:1].expand(3))
    torch.testing.assert_close(ball.norm(step[None]), eps)


@pytest.mark.parametrize("ball", [L2(1.0), L1(1.0)])
def test_from_the_origin_the_way_goes_to_the_farthest_corner(ball: Threat) -> None:
    origin = torch.tensor([[0.9, 0.2]], dtype=torch.float64)
    eps = torch.tensor([0.5], dtype=torch.float64)
    end = torch.tensor([[-0.5, 0.5]], dtype=torch.float64)
    back = Sphere(ball).retract(origin, origin, eps)
    torch.testing.assert_close(back - origin, end * (eps / ball.norm(end)))


@pytest.mark.parametrize("ball", BALLS)
def test_in_an_infinite_box_every_row_reaches_its_norm(ball: Threat) -> None:
    sphere = Sphere(type(ball)(1.0, low=-math.inf, high=math.inf))  # type: ignore[call-arg]
    x, origin, eps = _cases(100, 5, 50.0)
    assert not bool(sphere.empty(origin, eps).any())
    for start in (x, origin):
        torch.testing.assert_close(sphere.norm(sphere.retract(start, origin, eps) - origin), eps)


@pytest.mark.parametrize("ball", BALLS)
def test_float32_keeps_the_norm_of_an_image(ball: Threat) -> None:
    index = torch.arange(8)
    origin = Key(0).uniform(index, (1, 28, 28))
    eps = torch.full((8,), 0.3)
    back = Sphere(ball).sample(origin, index, Key(1), eps)
    torch.testing.assert_close(ball.norm(back.double() - origin.double()), eps.double(), rtol=2e-5, atol=0)


@pytest.mark.parametrize("wrong", [Sphere(L2(1.0)), None])
def test_only_a_ball_makes_a_sphere(wrong: Threat) -> None:
    with pytest.raises((ThreatError, TypeError), match="ball"):
        Sphere(wrong)


@pytest.mark.parametrize("ball", BALLS)
def test_points_within_and_beyond_the_norm_are_no_members(ball: Threat) -> None:
    origin = torch.full((1, 3), 0.5)
    eps = torch.tensor([0.4])
    on = Sphere(ball).sample(origin, torch.arange(1), Key(0), eps)
    for share, member in ((0.0, False), (0.999, False), (1.0, True), (1.001, False)):
        assert Sphere(ball).contains(origin + share * (on - origin), origin, eps).tolist() == [member]


@pytest.mark.parametrize("ball", BALLS)
def test_points_on_the_sphere_stay_where_several_coordinates_meet_their_ends_at_once(ball: Threat) -> None:
    x, origin, eps = _cases(2000, 12, 0.6 * float(ball.norm(torch.ones(1, 12))))
    sphere = Sphere(ball)
    rows = ~sphere.empty(origin, eps)
    once = sphere.retract(x, origin, eps)
    twice = sphere.retract(once, origin, eps)
    torch.testing.assert_close(twice[rows], once[rows], rtol=0, atol=1e-9)
