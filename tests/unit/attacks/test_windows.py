"""Windows and bumps: the paper's schedule and pattern, in pictures of any shape."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from frenemy.attacks.bumps import bump, pair, tiles
from frenemy.attacks.windows import Grid, Sizes


@pytest.mark.parametrize(
    ("queries", "halvings"),
    [(10, 0), (11, 1), (50, 1), (51, 2), (200, 2), (201, 3), (999, 3), (1001, 4), (8001, 8), (9999, 8)],
)
@pytest.mark.parametrize("scale", [1, 10])
def test_the_schedule_is_the_papers(queries: int, halvings: int, scale: int) -> None:
    sizes = Sizes(Grid(3, 32, 32), 0.8, 10_000 * scale)
    assert int(sizes.level(torch.tensor(queries * scale))) == halvings
    side = max(1, round(math.sqrt(0.8 / 2**halvings * 1024)))
    assert sizes.levels[halvings] == (side, side)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.01, 1.0), st.sampled_from([1, 3]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_windows_fit_and_shrink(height: int, width: int, p: float, least: int, odd: bool) -> None:
    levels = Sizes(Grid(1, height, width), p, 100, least, odd).levels
    assert all(1 <= a <= height and 1 <= b <= width for a, b in levels)
    assert levels == sorted(levels, reverse=True)
    assert all(min(a, b) >= min(least, height, width) for a, b in levels)
    area = levels[0][0] * levels[0][1]
    assert area >= min(p * height * width * 0.4, height * width)


def stacked(height: int, width: int, power: float) -> Tensor:
    """The paper's sum, read as rings laid on each other: a box of radius r about the centre adds (r + 1)^-power."""
    total = torch.zeros(height, width, dtype=torch.float64)
    for radius in range(max(height // 2, width // 2) + 1):
        for r in range(height):
            for c in range(width):
                if abs(r - height // 2) <= radius and abs(c - width // 2) <= radius:
                    total[r, c] += (radius + 1.0) ** -power
    return total


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1.0, 2.0]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_bumps_and_pairs_even_and_odd(height: int, width: int, order: float, across: bool) -> None:
    one = bump(height, width, order)
    rings = stacked(height, width, 2.0 if order == 2 else 4.0)
    torch.testing.assert_close(one, rings / torch.linalg.vector_norm(rings, order))
    both = pair(height, width, order, across)
    assert both.shape == (height, width)
    assert float(torch.linalg.vector_norm(both, order)) == pytest.approx(1.0)
    assert bool((both != 0).all())
    if height * width > 1:
        assert float(torch.linalg.vector_norm(both.clamp(min=0), order)) == pytest.approx(2 ** (-1 / order))
    pattern, number = tiles(height, width, order)
    assert int((pattern != 0).sum()) >= height * width * 0.3
    norms = torch.zeros(int(number.max()) + 1, dtype=torch.float64)
    norms.index_add_(0, number.flatten(), pattern.flatten().abs() ** order)
    torch.testing.assert_close(norms, torch.ones_like(norms))
