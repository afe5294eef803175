"""DeepFool: against a slow loop, closed forms, and the mistakes of other libraries."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracles import linear_net, net
from torch import Tensor

from frenemy.attacks.attack import Status
from frenemy.attacks.deepfool import DeepFool
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.counted import Counted
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat

WIDE = {"low": -math.inf, "high": math.inf}


def walk(model: torch.nn.Module, x: Tensor, y: int, order: float, overshoot: float, steps: int) -> Tensor:
    """Algorithm 2 for one example by its whole Jacobian, cut at the unit cube; 2016, with Section 3.3 for Linf."""
    point = x.clone()
    for _ in range(steps):
        z = model(point[None])[0].detach()
        if int(z.argmax()) != y:
            break
        rows = torch.func.jacrev(lambda p: model(p[None])[0])(point).detach()
        best, step = math.inf, torch.zeros_like(x)
        for k in range(len(z)):
            if k == y:
                continue
            w, gap = rows[k] - rows[y], float(abs(z[k] - z[y]))
            size = float(w.norm() if order == 2 else w.abs().sum())
            if gap / size < best:
                best, step = gap / size, (gap / size**2 * w if order == 2 else gap / size * w.sign())
        point = (point + (1 + overshoot) * step).clamp(0, 1)
    return point


@pytest.mark.parametrize("ball", [L2, Linf])
def test_step_by_step_as_a_slow_loop(ball: type[L2 | Linf]) -> None:
    model, index = net(6, 5, Key(3)), torch.arange(24)
    x = Key(4).uniform(index, (6,), torch.float64)
    y = model(x).argmax(1)
    found = DeepFool(overshoot=0.05, early_stop=True)(
        model, Batch(x, y, index), threat=ball(9.0), objective=Untargeted(), key=Key(0)
    )
    slow = torch.stack([walk(model, x[i], int(y[i]), ball.order, 0.05, 50) for i in range(24)])
    assert bool(found.success.all())
    assert int(found.step.max()) > 2
    torch.testing.assert_close(found.x, slow, rtol=0, atol=1e-9)


@pytest.mark.parametrize("ball", [L2, Linf, L1])
@pytest.mark.parametrize("overshoot", [0.02, 0.5])
def test_on_a_linear_model_one_step_passes_the_nearest_face_by_the_overshoot(
    ball: type[L2 | Linf | L1], overshoot: float
) -> None:
    """The overshoot counts once, whatever the label; the search of the line takes nearly all of it back."""
    model, index = linear_net(8, 6, Key(1)), torch.arange(60)
    x = 2 * Key(2).normal(index, (8,))
    with torch.no_grad():
        z, weight = model(x), model.layer.weight
        y = z.argmax(1)
        threat = ball(1e3, -math.inf, math.inf)
        gaps = (z - z.gather(1, y[:, None])).abs()
        sizes = torch.stack([threat.dual_norm(weight - weight[k]) for k in y.tolist()])
        ways = (gaps / sizes).scatter(1, y[:, None], math.inf)
    assert set(y.tolist()) == set(range(6))
    batch = Batch(x, y, index)
    first = DeepFool(overshoot=overshoot, early_stop=True)(
        model, batch, threat=threat, objective=Untargeted(), key=Key(0)
    )
    assert bool((first.step == 1).all())
    length, least = threat.norm(first.x - x), ways.amin(1)
    torch.testing.assert_close(length, (1 + overshoot) * least, rtol=1e-3, atol=1e-5)
    found = DeepFool(overshoot=overshoot)(model, batch, threat=threat, objective=Untargeted(), key=Key(0))
    length = threat.norm(found.x - x)
    assert bool((length <= threat.norm(first.x - x)).all())
    assert overshoot > 0.1 or bool((length <= 1.001 * least + 1e-5).all())
    nearest = ways.argmin(1)
    with torch.no_grad():
        clear = (length <= 0.9 * ways.scatter(1, nearest[:, None], math.inf).amin(1)) & (overshoot < 0.1)
        assert torch.equal(model(found.x).argmax(1)[clear], nearest[clear])
    assert bool(clear.any()) == (overshoot < 0.1)


def test_rows_stop_each_on_their_own() -> None:
    """A row costs in company of slower ones what it costs alone, but for the steps it is carried along."""
    model, index = net(6, 5, Key(3)), torch.arange(16)
    x = Key(4).uniform(index, (6,), torch.float64)
    batch = Batch(x, model(x).argmax(1), index)
    attack, threat = DeepFool(early_stop=True, batch_size=1), L2(9.0)
    found = attack(model, batch, threat=threat, objective=Untargeted(), key=Key(0))
    assert torch.equal(found.forwards, found.step + 2)
    assert bool((found.backwards <= 4 * found.step).all())
    assert bool((found.backwards >= found.step).all())
    assert len(set(found.step.tolist())) > 1


@pytest.mark.parametrize(("candidates", "most"), [(2, 1), (3, 2), (99, 4)])
def test_no_more_classes_than_candidates_are_looked_at(candidates: int, most: int) -> None:
    model, index = net(6, 5, Key(3)), torch.arange(12)
    x = Key(4).uniform(index, (6,), torch.float64)
    batch, counted = Batch(x, model(x).argmax(1), index), Counted(model)
    found = DeepFool(steps=1, candidates=candidates)(
        counted, batch, threat=L2(9.0), objective=Untargeted(), key=Key(0)
    )
    assert int(found.backwards.max()) == most
    assert counted.counts.backwards == int(found.backwards.sum())
    wish = Hypocritical()
    found = DeepFool(steps=1, candidates=candidates)(
        model, Batch(x, (batch.y + 1) % 5, index), threat=L2(9.0), objective=wish, key=Key(0)
    )
    assert int(found.backwards.max()) == 1


def slope(x: Tensor) -> Tensor:
    """Class 1 wins where 3 a + 2 b + c > 4."""
    height = x @ torch.tensor([3.0, 2.0, 1.0]).to(x)
    return torch.stack([torch.full_like(height, 4.0), height], 1)


def test_in_l1_it_goes_on_where_the_steepest_coordinate_ends() -> None:
    """From 0 in the unit cube: all of a, then half of b."""
    x = torch.zeros(1, 3)
    found = DeepFool()(
        slope,
        Batch(x, torch.tensor([0]), torch.tensor([0])),
        threat=L1(3.0),
        objective=Untargeted(),
        key=Key(0),
    )
    assert bool(found.success)
    torch.testing.assert_close(found.x, torch.tensor([[1.0, 0.5, 0.0]]), rtol=0, atol=1e-2)
    assert float(found.x.sum()) == pytest.approx(1.5, rel=2e-3)
    assert int(found.step) == 1


@pytest.mark.parametrize("ball", [L2, Linf, L1])
def test_a_row_that_the_box_holds_fast_leaves(ball: type[L2 | Linf | L1]) -> None:
    """At most 6 of 9 can be reached: the best point is the corner, and no step is wasted there."""

    def high(x: Tensor) -> Tensor:
        return slope(x) + torch.tensor([5.0, 0.0])

    x = torch.full((1, 3), 0.5)
    batch = Batch(x, torch.tensor([0]), torch.tensor([0]))
    found = DeepFool()(high, batch, threat=ball(9.0), objective=Untargeted(), key=Key(0))
    assert found.status.tolist() == [Status.NOT_FOUND]
    torch.testing.assert_close(found.x, torch.ones(1, 3))
    assert int(found.forwards) <= 6


def test_a_success_beyond_eps_is_not_told_as_one() -> None:
    """The border of row i lies at distance i / 10."""
    index = torch.arange(1, 11)
    x = torch.stack([-index / 10.0, 0 * index], 1)

    def half(x: Tensor) -> Tensor:
        return torch.stack([-x[:, 0], x[:, 0]], 1)

    batch = Batch(x, torch.zeros_like(index), index)
    for ball in (L2, Linf, L1):
        threat: Threat = ball(0.55, **WIDE)
        found = DeepFool()(half, batch, threat=threat, objective=Untargeted(), key=Key(0))
        assert found.success.tolist() == [True] * 5 + [False] * 5
        torch.testing.assert_close(threat.norm(found.x - x)[5:], torch.full((5,), 0.55))


@pytest.mark.parametrize("wrong", [{"overshoot": -0.1}, {"overshoot": math.nan}, {"candidates": 1}])
def test_settings_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected a finite overshoot of 0 or more and candidates >= 2"):
        DeepFool(**wrong)  # type: ignore[arg-type]
