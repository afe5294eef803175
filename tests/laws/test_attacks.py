"""Laws of every attack in the folder over every threat in its own: near the optimum where that is known, and honest.

The file names no attack and no norm.
"""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracles import linear_best, linear_net, net
from tests.scenes import (
    ASKING,
    ATTACKS,
    BALLS,
    ENSEMBLES,
    FEW,
    NEAREST,
    TURNS,
    WISHES,
    around,
    batch_of,
    columns,
    kind_of,
    labelled,
    made,
    name_of,
    size_of,
)
from torch import Tensor

from frenemy.attacks.attack import Status
from frenemy.card import Access
from frenemy.data.batch import Batch
from frenemy.models.counted import Counted
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import radii

SCENES: list[tuple[tuple[int, ...], int]] = [((7,), 2), ((1, 2, 4), 3)]
pairs = pytest.mark.parametrize(("name", "kind"), TURNS)
FARTHER = [
    pytest.param(name_of(turn), kind_of(turn), *way, marks=[*getattr(turn, "marks", ()), *wait])
    for turn in NEAREST
    for way in ((2, False), (2, True), (5, False))
    for wait in [[pytest.mark.slow] if name_of(turn) in ASKING and way != (2, False) else []]
]
few = pytest.mark.parametrize(("name", "kind"), FEW)
balls = pytest.mark.parametrize(("name", "kind"), [turn for turn in FEW if kind_of(turn) in BALLS])


def surrogate_of(wish: Objective) -> str:
    """The surrogate's name; a divergence from the clean answer is flat at the clean input."""
    return type(getattr(wish, "surrogate", None)).__name__


@pairs
@pytest.mark.parametrize("wish", [Untargeted(Margin()), Hypocritical(Margin())], ids=["enemy", "friend"])
def test_on_a_linear_model_it_comes_near_the_optimum_and_never_above(
    name: str, kind: str, wish: Objective
) -> None:
    """With default settings on a ball; on a sphere an attack that takes steps has four times as many.

    One that counts queries is given 500, which is a tenth of what is usual; those that only ask, fewer rows.
    """
    features, key, index = 7, Key(7), torch.arange(16 if name in ASKING else 48)
    model, x = linear_net(features, 2, key), 2 * key.fold("x").normal(index, (features,))
    y = (key.fold("y").uniform(index, ()) > 0.5).long()
    threat = around(kind, 0.5, -math.inf, math.inf)
    sphere = kind.startswith("sphere")
    steps: int | None = getattr(made(name), "steps", None)
    attack = made(name, steps=4 * steps) if sphere and steps else made(name, queries=500)
    found = attack(model, Batch(x, y, index), threat=threat, objective=wish, key=Key(1))
    clean = wish.loss(model(x), y).detach()
    sign = 1 if isinstance(wish, Untargeted) else -1
    slope = sign * (model.layer.weight[1 - y] - model.layer.weight[y]).detach()
    best = linear_best(threat, x, clean, slope)
    near = 1e-4 * (1 + best.abs())
    assert bool((found.loss <= best + near).all()), "above the optimum: the point left the set"
    assert not found.success[best < -near].any()
    promised = ATTACKS[name].card.reach
    settled = found.success & (found.loss >= 0)
    if not sphere or steps:
        assert bool((settled | (found.loss >= clean + promised * (best - clean) - near)).all())
        assert bool(found.success[clean + promised * (best - clean) > near].all())
    assert bool((found.status == Status.ALREADY).any()) != sphere
    assert bool((found.status == Status.NOT_FOUND).any())


@few
@pytest.mark.parametrize(("shape", "classes"), SCENES, ids=str)
def test_the_point_is_in_the_set_and_the_report_is_true(
    name: str, kind: str, shape: tuple[int, ...], classes: int
) -> None:
    features = math.prod(shape)
    model = net(features, classes, Key(3))
    batch = labelled(batch_of(shape, 14), model)
    threat = around(kind, size_of(kind, features))
    before = (batch.x.clone(), batch.y.clone(), batch.index.clone())
    for wish in WISHES:
        for attack in (made(name, steps=4), made(name, steps=3, early_stop=False, batch_size=5, restarts=2)):
            counted = Counted(model)
            found = attack(counted, batch, threat=threat, objective=wish, key=Key(5))
            with torch.no_grad():
                goal = wish.goal(model(batch.x), batch.y)
                logits = model(found.x)
            assert bool(threat.contains(found.x, batch.x, radii(threat.eps, batch.x)).all())
            assert torch.equal(found.success, wish.success(logits, goal))
            torch.testing.assert_close(found.loss.double(), wish.loss(logits, goal), rtol=1e-5, atol=1e-6)
            assert torch.equal(found.success, found.status <= Status.FOUND)
            assert torch.equal(found.step >= 0, found.success)
            assert torch.equal(found.queries, found.forwards)
            assert int(found.forwards.sum()) == counted.counts.forwards
            assert int(found.backwards.sum()) == counted.counts.backwards
            assert found.x.dtype == batch.x.dtype
            assert found.x.shape == batch.x.shape
            assert not found.x.requires_grad
            assert surrogate_of(wish) == "KL" or not found.flat.any()
    assert all(torch.equal(a, b) for a, b in zip(before, (batch.x, batch.y, batch.index)))


@balls
@pytest.mark.parametrize("low_high", ["centred", "features", "infinite"])
def test_any_box_will_do(name: str, kind: str, low_high: str) -> None:
    model = net(6, 3, Key(9))
    batch = labelled(batch_of((2, 3), 16), model)
    low: float | Tensor = -1.0 if low_high == "centred" else -math.inf
    high: float | Tensor = 1.0 if low_high == "centred" else math.inf
    if low_high == "features":
        low = torch.tensor([[-0.1, 0.0, -math.inf], [-2.0, 0.0, -0.05]], dtype=torch.float64)
        high = torch.tensor([[1.0, math.inf, 1.0], [1.01, 1.0, 3.0]], dtype=torch.float64)
    threat = around(kind, 0.3, low, high)
    found = made(name, steps=6)(model, batch, threat=threat, objective=Untargeted(), key=Key(2))
    assert bool(threat.contains(found.x, batch.x, radii(0.3, batch.x)).all())
    assert bool(((found.x >= low) & (found.x <= high)).all())
    assert bool((found.status == Status.FOUND).any())


@few
def test_size_nought_gives_the_input_back_bit_for_bit(name: str, kind: str) -> None:
    model = net(5, 3, Key(4), torch.float32)
    batch = labelled(batch_of((5,), 16, torch.float32), model)
    found = made(name, early_stop=False)(
        model, batch, threat=around(kind, 0.0), objective=Untargeted(), key=Key(6)
    )
    wrong = model(batch.x).argmax(1) != batch.y
    assert torch.equal(found.x, batch.x)
    assert torch.equal(found.success, wrong)
    assert torch.equal(found.status == Status.ALREADY, wrong)


@few
def test_no_steps_still_judge_the_start(name: str, kind: str) -> None:
    model = net(5, 3, Key(4))
    batch = labelled(batch_of((5,), 16), model)
    threat, attack = around(kind, size_of(kind, 5)), made(name, steps=0)
    found = attack(model, batch, threat=threat, objective=Untargeted(), key=Key(6))
    assert bool(threat.contains(found.x, batch.x, radii(threat.eps, batch.x)).all())
    if hasattr(attack, "steps"):
        assert not found.backwards.any()
        if name not in ENSEMBLES:
            assert bool((found.forwards <= (3 if ATTACKS[name].card.nearest else 2)).all())


@balls
def test_no_rows_give_no_rows(name: str, kind: str) -> None:
    for wish in WISHES:
        model, batch = net(6, 3, Key(4)), batch_of((2, 3), 0)
        found = made(name, batch_size=4)(
            model, batch, threat=around(kind, size_of(kind, 6)), objective=wish, key=Key(6)
        )
        assert found.x.shape == (0, 2, 3)
        assert all(len(values) == 0 for values in columns(found).values())


@balls
def test_more_restarts_lose_no_success(name: str, kind: str) -> None:
    model = net(6, 3, Key(4))
    batch = labelled(batch_of((6,), 40), model)
    last = torch.zeros(40, dtype=torch.bool)
    for restarts in (1, 2, 4):
        attack = made(name, steps=2, restarts=restarts, early_stop=False)
        found = attack(
            model, batch, threat=around(kind, size_of(kind, 6)), objective=Untargeted(), key=Key(6)
        )
        assert bool((found.success | ~last).all())
        last = found.success


@pytest.mark.parametrize(("name", "kind", "classes", "towards"), FARTHER)
def test_the_distance_is_near_the_least_on_a_linear_model(
    name: str, kind: str, classes: int, towards: bool
) -> None:
    """The least distance to class k alone is its gap over the dual norm of its slope; an enemy takes the best k.

    Towards one of many classes the nearest point lies on the rim of a cell of many faces, and has no closed form. Those
    that see labels alone walk along the border, which leads to the nearest point of some face, not of all faces.
    """
    features, key, index = 20, Key(11), torch.arange(4 if name in ASKING else 32)
    model, x = linear_net(features, classes, key), 2 * key.fold("x").normal(index, (features,))
    with torch.no_grad():
        logits = model(x)
    y = logits.argmax(1)
    target = (y + 1) % classes
    threat = around(kind, 1e3, -math.inf, math.inf)
    weight = model.layer.weight.detach()
    ways = []
    for k in range(classes):
        slope = weight[k] - weight[y]
        gap = logits.gather(1, y[:, None]).squeeze(1) - logits[:, k]
        ways.append(torch.where(k == y, math.inf, gap / threat.dual_norm(slope).clamp(min=1e-30)))
    way = torch.stack(ways, 1)
    wish = Hypocritical(Margin()) if towards else Untargeted(Margin())
    found = made(name)(
        model, Batch(x, target if towards else y, index), threat=threat, objective=wish, key=Key(1)
    )
    distance, least = threat.norm(found.x - x), way.amin(1)
    assert bool(found.success.all())
    assert bool((distance >= least * (1 - 1e-4)).all())
    if ATTACKS[name].card.access is Access.LABELS:
        least = way.gather(1, model(found.x).argmax(1, keepdim=True)).squeeze(1)
    assert bool((distance <= least * ATTACKS[name].card.nearest).all())
