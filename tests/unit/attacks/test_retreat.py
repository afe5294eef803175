"""PartialNES and LabelNES: how near they come to the border of a linear model, and which way they take to lead on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.oracles import linear_net
from torch import Tensor

from frenemy.attacks.attack import Found, Phase
from frenemy.attacks.labelnes import LabelNES
from frenemy.attacks.others import Others
from frenemy.attacks.partialnes import PartialNES
from frenemy.attacks.retreat import Retreat
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Answer
from frenemy.card import Access
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.linear import Linear
from frenemy.models.model import Model
from frenemy.models.veiled import Veiled
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat

FEATURES = 20
both = pytest.mark.parametrize("made", [PartialNES, LabelNES])


def scene(classes: int = 2) -> tuple[Linear, Batch]:
    model, index = linear_net(FEATURES, classes, Key(1)), torch.arange(12)
    x = Key(2).normal(index, (FEATURES,))
    with torch.no_grad():
        return model, Batch(x, model(x).argmax(1), index)


def searched(attack: Any, model: Model, batch: Batch, threat: Threat, objective: Any = None) -> Found:
    found: Found = attack(model, batch, threat=threat, objective=objective or Untargeted(), key=Key(3))
    return found


def least(model: Linear, batch: Batch, order: float) -> Tensor:
    """Exact distances to the border of two classes."""
    way = (model.layer.weight[0] - model.layer.weight[1]).detach()
    with torch.no_grad():
        logits = model(batch.x)
    gap = (logits[:, 0] - logits[:, 1]).abs()
    far: Tensor = gap / torch.linalg.vector_norm(way, 2.0 if order == 2.0 else 1.0)
    return far


@both
@pytest.mark.parametrize(
    ("threat", "median", "most"),
    [(L2(100.0, -50, 50), 1.05, 1.1), (Linf(50.0, -50, 50), 1.12, 1.35)],
    ids=["l2", "linf"],
)
def test_the_border_of_a_linear_model_is_nearly_reached(
    made: Any, threat: Any, median: float, most: float
) -> None:
    model, batch = scene()
    found = searched(made(queries=4000), model, batch, threat)
    ratio = threat.norm(found.x - batch.x) / least(model, batch, threat.order)
    assert bool(found.success.all())
    assert float(ratio.min()) > 1 - 1e-4
    assert float(ratio.median()) < median
    assert float(ratio.max()) < most


def test_the_highest_score_alone_will_do() -> None:
    """Of three classes one score is shown; at the median the search comes as near as with all."""
    model, batch = scene(3)
    threat = L2(100.0, -50, 50)
    whole = searched(PartialNES(queries=2000), Veiled(model, Access.SCORES), batch, threat)
    one = searched(PartialNES(queries=2000), Veiled(model, Access.SCORES, top=1), batch, threat)
    assert bool(one.success.all())
    ratio = threat.norm(one.x - batch.x) / threat.norm(whole.x - batch.x)
    assert float(ratio.median()) < 1.05


@both
def test_a_target_is_kept_from_a_given_example_on(made: Any) -> None:
    """Towards one class of three the search starts at an example of it, and every point it goes on from is of it."""
    model, batch = scene(3)
    given = Others(batch.x, batch.y)
    target = int(batch.y[0])
    rows = batch.rows((batch.y != target).nonzero().flatten())
    found = searched(
        made(queries=600, others=given), model, rows, L2(100.0, -50, 50), objective=Targeted(target)
    )
    assert bool(found.success.all())
    with torch.no_grad():
        assert bool((model(found.x).argmax(1) == target).all())
    nearest = torch.cdist(rows.x, batch.x[batch.y == target]).amin(1)
    assert bool(((found.x - rows.x).norm(dim=1) < nearest).all())


def led(attack: Any, model: Linear, x: Tensor) -> Tensor:
    """Let the attack estimate one slope at a point, and answer it by the model's own margin towards class 1."""
    site = Site.of(torch.zeros_like(x), 0, L2(100.0, -50, 50), 100.0, Key(5), x[:0])
    leg = attack._slope(site, x, float(x.norm()), 1)
    phase, points = next(leg)
    assert phase is Phase.SLOPE
    with torch.no_grad():
        margin = model(points)[:, 1] - model(points)[:, 0]
    with pytest.raises(StopIteration) as end:
        leg.send(Answer(margin > 0, margin))
    slope: Tensor = end.value.value
    return slope


@pytest.mark.parametrize("attack", [PartialNES(pairs=400), LabelNES(pairs=400, samples=3)])
def test_the_slope_is_that_of_the_margin(attack: Any) -> None:
    """At a point of the border, where labels tell most; 400 pairs in 20 dimensions leave little to chance."""
    model, _ = scene()
    way = (model.layer.weight[1] - model.layer.weight[0]).detach()
    x = Key(6).normal(torch.arange(1), (FEATURES,))[0]
    with torch.no_grad():
        margin = model(x[None])[0, 1] - model(x[None])[0, 0]
    slope = led(attack, model, x - way * margin / way.square().sum())
    assert float(torch.nn.functional.cosine_similarity(slope, way, 0)) > 0.9


def test_the_set_shrinks_where_the_step_holds_and_more_slowly_where_it_does_not() -> None:
    """The walk by hand: a random success, then steps that succeed or fail as the test says."""
    site = Site.of(torch.zeros(2), 0, L2(9.0, -10, 10), 9.0, Key(5), torch.tensor([[6.0, 0.0]]))
    asked: list[float] = []

    def flat(site: Site, point: Tensor, size: float, step: int) -> Any:
        asked.append(size)
        yield from ()
        return torch.zeros(2)

    walk = Retreat(step_size=0.5, shrink=0.5).walk(site, flat)
    yes, no = (Answer(torch.tensor([won]), torch.tensor([math.nan])) for won in (True, False))
    phase, points = next(walk)
    assert (phase, points.tolist()) == (Phase.START, [[6.0, 0.0]])
    phase, points = walk.send(yes)
    assert (phase, points.tolist()) == (Phase.BORDER, [[3.0, 0.0]])
    for _ in range(6):
        phase, points = walk.send(no)
        assert phase is Phase.BORDER
    sizes = [float(walk.send(no)[1][0].norm())]
    sizes += [float(walk.send(no)[1][0].norm()) for _ in range(5)]
    sizes += [float(walk.send(yes)[1][0].norm())]
    assert sizes == pytest.approx([3.0] * 5 + [4.5] + [4.5 * 0.75])
    assert asked == pytest.approx([6.0, 6.0, 4.5])


@both
@pytest.mark.parametrize(
    "settings", [{"pairs": 0}, {"probe": 0.0}, {"step_size": 0.0}, {"shrink": 1.0}, {"queries": 0}]
)
def test_settings_out_of_range_are_refused(made: Any, settings: dict[str, Any]) -> None:
    model, batch = scene()
    with pytest.raises(UsageError, match=f"expected .*{next(iter(settings))}"):
        searched(made(**settings), model, batch, L2(1.0))
