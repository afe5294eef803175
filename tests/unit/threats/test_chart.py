"""The chart of a box: onto it, back from it, and with the slope that finite differences give."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from frenemy.rng import Key
from frenemy.threats.chart import Chart, chart
from frenemy.threats.l2 import L2

LOW = torch.tensor([-math.inf, 0.0, -2.0, -math.inf, 5.0], dtype=torch.float64)
HIGH = torch.tensor([math.inf, 1.0, 255.0, 3.0, math.inf], dtype=torch.float64)
BOXES: list[tuple[float | Tensor, float | Tensor]] = [
    (0.0, 1.0),
    (-1.0, 3.0),
    (-math.inf, math.inf),
    (LOW, HIGH),
]
boxes = pytest.mark.parametrize(("low", "high"), BOXES, ids=["unit", "wide", "none", "features"])


def points(low: float | Tensor, high: float | Tensor) -> tuple[Chart, Tensor]:
    """A chart and points of its box, some of them at the ends."""
    floor = torch.as_tensor(low, dtype=torch.float64).clamp(min=-9).expand(5)
    ceiling = torch.as_tensor(high, dtype=torch.float64).clamp(max=9).expand(5)
    share = Key(1).uniform(torch.arange(30), (5,), torch.float64)
    share[:10] = (share[:10] > 0.5).double()
    x = floor + share * (ceiling - floor)
    return chart(L2(1.0, low, high), x), x


@boxes
def test_there_and_back_is_the_same_point(low: float | Tensor, high: float | Tensor) -> None:
    room, x = points(low, high)
    w = room.enter(x)
    assert bool(w.isfinite().all())
    torch.testing.assert_close(room.leave(w.clone()), x, rtol=0, atol=1e-9)


@boxes
def test_the_rate_is_the_slope(low: float | Tensor, high: float | Tensor) -> None:
    """Where the points just beside are still inside the box; at its ends the slope is not lost."""
    room, x = points(low, high)
    w, step = room.enter(x), 1e-5
    up, down = room.leave(w + step), room.leave(w - step)
    sides = (up > x).double() + (down < x).double()
    slope = (up - down) / (sides.clamp(min=1) * step)
    torch.testing.assert_close(room.rate(x), slope, rtol=1e-4, atol=1e-6)
    assert bool((sides >= 1).all())
    assert bool((room.rate(x) >= 0.15 * room.rate(x).amax(0)).all())


@boxes
def test_every_coordinate_leads_into_the_box(low: float | Tensor, high: float | Tensor) -> None:
    room, _ = points(low, high)
    w = 100 * Key(2).normal(torch.arange(50), (5,), torch.float64)
    x = room.leave(w)
    assert bool(((x >= low) & (x <= high)).all())
    torch.testing.assert_close(room.leave(w.clone()), x, rtol=0, atol=0)
    torch.testing.assert_close(room.enter(x), w, rtol=0, atol=1e-9)


def test_it_is_the_tanh_of_the_paper_but_for_its_ends() -> None:
    """The paper: `x = (tanh u + 1) / 2` on [0, 1]; here `u = w / 2` and the curve is 1 / 0.9 times as tall."""
    room = chart(L2(1.0), torch.zeros(1, 1, dtype=torch.float64))
    w = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
    torch.testing.assert_close(room.leave(w.clone()), 0.5 + (w / 2).tanh() / 2 / 0.9, rtol=0, atol=1e-12)
