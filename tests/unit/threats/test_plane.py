"""Steps onto a hyperplane inside a box: against linear programs, bisection and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog
from torch import Tensor

from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.plane import landing
from frenemy.threats.threat import Threat

BALLS = (Linf, L2, L1)
every = pytest.mark.parametrize("ball", BALLS, ids=lambda ball: ball.__name__)


def cases(rows: int, features: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Points of the unit cube, some on its faces; slopes, some zero and some equal; gaps of both signs."""
    key, index = Key(21), torch.arange(rows)
    x = key.fold("x").uniform(index, (features,), dtype)
    x = torch.where(key.fold("edge").uniform(index, (features,)) < 0.3, x.round(), x)
    normal = key.fold("normal").normal(index, (features,), dtype)
    normal = torch.where(key.fold("zero").uniform(index, (features,)) < 0.2, 0.0, normal)
    normal[::5] = normal[::5].sign()
    return x, key.fold("gap").normal(index, (), dtype) * 0.2 * features**0.5, normal


def least(ball: type[Threat], x: Tensor, gap: float, normal: Tensor) -> float:
    """The least norm of a step inside the unit cube onto the plane, by a linear program or by bisection."""
    w, point = normal.numpy(), x.numpy()
    d = len(w)
    if ball is L1:
        room = [(0, 1 - v) for v in point] + [(0, v) for v in point]
        return float(linprog(np.ones(2 * d), A_eq=[np.r_[w, -w]], b_eq=[-gap], bounds=room).fun)
    if ball is Linf:
        within = np.block([[np.eye(d), -np.ones((d, 1))], [-np.eye(d), -np.ones((d, 1))]])
        room = [(-v, 1 - v) for v in point] + [(0, None)]
        cost, onto = np.r_[np.zeros(d), 1], [np.r_[w, 0]]
        return float(linprog(cost, within, np.zeros(2 * d), onto, [-gap], room).fun)
    level = brentq(lambda t: w @ np.clip(t * w, -point, 1 - point) + gap, -1e3, 1e3, xtol=1e-15)
    return float(np.linalg.norm(np.clip(level * w, -point, 1 - point)))


@every
def test_the_step_lands_on_the_plane_and_none_is_shorter(ball: type[Linf | L2 | L1]) -> None:
    x, gap, normal = cases(60, 7)
    threat = ball(1.0)
    step = landing(x, gap, normal, threat)
    way = torch.where(normal * -gap.sign()[:, None] > 0, 1 - x, x)
    reach = (normal.abs() * way).sum(1)
    near = (gap + (normal * step).sum(1)).abs()
    torch.testing.assert_close(near, (gap.abs() - reach).clamp(min=0), rtol=0, atol=1e-12)
    assert bool(((x + step >= -1e-12) & (x + step <= 1 + 1e-12)).all())
    assert not step[normal == 0].any()
    reached = (reach > gap.abs()).nonzero().flatten().tolist()
    assert 40 < len(reached) < 60
    for i in reached:
        oracle = least(ball, x[i], float(gap[i]), normal[i])
        assert float(threat.norm(step[i : i + 1])) == pytest.approx(oracle, abs=1e-9)


@every
def test_without_a_box_the_length_is_the_gap_over_the_dual_norm(ball: type[Linf | L2 | L1]) -> None:
    x, gap, normal = cases(30, 9)
    low = torch.full((9,), -math.inf, dtype=torch.float64)
    low[0] = -1e9
    threat = ball(1.0, low=low, high=math.inf)
    step = landing(x, gap, normal, threat)
    torch.testing.assert_close(threat.norm(step), gap.abs() / threat.dual_norm(normal))
    torch.testing.assert_close((normal * step).sum(1), -gap)


@every
def test_a_plane_without_slope_or_already_reached_asks_for_no_step(ball: type[Linf | L2 | L1]) -> None:
    x, gap, normal = cases(6, 5)
    for high in (1.0, math.inf):
        threat = ball(1.0, low=-1.0, high=high)
        assert not landing(x, gap, torch.zeros_like(normal), threat).any()
        assert not landing(x, torch.zeros_like(gap), normal, threat).any()


@every
@settings(max_examples=25, deadline=None)
@given(factor=st.floats(1e-12, 1e12), minus=st.booleans())
def test_the_plane_matters_and_not_how_it_is_written(
    ball: type[Linf | L2 | L1], factor: float, minus: bool
) -> None:
    x, gap, normal = cases(8, 5)
    scale = -factor if minus else factor
    plain = landing(x, gap, normal, ball(1.0))
    torch.testing.assert_close(
        landing(x, scale * gap, scale * normal, ball(1.0)), plain, rtol=1e-9, atol=1e-12
    )


@every
def test_in_float32_with_many_coordinates_it_still_lands(ball: type[Linf | L2 | L1]) -> None:
    x, gap, normal = cases(20, 784, torch.float32)
    step = landing(x, gap, normal, ball(1.0))
    rest = (gap.double() + (normal.double() * step.double()).sum(1)).abs()
    assert bool((rest <= 1e-5 * gap.abs().double()).all())
    alone = torch.cat([landing(x[i : i + 1], gap[i : i + 1], normal[i : i + 1], ball(1.0)) for i in range(5)])
    torch.testing.assert_close(alone, step[:5], rtol=0, atol=1e-6)
