"""Searches by labels alone: their parts against closed forms, and what they do where there is little to find."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.fft import dctn
from scipy.optimize import minimize
from tests.oracles import linear_net
from torch import Tensor

from frenemy.attacks.attack import Attack, Status
from frenemy.attacks.border import bisected
from frenemy.attacks.boundary import Boundary
from frenemy.attacks.geoda import GeoDA
from frenemy.attacks.guessingsmart import GuessingSmart
from frenemy.attacks.hopskipjump import HopSkipJump, _nearest
from frenemy.attacks.opt import OPT
from frenemy.attacks.others import Others
from frenemy.attacks.ray import Ray, aim, distances, signs
from frenemy.attacks.rays import RayS
from frenemy.attacks.signopt import SignOPT
from frenemy.attacks.site import Site
from frenemy.attacks.svmopt import SVMOPT, separating
from frenemy.attacks.walk import Answer, Ask
from frenemy.attacks.waves import smooth
from frenemy.attacks.zosignsgd import ZOSignSGD
from frenemy.data.batch import Batch
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf

WALKERS: list[Attack] = [
    HopSkipJump(queries=300),
    GeoDA(queries=300),
    OPT(queries=300),
    SignOPT(queries=300),
    SVMOPT(queries=300),
    ZOSignSGD(queries=300, oracle=False),
    Boundary(queries=300),
    GuessingSmart(queries=300),
]
named = pytest.mark.parametrize("attack", WALKERS, ids=lambda attack: type(attack).__name__)


def site(
    features: int, order: float = 2.0, bounded: bool = True, shape: tuple[int, ...] | None = None
) -> Site:
    x = Key(3).uniform(torch.tensor([0]), shape or (features,), torch.float64)[0]
    threat = (L2 if order == 2 else Linf)(
        9.0, low=0.0 if bounded else -math.inf, high=1.0 if bounded else math.inf
    )
    return Site.of(x, 0, threat, 9.0, Key(1), x.flatten()[None][:0])


def played(leg: Generator[Ask, Answer, Any], wins: Any) -> tuple[Any, int]:
    """Answer every question by `wins`; give what comes back, and how many points were asked about."""
    answer, count = None, 0
    while True:
        try:
            _, points = leg.send(answer)  # type: ignore[arg-type]
        except StopIteration as end:
            return end.value, count
        answer, count = Answer(wins(points), torch.full((len(points),), math.nan)), count + len(points)


@pytest.mark.parametrize("attack", [OPT(), SignOPT(), SVMOPT(), HopSkipJump(queries=4000)], ids=repr)
def test_within_two_per_cent_of_the_optimum_of_a_linear_model_in_4000_queries(attack: Attack) -> None:
    model, index = linear_net(20, 2, Key(11)), torch.arange(12)
    x = 2 * Key(5).normal(index, (20,))
    with torch.no_grad():
        logits = model(x)
    y, weight = logits.argmax(1), model.layer.weight.detach()
    least = (logits[:, 0] - logits[:, 1]).abs() / (weight[0] - weight[1]).norm()
    threat = L2(1e3, low=-math.inf, high=math.inf)
    found = attack(model, Batch(x, y, index), threat=threat, objective=Untargeted(), key=Key(2))
    assert int(found.queries.max()) <= 4000
    assert bool(((found.x - x).norm(dim=1) <= 1.02 * least).all())


def cornered() -> tuple[Tensor, Tensor, float, Tensor]:
    """A plane, inputs of which four of five features lie at an end of the box, and the nearest points of the plane."""
    index, weight = torch.arange(2), Key(7).normal(torch.tensor([0]), (100,))[0] + 0.15
    x = Key(8).uniform(index, (100,)).where(Key(9).uniform(index, (100,)) > 0.8, 0.0)
    level, nearest = float((x @ weight).max()) + 6.0, []
    for row in x:
        low, high = 0.0, 100.0
        for _ in range(60):
            middle = (low + high) / 2
            short = float((row + middle * weight).clamp(0, 1) @ weight) < level
            low, high = (middle, high) if short else (low, middle)
        nearest.append((row + high * weight).clamp(0, 1))
    return weight, x, level, torch.stack(nearest)


CLOSE = [
    (SignOPT(queries=1800), 1.05),
    pytest.param(SVMOPT(queries=1800), 1.035, marks=pytest.mark.slow),
    pytest.param(ZOSignSGD(queries=1800), 1.06, marks=pytest.mark.slow),
    pytest.param(OPT(queries=1800), 1.25, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("attack", "share"), CLOSE, ids=lambda value: repr(value)[:8])
def test_searches_come_near_where_the_box_cuts_most_directions(attack: Attack, share: float) -> None:
    weight, x, level, nearest = cornered()

    def plane(rows: Tensor) -> Tensor:
        height = rows @ weight - level
        return torch.stack([-height, height], 1)

    batch = Batch(x, torch.zeros(2).long(), torch.arange(2))
    found = attack(plane, batch, threat=L2(99.0), objective=Untargeted(), key=Key(2))
    far, least = (found.x - x).norm(dim=1), (nearest - x).norm(dim=1)
    assert bool((far >= least * (1 - 1e-4)).all())
    assert bool((far <= least * share).all())


def test_answers_are_halved_at_the_nearest_point_where_the_box_cuts_directions() -> None:
    weight, x, level, nearest = cornered()
    here = Site.of(x[0], 0, L2(99.0), 99.0, Key(1), x[:0])
    change = nearest[0] - x[0]
    ray = Ray(change / change.norm(), float(change.norm()))
    for beta in (0.0003, 0.001):
        (won, turns), count = played(signs(here, ray, beta, 1, 400), lambda p: p @ weight > level)
        assert 0.3 < float((won > 0).double().mean()) < 0.7
        assert float(turns.mean(0).abs().max()) < 1e-4
        assert count <= 400 + 12


def test_points_lie_as_far_as_they_are_aimed() -> None:
    for order in (2.0, math.inf):
        here = site(30, order, bounded=False)
        ways = here.noise("way", 8)
        ways = ways / here.norm(ways)[:, None]
        torch.testing.assert_close(here.norm(aim(here, ways, 0.7) - here.x), torch.full((8,), 0.7).double())
    here = site(30)
    points = aim(here, here.noise("way", 8), 0.4)
    assert torch.equal(points, here.hold(points))
    far = here.norm(points - here.x)
    assert bool((far <= 0.4 + 1e-9).all())
    assert bool((far >= 0.4 * 0.97).all())


def test_distances_are_those_of_a_plane_and_cost_few_questions() -> None:
    here = site(12, bounded=False)
    normal = torch.ones(12, dtype=torch.float64) / math.sqrt(12)
    ways = normal + 0.1 * here.noise("way", 20)
    ways = ways / ways.norm(dim=1, keepdim=True)
    exact = 2.0 / (ways @ normal)
    got, count = played(distances(here, ways, 2.1, 1e-6), lambda p: (p - here.x) @ normal > 2.0)
    assert bool((got >= exact).all())
    torch.testing.assert_close(got, exact, rtol=1e-6, atol=0)
    assert count <= 20 * 26
    for first in (0.01, 1.0, 3.0):
        got, count = played(distances(here, ways, 90.0, 1e-6, first), lambda p: (p - here.x) @ normal > 2.0)
        torch.testing.assert_close(got, exact, rtol=1e-6, atol=0)
        assert count <= 20 * 40
    lost, _ = played(distances(here, ways, 2.1, 1e-6), lambda p: torch.zeros(len(p), dtype=torch.bool))
    torch.testing.assert_close(lost, torch.full((20,), 4 * 2.1).double())


@given(
    border=st.floats(0.0, 1.0),
    guess=st.none() | st.floats(1e-6, 1 - 1e-6),
    tolerance=st.sampled_from([0.1, 1e-3, 2.0**-18]),
    order=st.sampled_from([2.0, math.inf]),
)
def test_bisection_finds_a_border_from_any_guess(
    border: float, guess: float | None, tolerance: float, order: float
) -> None:
    here = site(6, order)
    far = torch.ones(6, dtype=torch.float64)
    way = float(here.norm(far - here.x))
    point, count = played(
        bisected(here, far, tolerance, guess), lambda p: here.norm(p - here.x) >= border * way - 1e-12
    )
    share = float(here.norm(point - here.x)) / way
    assert border - 1e-9 <= share <= border + tolerance + 1e-9
    halving = math.ceil(math.log2(1 / tolerance))
    if guess is None:
        assert count == halving
    else:
        reach = max(4 * tolerance, min(guess, 1 - guess) / 4)
        first = max(guess - reach / 2, guess / 2)
        assert count <= halving + math.log2(1 / min(reach, 1.0)) + 2
        if first + 1e-9 < border < first + reach - 1e-9 and first + reach < (first + 1) / 2:
            assert count <= 3 + math.floor(math.log2(reach / tolerance))


def test_a_border_that_touches_the_input_ends_the_search() -> None:
    def touched(x: Tensor) -> Tensor:
        lit = (x > 0).any(1).float()
        return torch.stack([1 - lit, lit], 1)

    x = torch.zeros(3, 6)
    batch = Batch(x, torch.zeros(3).long(), torch.arange(3))
    for threat in (L2(2.0), Linf(1.0)):
        found = HopSkipJump(queries=3000)(touched, batch, threat=threat, objective=Untargeted(), key=Key(0))
        assert bool(found.success.all())
        assert float(found.x.norm(dim=1).max()) < 1e-15
        assert bool((found.queries < 3000).all())


@given(gain=st.floats(0.0, 3.0), along=st.floats(-0.9, 0.9))
def test_the_step_before_a_plane_is_the_one_that_ends_nearest(gain: float, along: float) -> None:
    sizes = torch.linspace(0.05, 5.0, 2000, dtype=torch.float64)

    def ends(size: Tensor) -> Tensor:
        return (1 + 2 * size * along + size.square()).sqrt() / (1 + size * gain)

    size = torch.tensor(_nearest(gain, along), dtype=torch.float64)
    assert float(ends(size.clamp(0.05, 5.0))) <= float(ends(sizes).min()) + 1e-9


def test_the_separating_slope_is_that_of_a_quadratic_program() -> None:
    rows = Key(4).normal(torch.arange(8), (20,), torch.float64)
    z = separating(rows, ridge=0.0)
    solved = minimize(
        lambda v: float(v @ v),
        rows.sum(0).numpy(),
        jac=lambda v: 2 * v,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda v: rows.numpy() @ v - 1, "jac": lambda v: rows.numpy()},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert solved.success
    np.testing.assert_allclose(z.numpy(), solved.x, rtol=1e-5, atol=1e-7)
    assert bool((rows @ z >= 1 - 1e-6).all())


def test_smooth_noise_has_low_frequencies_only_and_unit_variance() -> None:
    here = site(0, shape=(2, 12, 10))
    noise = smooth(here, "wave", 400, 0.5)
    assert noise.shape == (400, 240)
    assert float(noise.square().mean()) == pytest.approx(1.0, abs=0.05)
    spectrum = dctn(noise.reshape(400, 2, 12, 10).numpy(), axes=(2, 3), norm="ortho")
    assert np.abs(spectrum[:, :, 6:]).max() < 1e-9
    assert np.abs(spectrum[:, :, :, 5:]).max() < 1e-9
    assert np.abs(spectrum[:, :, :6, :5]).mean() > 0.5
    assert torch.equal(smooth(here, "wave", 3, 1.0), here.noise("wave", 3))


def shy(x: Tensor) -> Tensor:
    """Class 1 in a small corner alone."""
    inside = (x > 0.9).all(1)
    return torch.stack([~inside, inside], 1).double()


@named
def test_given_examples_lead_where_random_points_do_not(attack: Attack) -> None:
    batch = Batch(
        Key(0).uniform(torch.arange(3), (12,), torch.float64) * 0.8, torch.ones(3).long(), torch.arange(3)
    )
    corner = torch.full((2, 12), 0.95, dtype=torch.float64)
    wish, threat = Hypocritical(), L2(9.0)
    lost = attack(shy, batch, threat=threat, objective=wish, key=Key(0))
    assert set(lost.status.tolist()) <= {Status.NOT_FOUND, Status.OUT_OF_BUDGET}
    assert bool((lost.queries <= 300).all())
    assert torch.equal(lost.x, batch.x)
    others = Others(torch.cat([corner, batch.x]), torch.tensor([1, 1, 0, 0, 0]))
    led = dataclasses.replace(attack, others=others)  # type: ignore[type-var]
    found = led(shy, batch, threat=threat, objective=wish, key=Key(0))
    assert bool(found.success.all())
    assert bool((found.x > 0.9).all())
    assert bool(((found.x - batch.x).norm(dim=1) <= (corner[:1] - batch.x).norm(dim=1) + 1e-9).all())


@named
def test_a_budget_below_the_first_search_is_kept_and_said(attack: Attack) -> None:
    batch = Batch(torch.full((2, 12), 0.5, dtype=torch.float64), torch.zeros(2).long(), torch.arange(2))
    for queries in (1, 2, 5):
        small = dataclasses.replace(attack, queries=queries)  # type: ignore[type-var]
        found = small(shy, batch, threat=L2(9.0), objective=Untargeted(), key=Key(0))
        assert found.queries.tolist() == [queries] * 2
        assert found.status.tolist() == [Status.OUT_OF_BUDGET if queries > 1 else Status.NOT_FOUND] * 2


def test_rays_flips_the_signs_that_a_linear_model_asks_for() -> None:
    model = linear_net(33, 2, Key(8))
    x = Key(9).uniform(torch.arange(4), (33,))
    y = model(x).argmax(1)
    threat = Linf(50.0, low=-math.inf, high=math.inf)
    found = RayS()(model, Batch(x, y, torch.arange(4)), threat=threat, objective=Untargeted(), key=Key(0))
    weight = model.layer.weight.detach()
    for row in range(4):
        slope = weight[1 - y[row]] - weight[y[row]]
        assert torch.equal((found.x[row] - x[row]).sign(), slope.sign())
    assert bool((found.queries < 1000).all())
