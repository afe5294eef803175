"""DDN: the trace of a slow loop over single rows, levels that hold, starts that the loss alone would not leave."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracles import linear_net, net
from tests.scenes import batch_of, labelled
from torch import Tensor

from frenemy.attacks.attack import Status
from frenemy.attacks.ddn import DDN
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.counted import Counted
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf


def by_hand(model: Model, x: Tensor, y: Tensor, wish: Objective, steps: int, gamma: float) -> list[Tensor]:
    """The points that the algorithm looks at for one row, written as in the paper with the released code's cut."""
    delta, radius, points = torch.zeros_like(x), 1.0, []
    for k in range(steps + 1):
        point = (x + delta).detach().requires_grad_()
        points.append(point.detach())
        logits = model(point[None])
        (gradient,) = torch.autograd.grad(wish.loss(logits, y[None]).sum(), point)
        alpha = 0.01 + 0.99 * (1 + math.cos(math.pi * k / steps)) / 2
        radius *= 1 - gamma if bool(wish.success(logits, y[None])) else 1 + gamma
        delta = delta + alpha * gradient / gradient.norm()
        delta = (x + radius * delta / delta.norm()).clamp(0, 1) - x
    return points


@pytest.mark.parametrize(
    "wish", [Untargeted(), Untargeted(Margin()), Targeted("runner-up", Margin())], ids=str
)
def test_without_candidates_it_looks_at_the_points_of_the_paper(wish: Objective) -> None:
    model, batch = net(6, 3, Key(4)), batch_of((6,), 8)
    batch = labelled(batch, model)
    found = DDN(steps=30, candidates=0)(model, batch, threat=L2(9.0), objective=wish, key=Key(0))
    goal = wish.goal(model(batch.x).detach(), batch.y)
    searched = (found.status != Status.ALREADY).nonzero().flatten().tolist()
    assert len(searched) > 4
    for row in searched:
        points = torch.stack(by_hand(model, batch.x[row], goal[row], wish, 30, 0.05))
        hits = wish.success(model(points), goal[row].expand(31)).nonzero().flatten()
        assert bool(found.success[row]) == (len(hits) > 0)
        assert int(found.step[row]) == (int(hits[0]) if len(hits) else -1)
        if len(hits):
            distance = (points - batch.x[row]).norm(dim=1)
            torch.testing.assert_close(found.x[row], points[hits][distance[hits].argmin()])


def test_no_point_leaves_the_ball_or_the_box() -> None:
    model, asked = net(6, 3, Key(4)), []

    def watched(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        logits: Tensor = model(x)
        return logits

    batch = labelled(batch_of((6,), 12), model)
    DDN(steps=30)(watched, batch, threat=L2(0.1), objective=Untargeted(), key=Key(0))
    for x in asked[1:]:
        assert bool(((x[:, None] - batch.x).norm(dim=2).amin(1) <= 0.1 + 1e-6).all())
        assert bool(((x >= 0) & (x <= 1)).all())


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("eps", [0.15, 0.5, 9.0])
@pytest.mark.parametrize("on_grid", [True, False])
def test_what_changes_lies_on_a_level_and_still_succeeds(levels: int, eps: float, on_grid: bool) -> None:
    model = net(6, 3, Key(4), torch.float32)
    batch = labelled(batch_of((6,), 20, torch.float32), model)
    x = (batch.x * (levels - 1)).round() / (levels - 1) if on_grid else batch.x
    threat = L2(eps)
    found = DDN(steps=40, levels=levels)(
        model, Batch(x, batch.y, batch.index), threat=threat, objective=Untargeted(), key=Key(0)
    )
    place = (found.x * (levels - 1))[found.x != x]
    torch.testing.assert_close(place, place.round(), rtol=0, atol=1e-4 * levels / 256)
    assert torch.equal(found.success, model(found.x).argmax(1) != batch.y)
    assert bool(threat.contains(found.x, x, torch.full((20,), eps)).all())
    if eps == 9.0 and levels > 2:
        assert bool(found.success.all())
        assert bool((found.status == Status.FOUND).any())


def test_levels_cost_little_distance_where_they_are_fine() -> None:
    model = net(6, 3, Key(4), torch.float32)
    batch = labelled(batch_of((6,), 20, torch.float32), model)
    free, fine = (
        DDN(levels=levels)(model, batch, threat=L2(9.0), objective=Untargeted(), key=Key(0)).x - batch.x
        for levels in (0, 256)
    )
    assert bool((fine.norm(dim=1) <= free.norm(dim=1) * 1.02 + 6**0.5 / 255).all())


def test_a_loss_that_is_flat_at_the_input_is_left_by_the_gaps() -> None:
    """Logits so large that cross-entropy has no gradient in float32; the border is as near as before."""
    model = linear_net(20, 3, Key(11))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e4)
    x = 2 * Key(11).fold("x").normal(torch.arange(16), (20,))
    y = model(x).argmax(1)
    threat = L2(1e3, -math.inf, math.inf)
    flat, found = (
        DDN(candidates=count)(
            model, Batch(x, y, torch.arange(16)), threat=threat, objective=Untargeted(), key=Key(0)
        )
        for count in (0, 10)
    )
    assert bool(flat.flat[~flat.success].all())
    assert not flat.success.all()
    logits = model(x).detach()
    weight = model.layer.weight.detach()
    gap = logits.gather(1, y[:, None]) - logits
    least = (gap / (weight - weight[y][:, None]).norm(dim=2).clamp(min=1e-9)).scatter(1, y[:, None], math.inf)
    assert bool(found.success.all())
    assert not found.flat.any()
    assert bool(((found.x - x).norm(dim=1) <= 1.02 * least.amin(1)).all())


def test_a_tie_at_the_input_is_left_at_once() -> None:
    def tied(x: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(x[:, 0]), x[:, 0] - 0.5], 1)

    x = torch.full((3, 2), 0.5, dtype=torch.float64)
    batch = Batch(x, torch.zeros(3, dtype=torch.int64), torch.arange(3))
    found = DDN()(tied, batch, threat=L2(1.0), objective=Untargeted(), key=Key(0))
    assert bool(found.success.all())
    assert bool(((found.x - x).norm(dim=1) < 1e-3).all())


def test_units_do_not_matter_when_initial_has_them() -> None:
    model = net(6, 3, Key(4))
    batch = labelled(batch_of((6,), 12), model)
    one = DDN(steps=30)(model, batch, threat=L2(2.0), objective=Untargeted(), key=Key(0))
    scaled = DDN(steps=30, initial=256.0)(
        lambda x: model(x / 256),
        Batch(batch.x * 256, batch.y, batch.index),
        threat=L2(512.0, high=256.0),
        objective=Untargeted(),
        key=Key(0),
    )
    torch.testing.assert_close(scaled.x / 256, one.x)


@pytest.mark.parametrize(("candidates", "extra"), [(0, 0), (1, 1), (2, 2), (10, 4)])
def test_the_cost_is_what_is_said(candidates: int, extra: int) -> None:
    model = net(6, 5, Key(4))
    batch = labelled(batch_of((6,), 10), model)
    counted = Counted(model)
    found = DDN(steps=12, candidates=candidates)(
        counted, batch, threat=L2(9.0), objective=Untargeted(), key=Key(0)
    )
    hit = found.status == Status.FOUND
    assert bool(hit.any())
    assert set(found.forwards[hit].tolist()) == {1 + 13}
    assert set(found.backwards[hit].tolist()) == {12 + extra}
    assert bool((found.forwards <= 12 + 3).all())
    assert int(found.backwards.sum()) == counted.counts.backwards


def test_settings_that_make_no_search_are_refused() -> None:
    for settings in ({"gamma": 1.0}, {"gamma": 0.0}, {"initial": 0.0}, {"levels": 1}, {"candidates": -1}):
        with pytest.raises(UsageError, match="expected"):
            DDN(**settings)
    model, batch = net(6, 3, Key(4)), batch_of((6,), 2)
    with pytest.raises(UsageError, match="finite ends"):
        DDN(levels=256)(model, batch, threat=L2(1.0, high=math.inf), objective=Untargeted(), key=Key(0))
    with pytest.raises(UsageError, match="can search"):
        DDN()(model, batch, threat=Linf(1.0), objective=Untargeted(), key=Key(0))
