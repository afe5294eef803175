"""L0: the nearest point and the best step by going through all subsets, the uniform law of samples, whole counts."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from frenemy.errors import ThreatError
from frenemy.rng import Key
from frenemy.threats.l0 import L0
from frenemy.threats.sphere import Sphere

FEATURES = 5
scenes = st.tuples(st.integers(0, 2**32), st.integers(0, FEATURES), st.sampled_from([0.3, 1.0, 4.0]))
law = settings(max_examples=40, deadline=None)


def masks(count: int) -> Tensor:
    """All choices of at most `count` of the features."""
    every = torch.tensor(list(itertools.product([False, True], repeat=FEATURES)))
    return every[every.sum(1) <= count]


def drawn(seed: int, spread: float, outside: float = 0.0) -> tuple[Tensor, Tensor]:
    """Origins in the unit cube, or as far outside it, and points about them."""
    key, index = Key(seed), torch.arange(6)
    origin = key.fold("origin").uniform(index, (FEATURES,), torch.float64) * (1 + 2 * outside) - outside
    return origin, origin + spread * key.fold("x").normal(index, (FEATURES,), torch.float64)


@law
@given(scene=scenes, outside=st.sampled_from([0.0, 0.1]))
def test_retraction_is_the_nearest_of_all_points_with_so_few_changes(
    scene: tuple[int, int, float], outside: float
) -> None:
    seed, count, spread = scene
    origin, x = drawn(seed, spread, outside)
    threat, eps = L0(float(count)), torch.full((6,), float(count), dtype=torch.float64)
    back = threat.retract(x, origin, eps)
    for row in range(6):
        points = torch.where(masks(count), x[row].clamp(0, 1), origin[row])
        points = points[((points >= 0) & (points <= 1)).all(1)]
        assert bool(threat.empty(origin, eps)[row]) == (len(points) == 0)
        if len(points):
            least = (points - x[row]).norm(dim=1).min()
            torch.testing.assert_close((back[row] - x[row]).norm(), least)
            assert bool(threat.contains(back, origin, eps)[row])


@law
@given(scene=scenes)
def test_a_move_from_the_origin_is_the_best_change_of_a_linear_map(scene: tuple[int, int, float]) -> None:
    seed, count, spread = scene
    origin, x = drawn(seed, spread)
    gradient = x - origin
    eps = torch.full((6,), float(count), dtype=torch.float64)
    gain = (gradient * (L0(1.0).move(origin, gradient, eps) - origin)).sum(1)
    ends = torch.maximum(gradient * (1 - origin), -gradient * origin)
    best = (masks(count).double() @ ends.T).amax(0)
    torch.testing.assert_close(gain, best)


@pytest.mark.parametrize("box", [1.0, math.inf])
def test_samples_change_as_many_coordinates_as_they_may_and_each_as_often(box: float) -> None:
    rows, count = 4000, 2
    threat = L0(count, low=-box, high=box)
    origin = torch.full((rows, FEATURES), 0.25, dtype=torch.float64)
    x = threat.sample(origin, torch.arange(rows), Key(3), torch.full((rows,), 2.0, dtype=torch.float64))
    changed = x != origin
    assert bool((changed.sum(1) == count).all())
    for hits in changed.sum(0).tolist():
        assert stats.binomtest(hits, rows, count / FEATURES).pvalue > 1e-4
    spread = (1.25, 0.75) if math.isfinite(box) else (1.0, 1.0)
    share = (x - origin)[changed] / sum(spread) + spread[0] / sum(spread)
    assert stats.kstest(share.numpy(), "uniform").pvalue > 1e-4


@pytest.mark.parametrize(
    ("eps", "count"), [(0.0, 0), (0.9, 0), (1.0, 1), (2.9, 2), (0.29 * 100, 29), (0.1 * 3, 0), (30.0, 30)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sizes_are_whole_counts(eps: float, count: int, dtype: torch.dtype) -> None:
    origin, sizes = torch.zeros(1, 40, dtype=dtype), torch.full((1,), eps, dtype=dtype)
    threat = L0(eps)
    back = threat.retract(origin + 0.5, origin, sizes)
    assert int(threat.norm(back)) == count
    more = origin.clone()
    more[0, : count + 1] = 0.5
    assert bool(threat.contains(back, origin, sizes).all())
    assert not bool(threat.contains(more, origin, sizes).any())
    assert int(threat.norm(threat.sample(origin, torch.arange(1), Key(0), sizes))) == count


def test_a_step_changes_at_least_one_coordinate_and_only_upwards() -> None:
    x = torch.tensor([[0.5, 1.0, 0.0, 0.5]])
    gradient = torch.tensor([[1.0, 9.0, -9.0, -2.0]])
    threat = L0(1.0)
    assert threat.move(x, gradient, torch.tensor([0.1])).tolist() == [[0.5, 1.0, 0.0, 0.0]]
    assert threat.move(x, gradient, torch.tensor([2.0])).tolist() == [[1.0, 1.0, 0.0, 0.0]]
    assert threat.move(x, gradient, torch.tensor([4.0])).tolist() == [[1.0, 1.0, 0.0, 0.0]]
    assert torch.equal(threat.move(x, gradient, torch.tensor([0.0])), x)
    free = L0(1.0, low=-math.inf, high=math.inf)
    assert free.move(x, gradient, torch.tensor([1.0])).tolist() == [[0.5, 2.0, 0.0, 0.5]]


def test_the_smallest_change_counts_and_is_kept_or_taken_back_whole() -> None:
    origin = torch.zeros(2, 3)
    x = origin.clone()
    x[:, 1] = 1e-42
    threat = L0(1.0)
    assert threat.norm(x - origin).tolist() == [1.0, 1.0]
    back = threat.retract(x, origin, torch.tensor([0.0, 1.0]))
    assert torch.equal(back, torch.stack([origin[0], x[1]]))
    assert threat.contains(x, origin, torch.tensor([0.0, 1.0])).tolist() == [False, True]


def test_there_is_no_sphere_of_it() -> None:
    with pytest.raises(ThreatError, match="expected a ball of norm"):
        Sphere(L0(2.0))
