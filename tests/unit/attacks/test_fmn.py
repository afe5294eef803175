"""FMN: its points on a line by hand, no push outwards, the fewest coordinates of a linear map."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracles import linear_net, net
from tests.scenes import around, batch_of, labelled, size_of
from torch import Tensor

from frenemy.attacks.attack import Status
from frenemy.attacks.fmn import FMN
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.counted import Counted
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l0 import L0
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

balls = pytest.mark.parametrize("kind", ["l1", "l2", "linf"])


def cosine(k: int, steps: int, first: float, last: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * k / steps)) / 2


def test_on_a_line_every_point_is_where_a_scalar_loop_puts_it() -> None:
    """Class 1 stands above class 0 beyond 0, by the cube of the distance: the foretold border is never the true one."""
    asked: list[float] = []

    def model(x: Tensor) -> Tensor:
        asked.append(float(x.detach()))
        return torch.cat([-(x**3), x**3], 1)

    origin, steps = -0.8, 40
    batch = Batch(torch.tensor([[origin]], dtype=torch.float64), torch.tensor([0]), torch.arange(1))
    found = FMN(steps=steps)(
        model, batch, threat=L2(5.0, -9.0, 9.0), objective=Untargeted(Margin()), key=Key(0)
    )
    delta, ball, nearest, points = 0.0, 0.0, math.inf, []
    for k in range(steps + 1):
        x = origin + delta
        points.append(x)
        gamma, size = cosine(k, steps, 0.05, 0.001), cosine(k, steps, 1.0, 0.01)
        if x > 0:
            nearest = min(nearest, abs(delta))
            ball = min(ball * (1 - gamma), nearest)
        elif nearest < math.inf:
            ball *= 1 + gamma
        else:
            ball = max(1.05 * (abs(delta) + abs(2 * x**3) / (6 * x * x)), 1e-6)
        ball = min(ball, 5.0)
        delta += max(size, ball) if k == 0 else size
        delta = max(-ball, min(ball, delta))
    torch.testing.assert_close(torch.tensor(asked[1:]), torch.tensor(points))
    torch.testing.assert_close(found.x, torch.tensor([[origin + nearest]], dtype=torch.float64))


@balls
def test_the_projection_never_pushes_a_point_outwards(kind: str) -> None:
    """A peer scaled to the sphere of a ball that had grown: then the norm grows by more than the step (bug 11)."""
    model, asked, step = net(6, 3, Key(4)), [], 1e-3

    def watched(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        logits: Tensor = model(x)
        return logits

    batch = labelled(batch_of((6,), 1), model)
    threat = around(kind, 9.0)
    steps = 60
    found = FMN(steps=steps, step_size=step)(
        watched, batch, threat=threat, objective=Untargeted(), key=Key(0)
    )
    assert bool(found.success.all())
    norms = torch.stack([threat.norm(x - batch.x) for x in asked[1:]]).flatten()
    reached = int(found.step) + 1
    assert bool((norms[reached:] <= norms[reached - 1 : -1] + step * (1 + 1e-6)).all())
    assert bool((norms[reached:].diff() > 0).any())


@pytest.mark.parametrize("towards", [False, True])
def test_the_fewest_coordinates_of_a_linear_map_are_found(towards: bool) -> None:
    """In two classes the gap falls by `|w_i|` times the room of coordinate `i`: the least count is a sum of the top."""
    features, key, index = 12, Key(11), torch.arange(40)
    model = linear_net(features, 2, key, torch.float64)
    x = key.fold("x").uniform(index, (features,), torch.float64)
    logits = model(x).detach()
    y = logits.argmax(1)
    weight = model.layer.weight.detach()
    slope = weight[1 - y] - weight[y]
    gap = (logits.gather(1, y[:, None]) - logits.gather(1, 1 - y[:, None])).squeeze(1)
    gains = torch.maximum(slope * (1 - x), -slope * x).sort(1, descending=True).values.cumsum(1)
    least = (gains <= gap[:, None]).sum(1) + 1
    reachable = least <= features
    found = FMN()(
        model,
        Batch(x, 1 - y if towards else y, index),
        threat=L0(float(features)),
        objective=Hypocritical() if towards else Untargeted(),
        key=Key(0),
    )
    assert bool((least[reachable] > 1).any())
    assert torch.equal(found.success, reachable)
    assert torch.equal((found.x != x).sum(1)[reachable], least[reachable])


@balls
def test_the_nearest_of_several_borders_is_set_out_for(kind: str) -> None:
    model, index = linear_net(20, 5, Key(11)), torch.arange(32)
    x = 2 * Key(11).fold("x").normal(index, (20,))
    batch = Batch(x, model(x).argmax(1), index)
    threat = around(kind, 1e3, -math.inf, math.inf)
    one, all_ = (
        threat.norm(
            FMN(candidates=count)(model, batch, threat=threat, objective=Untargeted(), key=Key(0)).x - x
        )
        for count in (1, 4)
    )
    assert bool((all_ <= one * 1.001).all())
    assert bool((all_ < one * 0.98).any())


@pytest.mark.parametrize(
    "threat", [L0(3.0), L1(1.0), L2(1.0), Linf(1.0)], ids=lambda threat: type(threat).__name__
)
def test_a_tie_at_the_input_is_left_at_once(threat: Threat) -> None:
    def tied(x: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(x[:, 0]), x[:, 0] - 0.5], 1)

    x = torch.full((3, 2), 0.5, dtype=torch.float64)
    batch = Batch(x, torch.zeros(3, dtype=torch.int64), torch.arange(3))
    found = FMN()(tied, batch, threat=threat, objective=Untargeted(), key=Key(0))
    assert bool(found.success.all())
    assert bool((threat.norm(found.x - x) <= (1 if isinstance(threat, L0) else 1e-3)).all())


@balls
@pytest.mark.parametrize(("candidates", "extra"), [(1, 0), (2, 1), (10, 3)])
def test_the_cost_is_what_is_said(kind: str, candidates: int, extra: int) -> None:
    model = net(6, 5, Key(4))
    batch = labelled(batch_of((6,), 10), model)
    counted, threat = Counted(model), around(kind, 9.0)
    found = FMN(steps=12, candidates=candidates)(
        counted, batch, threat=threat, objective=Untargeted(), key=Key(0)
    )
    hit = found.status == Status.FOUND
    assert bool(hit.any())
    assert int(found.forwards.max()) == (1 + 13 if bool(found.success.all()) else 12 + 3)
    assert int(found.backwards.max()) == 12 + extra
    assert int(found.forwards.sum()) == counted.counts.forwards
    assert int(found.backwards.sum()) == counted.counts.backwards


@balls
def test_a_small_ball_is_searched_like_a_fixed_one(kind: str) -> None:
    """Where the nearest success lies beyond eps, points stay in the ball and the best loss there is climbed to."""
    model = linear_net(7, 2, Key(7), torch.float64)
    x = Key(7).fold("x").normal(torch.arange(16), (7,), torch.float64)
    y = model(x).argmax(1)
    wish, threat = Untargeted(Margin()), around(kind, size_of(kind, 7) / 10, -math.inf, math.inf)
    found = FMN()(model, Batch(x, y, torch.arange(16)), threat=threat, objective=wish, key=Key(0))
    weight = model.layer.weight.detach()
    best = wish.loss(model(x).detach(), y) + size_of(kind, 7) / 10 * threat.dual_norm(
        weight[1 - y] - weight[y]
    )
    missed = ~found.success
    assert bool(missed.any())
    torch.testing.assert_close(found.loss[missed].double(), best[missed], rtol=1e-5, atol=1e-5)


def test_settings_that_make_no_search_are_refused() -> None:
    for settings in ({"gamma": 1.0}, {"gamma_last": 0.0}, {"gamma_last": 0.1}, {"candidates": 0}):
        with pytest.raises(UsageError, match="expected"):
            FMN(**settings)
    model, batch = net(6, 3, Key(4)), batch_of((6,), 2)
    with pytest.raises(UsageError, match="can search"):
        FMN()(model, batch, threat=Sphere(L2(0.1)), objective=Untargeted(), key=Key(0))
