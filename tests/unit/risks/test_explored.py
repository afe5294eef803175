"""A learned region against the exact one."""

from __future__ import annotations

import math

import pytest
import torch

from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.risks.explored import learned
from frenemy.risks.genuine import Nearest
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf


def test_on_a_line_it_is_the_exact_region_but_for_its_border() -> None:
    left = torch.linspace(-2, -1, 30)
    x = torch.cat([left, -left])[:, None]
    examples = Examples("line", x, (x[:, 0] > 0).long(), ("-1", "1"), -math.inf, math.inf)
    net = learned(examples, L2(0.0, -math.inf, math.inf), 0.6, key=Key(0))
    points = torch.linspace(-2.9, 2.9, 400)[:, None]
    exact = Nearest(x, 2.0, 0.6)(points)[:, 0]
    clear = exact.abs() > 0.05
    with torch.no_grad():
        assert bool(((net(points)[:, 0] > 0) == (exact > 0))[clear].all())


def test_among_clusters_in_the_plane_it_is_right_on_most_points() -> None:
    x = Key(1).uniform(torch.arange(12), (2,)) * 0.9 + 0.05
    examples = Examples("dots", x, torch.arange(12) % 2, ("a", "b"))
    net = learned(examples, Linf(0.0), 0.12, key=Key(0), steps=800)
    points = Key(2).uniform(torch.arange(2_000), (2,))
    exact = Nearest(x, math.inf, 0.12)(points)[:, 0] >= 0
    near = Nearest(x, math.inf, 0.18)(points)[:, 0] < 0
    with torch.no_grad():
        right = (net(points)[:, 0] > 0) == exact
    assert float(right[near].double().mean()) > 0.85


def test_the_same_key_learns_the_same_net() -> None:
    examples = Examples("two", torch.tensor([[0.2], [0.8]]), torch.tensor([0, 1]), ("a", "b"))
    one, same, other = (learned(examples, L2(0.0), 0.1, key=Key(k), steps=5) for k in (0, 0, 1))
    points = torch.linspace(0, 1, 9)[:, None]
    assert torch.equal(one(points), same(points))
    assert not torch.equal(one(points), other(points))


def test_nothing_is_explored_at_nought() -> None:
    examples = Examples("one", torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), ("a", "b"))
    with pytest.raises(UsageError, match="expected an eps above 0"):
        learned(examples, L2(0.0), 0.0, key=Key(0))
