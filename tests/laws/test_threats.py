"""Laws of every threat in the folder: balls, and the sphere of each ball.

The file names no norm. What a law needs to know it asks the threat, or counts by brute force.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from frenemy.catalog import catalog
from frenemy.errors import ThreatError
from frenemy.rng import Key
from frenemy.threats.threat import Threat, radii

Maker: TypeAlias = Callable[..., Threat]
Sketch: TypeAlias = tuple[str, tuple[int, ...], torch.dtype, int, list[float]]


def _makers() -> dict[str, Maker]:
    parts = {name: part.load() for name, part in catalog("threats").items()}
    parts = {name: part for name, part in parts.items() if not hasattr(part, "count")}
    sphere = parts.pop("sphere")

    def around(ball: Any) -> Maker:
        return lambda *args, **settings: sphere(ball(*args, **settings))

    return parts | {f"sphere-{name}": around(ball) for name, ball in parts.items() if name not in COUNTS}


COUNTS = [name for name, part in catalog("threats").items() if getattr(part.load(), "order", 1.0) == 0.0]
"""Sets of so many coordinates: no norm, since twice a change counts as much, so they have no sphere and no dual."""
MAKERS = _makers()
BALLS = [name for name in MAKERS if not name.startswith("sphere")]
NORMS = [name for name in MAKERS if name not in COUNTS]
SHAPES = [(1,), (5,), (3, 2), (1, 4, 3)]
BOXES = ["unit", "wide", "infinite", "features"]
every = pytest.mark.parametrize("name", MAKERS)
every_ball = pytest.mark.parametrize("name", BALLS)
every_norm = pytest.mark.parametrize("name", NORMS)


@dataclass(frozen=True)
class Scene:
    """Origins in a box, points near and far, one size a row."""

    low: float | Tensor
    high: float | Tensor
    origin: Tensor
    x: Tensor
    eps: Tensor
    index: Tensor
    key: Key

    def threat(self, name: str) -> Threat:
        return MAKERS[name](self.eps, low=self.low, high=self.high)


def _box(kind: str, shape: tuple[int, ...]) -> tuple[float | Tensor, float | Tensor]:
    if kind == "features":
        step = torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)
        low = torch.where(step % 3 == 2, -math.inf, -1 - step / 4)
        return low, torch.where(step % 4 == 3, math.inf, 0.5 + step / 2)
    return {"unit": (0.0, 1.0), "wide": (-2.5, 3.0), "infinite": (-math.inf, math.inf)}[kind]


def _scene(kind: str, shape: tuple[int, ...], dtype: torch.dtype, seed: int, eps: list[float]) -> Scene:
    key, index = Key(seed), torch.arange(7, 7 + len(eps))
    low, high = _box(kind, shape)
    floor = torch.as_tensor(low, dtype=dtype).clamp(min=-2)
    ceiling = torch.as_tensor(high, dtype=dtype).clamp(max=4)
    share = (key.fold("origin").uniform(index, shape, dtype) * 1.6 - 0.3).clamp(0, 1)
    origin = torch.minimum(floor + share * (ceiling - floor), ceiling)
    far = 10.0 ** (6 * key.fold("far").uniform(index, (), dtype) - 4)
    far = torch.where(index == 7, 0, far).reshape(-1, *(1,) * len(shape))
    x = origin + far * key.fold("x").normal(index, shape, dtype)
    return Scene(low, high, origin, x, torch.tensor(eps, dtype=dtype), index, key)


_sizes = st.floats(0, 4, width=32, allow_subnormal=False) | st.sampled_from([0.0, 1e-6, 8 / 255, 1.0])
sketches = st.tuples(
    st.sampled_from(BOXES),
    st.sampled_from(SHAPES),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 2**32),
    st.lists(_sizes, min_size=1, max_size=4),
)
law = settings(max_examples=30, deadline=None)


def _close(a: Tensor, b: Tensor, near: float = 2e-6) -> bool:
    return bool(((a - b).abs() <= near * (1 + b.abs())).all())


@every
@law
@given(sketch=sketches)
def test_retract_lands_in_the_set_of_every_row_that_has_one(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name)
    back = threat.retract(scene.x, scene.origin, scene.eps)
    there = threat.contains(back, scene.origin, scene.eps)
    assert bool((there | threat.empty(scene.origin, scene.eps)).all())
    assert bool((back >= torch.as_tensor(scene.low)).all())
    assert bool((back <= torch.as_tensor(scene.high)).all())


@every
@law
@given(sketch=sketches)
def test_retract_twice_is_retract_once(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name)
    once = threat.retract(scene.x, scene.origin, scene.eps)
    twice = threat.retract(once, scene.origin, scene.eps)
    some = ~threat.empty(scene.origin, scene.eps)
    assert _close(twice[some], once[some])


@every
@law
@given(sketch=sketches)
def test_points_of_the_set_stay_where_they_are(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name)
    some = ~threat.empty(scene.origin, scene.eps)
    drawn = threat.sample(scene.origin, scene.index, scene.key, scene.eps)
    assert _close(threat.retract(drawn, scene.origin, scene.eps)[some], drawn[some])


@every_ball
@law
@given(sketch=sketches)
def test_points_well_inside_a_ball_stay_bit_for_bit(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name)
    drawn = threat.sample(scene.origin, scene.index, scene.key, scene.eps / 2)
    within = threat.norm(drawn - scene.origin) <= 0.75 * scene.eps
    kept = threat.retract(drawn, scene.origin, scene.eps)
    assert torch.equal(kept[within], drawn[within])


@every
@law
@given(sketch=sketches)
def test_size_zero_gives_the_origin_bit_for_bit(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    none = torch.zeros_like(scene.eps)
    threat = scene.threat(name).at(0.0)
    assert torch.equal(threat.retract(scene.x, scene.origin, none), scene.origin)
    assert torch.equal(threat.sample(scene.origin, scene.index, scene.key, none), scene.origin)
    assert not bool(threat.empty(scene.origin, none).any())
    assert bool(threat.contains(scene.origin, scene.origin, none).all())


@every
@law
@given(sketch=sketches)
def test_samples_lie_in_the_set_and_do_not_see_their_neighbours(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name)
    drawn = threat.sample(scene.origin, scene.index, scene.key, scene.eps)
    there = threat.contains(drawn, scene.origin, scene.eps)
    assert bool((there | threat.empty(scene.origin, scene.eps)).all())
    for row in range(len(drawn)):
        one = slice(row, row + 1)
        alone = threat.sample(scene.origin[one], scene.index[one], scene.key, scene.eps[one])
        assert _close(alone, drawn[one])


@every
@law
@given(sketch=sketches)
def test_sizes_a_row_act_row_by_row(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name)
    together = threat.retract(scene.x, scene.origin, radii(threat.eps, scene.x))
    empty = threat.empty(scene.origin, scene.eps)
    for row in range(len(together)):
        one = slice(row, row + 1)
        alone = threat.at(float(scene.eps[row]))
        size = radii(alone.eps, scene.x[one])
        assert _close(alone.retract(scene.x[one], scene.origin[one], size), together[one])
        assert torch.equal(alone.empty(scene.origin[one], size), empty[one])


@every_norm
@law
@given(sketch=sketches)
def test_a_step_has_its_size_and_goes_up(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name)
    gradient = scene.key.fold("gradient").normal(scene.index, tuple(scene.x.shape[1:]), scene.x.dtype)
    step = threat.move(scene.origin, gradient, scene.eps) - scene.origin
    rounding = 1e-6 * (1 + threat.norm(scene.origin))
    assert bool((threat.norm(step) <= scene.eps + rounding).all())
    assert bool(((gradient * step).flatten(1).sum(1) >= -rounding).all())
    still = threat.move(scene.x, torch.zeros_like(gradient), scene.eps)
    assert torch.equal(still, scene.x)


@every
@law
@given(sketch=sketches, power=st.integers(-90, 90))
def test_steepest_attains_the_dual_norm_at_any_scale(name: str, sketch: Sketch, power: int) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name)
    gradient = scene.key.fold("gradient").normal(scene.index, tuple(scene.x.shape[1:]), scene.x.dtype)
    direction = threat.steepest(gradient)
    assert bool((threat.norm(direction) <= 1 + 1e-6).all())
    gain = (gradient * direction).flatten(1).sum(1)
    torch.testing.assert_close(gain, threat.dual_norm(gradient), rtol=1e-5, atol=1e-7)
    scaled = gradient * 2.0**power
    assert torch.equal(threat.steepest(scaled), direction)
    torch.testing.assert_close(threat.dual_norm(scaled), threat.dual_norm(gradient) * 2.0**power)
    assert torch.equal(threat.steepest(torch.zeros_like(gradient)), torch.zeros_like(gradient))


@every_norm
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dual_norm_is_the_best_of_a_net_of_the_sphere(name: str, dtype: torch.dtype) -> None:
    threat, rows = MAKERS[name](1.0), torch.arange(40)
    gradient = Key(1).normal(rows, (3,), dtype)
    signs = torch.tensor(list(itertools.product([-1.0, 0.0, 1.0], repeat=3)), dtype=dtype)
    net = torch.cat([Key(2).normal(torch.arange(20_000), (3,), dtype), signs[signs.abs().sum(1) > 0]])
    net = net / threat.norm(net)[:, None]
    best = (gradient @ net.T).amax(1)
    dual = threat.dual_norm(gradient)
    assert bool((best <= dual * (1 + 1e-5)).all())
    assert bool((best >= dual * 0.99).all())


@every_norm
@law
@given(sketch=sketches)
def test_no_product_exceeds_norm_times_dual_norm(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name)
    gradient = scene.key.fold("gradient").normal(scene.index, tuple(scene.x.shape[1:]), scene.x.dtype)
    product = (gradient * scene.x).flatten(1).sum(1)
    assert bool((product <= threat.norm(scene.x) * threat.dual_norm(gradient) * (1 + 1e-5)).all())


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("box", BOXES)
def test_kind_shape_and_layout_are_kept_and_nothing_is_written(
    name: str, dtype: torch.dtype, box: str
) -> None:
    scene = _scene(box, (2, 4, 3), dtype, 5, [0.3, 1.0, 0.05])
    threat = scene.threat(name)
    x, origin = (t.to(memory_format=torch.channels_last) for t in (scene.x, scene.origin))
    gradient = Key(3).normal(scene.index, (2, 4, 3), dtype)
    given_ = (x, origin, gradient, scene.eps, scene.index)
    before = [t.clone() for t in given_]
    state = (torch.get_rng_state(), str(np.random.get_state()))  # noqa: NPY002
    points = [
        threat.retract(x, origin, scene.eps),
        threat.move(x, gradient, scene.eps),
        threat.sample(origin, scene.index, scene.key, scene.eps),
        threat.steepest(gradient),
    ]
    numbers = [threat.norm(x), threat.dual_norm(gradient)]
    answers = [threat.contains(x, origin, scene.eps), threat.empty(origin, scene.eps)]
    assert all(p.shape == x.shape and p.dtype == dtype and p.device == x.device for p in points)
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in points[:2])
    assert all(n.shape == (3,) and n.dtype == dtype for n in numbers)
    assert all(a.shape == (3,) and a.dtype == torch.bool for a in answers)
    assert all(torch.equal(a, b) for a, b in zip(given_, before))
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == str(np.random.get_state())  # noqa: NPY002


@every
@pytest.mark.parametrize("shape", SHAPES)
def test_no_rows_are_no_trouble(name: str, shape: tuple[int, ...]) -> None:
    threat, none = MAKERS[name](0.5), torch.zeros(0, *shape)
    eps, index = radii(0.5, none), torch.arange(0)
    assert threat.retract(none, none, eps).shape == none.shape
    assert threat.move(none, none, eps).shape == none.shape
    assert threat.sample(none, index, Key(0), eps).shape == none.shape
    assert threat.contains(none, none, eps).shape == threat.empty(none, eps).shape == (0,)


@every
@law
@given(sketch=sketches)
def test_points_outside_are_told(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name).at(scene.eps + 0.01)
    eps = scene.eps + 0.01
    back = threat.retract(scene.x, scene.origin, eps)
    beyond = scene.origin + (back - scene.origin) * 1.01
    moved = threat.norm(beyond - scene.origin) > eps * 1.005
    assert not bool((threat.contains(beyond, scene.origin, eps) & moved).any())
    assert not bool(threat.contains(back * math.nan, scene.origin, eps).any())
    for end, away in ((scene.low, -1e-3), (scene.high, 1e-3)):
        past = (torch.as_tensor(end, dtype=back.dtype) + away).expand_as(back)
        out = torch.where(past.isfinite(), past, back)
        left = past.isfinite().flatten(1).any(1)
        assert not bool((threat.contains(out, scene.origin, eps) & left).any())


@every_ball
@law
@given(sketch=sketches)
def test_a_ball_around_a_point_of_the_box_is_never_empty(name: str, sketch: Sketch) -> None:
    scene = _scene(*sketch)
    threat = scene.threat(name)
    assert not bool(threat.empty(scene.origin, scene.eps).any())
    assert bool(threat.contains(scene.origin, scene.origin, scene.eps).all())


@pytest.mark.parametrize("name", [ball for ball in BALLS if ball not in COUNTS])
def test_a_ball_that_does_not_touch_its_box_is_empty(name: str) -> None:
    origin = torch.tensor([[1.5, 0.5], [1.5, 0.5]])
    assert MAKERS[name](0.4).empty(origin, torch.tensor([0.4, 0.6])).tolist() == [True, False]


@every
def test_another_size_keeps_the_rest(name: str) -> None:
    low, high = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 2.0])
    threat = MAKERS[name](0.5, low=low, high=high)
    other = threat.at(0.25)
    assert isinstance(threat, Threat)
    assert type(other) is type(threat)
    assert (other.eps, other.low is low, other.high is high) == (0.25, True, True)


@every
@pytest.mark.parametrize(
    "settings",
    [
        {"eps": -0.1},
        {"eps": math.nan},
        {"eps": math.inf},
        {"eps": torch.tensor([0.1, -0.1])},
        {"eps": 0.1, "low": 1.0},
        {"eps": 0.1, "low": math.nan},
        {"eps": 0.1, "high": torch.tensor([1.0, 0.0])},
        {"eps": 0.1, "low": torch.zeros(2), "high": torch.ones(3)},
    ],
)
def test_sizes_and_boxes_that_make_no_set_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ThreatError, match="expected"):
        MAKERS[name](**settings)
