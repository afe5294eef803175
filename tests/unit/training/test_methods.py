"""What each method sums and looks at, against the formulas of its source written anew, and exact cases."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.oracles import linear_net
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.models.build import initialise
from frenemy.models.counted import Counted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat
from frenemy.training.alphamix import AlphaMix
from frenemy.training.climb import Climb
from frenemy.training.freeat import FreeAT
from frenemy.training.iaat import IAAT
from frenemy.training.mart import MART, boosted
from frenemy.training.memory import Memory
from frenemy.training.mma import MMA
from frenemy.training.pgdat import PGDAT
from frenemy.training.recipe import Recipe, Remembers, Terms, Views, total
from frenemy.training.sense import SENSE
from frenemy.training.standard import Standard
from frenemy.training.thrm import THRM
from frenemy.training.trades import TRADES

INDEX = torch.arange(16)


def normed() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    return initialise(model, Key(2)).double().train()


def batch_of(rows: int = 16, features: int = 6) -> Batch:
    x = Key(0).uniform(INDEX[:rows], (features,), torch.float64)
    return Batch(x, torch.arange(rows) % 3, INDEX[:rows])


def looked(recipe: Recipe, model: Any, batch: Batch, threat: Threat, epoch: int = 0) -> tuple[Views, Memory]:
    memory = Memory(batch.index)
    if isinstance(recipe, Remembers):
        some = Examples("some", batch.x.float(), batch.y, ("a", "b", "c"), index=batch.index)
        recipe.remember(memory, some, len(batch))
    memory.epoch = epoch
    return recipe.views(model, batch, threat=threat, memory=memory, key=Key(5)), memory


def slope(model: nn.Module, terms: Terms, rows: int) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(total(terms, rows), list(model.parameters()))])


def test_the_released_loss_of_trades_comes_out_with_its_three_forwards() -> None:
    """The loss as its authors publish it: train mode, sums over the batch; and batch norm moves three times."""
    batch, moved, beta = batch_of(), batch_of().x + 0.05, 6.0
    ours, theirs = normed(), normed()
    views = Views({"clean": batch.x, "moved": moved})
    loss = total(TRADES(beta=beta, forward="released").terms(ours, batch, views, Memory(INDEX)), len(batch))
    natural = cross_entropy(theirs(batch.x), batch.y)
    divergence = kl_div(theirs(moved).log_softmax(1), theirs(batch.x).softmax(1), reduction="sum") / len(
        batch
    )
    assert float(loss.detach()) == pytest.approx(float((natural + beta * divergence).detach()), abs=1e-6)
    for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(one, other)
    two = normed()
    other_way = total(TRADES(beta=beta).terms(two, batch, views, Memory(INDEX)), len(batch))
    assert float(other_way.detach()) == pytest.approx(float(loss.detach()), abs=1e-9)
    assert not torch.equal(next(two.buffers()), next(ours.buffers()))


@pytest.mark.parametrize("forward", ["joint", "separate"])
def test_thrm_and_mart_are_the_sums_that_their_papers_write(forward: Any) -> None:
    batch, moved = batch_of(), batch_of().x - 0.03
    model = normed()
    views = Views({"clean": batch.x, "friend": moved, "enemy": moved})
    if forward == "joint":
        clean, other = model(torch.cat([batch.x, moved])).chunk(2)
    else:
        clean, other = model(batch.x), model(moved)
    p, q = clean.softmax(1), other.softmax(1)
    divergence = (p * (p / q).log()).sum(1)
    thrm = THRM(lamb=50.0, forward=forward).terms(model, batch, views, Memory(INDEX))
    expected = cross_entropy(clean, batch.y) + 50 * divergence.mean()
    assert float(total(thrm, 16).detach()) == pytest.approx(float(expected.detach()), rel=1e-9)
    own = torch.arange(16)
    rival = q.scatter(1, batch.y[:, None], 0.0).amax(1)
    bce = -q[own, batch.y].log() - (1 - rival).log()
    mart = MART(lamb=5.0, forward=forward).terms(model, batch, views, Memory(INDEX))
    expected = (bce + 5 * divergence * (1 - p[own, batch.y])).mean()
    assert float(total(mart, 16).detach()) == pytest.approx(float(expected.detach()), rel=1e-9)


def test_the_boosted_loss_is_finite_where_probabilities_are_not() -> None:
    logits = torch.tensor([[200.0, -200.0, 0.0], [-200.0, 200.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    loss = boosted(logits, torch.tensor([0, 0, 1]))
    assert loss.detach().tolist() == pytest.approx([0.0, 600.0, math.log(3) - math.log(2 / 3)], rel=1e-5)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize(
    ("recipe", "limit"),
    [
        (TRADES(beta=0.0), Standard()),
        (THRM(lamb=0.0, forward="separate"), Standard()),
        (AlphaMix(alpha=1.0, forward="separate"), Standard()),
        (SENSE(c=1.0), Standard()),
        (AlphaMix(alpha=0.0, forward="separate", steps=10, step_size=0.25, start="uniform"), PGDAT()),
        (SENSE(c=0.0), PGDAT()),
        (IAAT(gamma=0.0, warm_up=0, beta=0.0), PGDAT()),
    ],
    ids=lambda one: type(one).__name__,
)
def test_at_the_end_of_its_weight_a_method_is_its_plain_limit(recipe: Recipe, limit: Recipe) -> None:
    batch, gradients = batch_of(), []
    for one in (recipe, limit):
        model = normed().eval()
        views, memory = looked(one, model, batch, Linf(0.1))
        gradients.append(slope(model, one.terms(model, batch, views, memory), len(batch)))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("c", [0.3, 0.5, 0.7, 0.9])
def test_the_sensible_loss_falls_into_the_two_parts_of_the_paper(c: float) -> None:
    """001, eq. 10, on one dimension and a linear model, where fine steps find the maximiser of Definition 3."""
    x = torch.linspace(-1.49, 1.51, 61, dtype=torch.float64)[:, None]
    batch = Batch(x, torch.ones(61, dtype=torch.int64), torch.arange(61))

    def model(points: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(points), 2 * points], 1)

    threat = Linf(0.5, -math.inf, math.inf)
    recipe = SENSE(c=c, steps=1000, step_size=1 / 1000, start="input")
    views, memory = looked(recipe, model, batch, threat)
    loss = recipe.terms(model, batch, views, memory)["enemy"].loss
    bound, natural = -math.log(c), cross_entropy(model(x), batch.y, reduction="none")
    worst = cross_entropy(model(x - 0.5), batch.y, reduction="none")
    expected = (natural - bound).clamp(min=0) + worst.clamp(max=bound)
    torch.testing.assert_close(loss, expected, rtol=0, atol=2e-3)
    own = cross_entropy(model(views.x["enemy"]), batch.y, reduction="none")
    assert bool((own[natural <= bound] <= bound + 1e-12).all())
    facts = views.facts
    assert torch.equal(facts["ignored"] > 0, natural > bound)
    assert torch.equal(facts["full"] > 0, worst <= bound)
    assert torch.equal(facts["ignored"] + facts["reverted"] + facts["full"], torch.ones(61).double())


def test_resting_rows_cost_nothing_and_end_where_slow_code_ends() -> None:
    """One row at a time, as Algorithm 1 is written."""
    model, batch = normed().eval(), batch_of()
    limit, threat = 1.02, Linf(0.4)
    counted = Counted(model)
    found = Climb(6, 0.3, "input")(
        counted,
        batch,
        threat=threat,
        objective=Untargeted(),
        key=Key(0),
        rest=lambda loss, logits: loss > limit,
    )
    asked = 0
    for row in range(16):
        x = before = origin = batch.x[row : row + 1]
        y = batch.y[row : row + 1]
        for step in range(7):
            leaf = x.detach().requires_grad_()
            loss = cross_entropy(model(leaf), y)
            asked += 1
            if float(loss.detach()) > limit:
                x = before
                break
            if step == 6:
                break
            (gradient,) = torch.autograd.grad(loss, leaf)
            before = x
            x = (x + 0.3 * 0.4 * gradient.sign()).clamp(origin - 0.4, origin + 0.4).clamp(0, 1)
        torch.testing.assert_close(found[row : row + 1], x, rtol=0, atol=1e-12)
    assert counted.counts.forwards == asked < 16 * 7


def test_one_backward_of_free_training_gives_what_two_would() -> None:
    model, batch, threat = normed().eval(), batch_of(), Linf(0.2)
    recipe = FreeAT(step_size=0.5)
    views, memory = looked(recipe, model, batch, threat)
    memory.shared["delta"].copy_(0.2 * (2 * Key(1).uniform(INDEX, (6,)) - 1))
    delta = memory.shared["delta"].double()
    views = recipe.views(model, batch, threat=threat, memory=memory, key=Key(0))
    total(recipe.terms(model, batch, views, memory), 16).backward()  # type: ignore[no-untyped-call]
    x = (batch.x + delta).clamp(0, 1).requires_grad_()
    loss = cross_entropy(model(x), batch.y)
    theta = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    (ascent,) = torch.autograd.grad(loss, x)
    for parameter, gradient in zip(model.parameters(), theta, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    recipe.learn(memory, batch, views, threat)
    moved = (x.detach() + 0.1 * ascent.sign()).clamp(batch.x - 0.2, batch.x + 0.2).clamp(0, 1) - batch.x
    torch.testing.assert_close(memory.shared["delta"].double(), moved, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", [Linf, L2])
def test_the_border_of_a_linear_model_is_where_it_is(kind: Any) -> None:
    """The distance to the border of two classes is the gap over the dual norm."""
    model, x = linear_net(6, 2, Key(1)).double(), batch_of().x
    y = model(x).argmax(1).detach()
    y[3] = 1 - y[3]
    batch, threat = Batch(x, y, INDEX), kind(1.0, -math.inf, math.inf)
    recipe = MMA(steps=20, start="input", bisections=40, reach=3.0)
    views, memory = looked(recipe, model, batch, threat)
    with torch.no_grad():
        slope_ = model.layer.weight[1 - y] - model.layer.weight[y]
        logits = model(x)
        gap = logits.gather(1, y[:, None]) - logits.gather(1, 1 - y[:, None])
        margin = (gap.squeeze(1) / threat.dual_norm(slope_)).clamp(max=3.0)
    right = torch.arange(16) != 3
    torch.testing.assert_close(views.facts["margin"][right], margin[right], rtol=5e-3, atol=1e-6)
    assert float(views.facts["margin"][3]) == 0.0
    assert torch.equal(views.x["border"][3], x[3])
    assert views.facts["counts"].bool().tolist() == [bool(m < 1) or n == 3 for n, m in enumerate(margin)]
    kept = memory.of("margin", INDEX)
    torch.testing.assert_close(
        kept, torch.where(right, margin, 0.0).clamp(0.1, 3.0).float(), rtol=5e-3, atol=1e-6
    )


def test_each_eps_grows_where_it_is_withstood_and_shrinks_where_it_is_not() -> None:
    """On a linear model the answer at an eps is known: right if the gap is above eps times the dual norm."""
    model, x = linear_net(6, 2, Key(1)).double(), batch_of().x
    y = model(x).argmax(1).detach()
    y[3] = 1 - y[3]
    batch, threat = Batch(x, y, INDEX), Linf(0.1, -math.inf, math.inf)
    recipe = IAAT(gamma=0.5, beta=0.4, warm_up=0, steps=5)
    _, memory = looked(recipe, model, batch, threat)
    with torch.no_grad():
        logits = model(x)
        gap = (logits.gather(1, y[:, None]) - logits.gather(1, 1 - y[:, None])).squeeze(1)
        reach = gap / threat.dual_norm(model.layer.weight[1 - y] - model.layer.weight[y]) / 0.1
    tried = torch.where(reach > 1.5, 1.5, torch.where(reach > 1.0, 1.0, 0.5))
    tried = torch.where(reach > 0, tried, 0.0)
    assert len(set(tried.tolist())) >= 3
    torch.testing.assert_close(memory.of("eps", INDEX), (0.6 + 0.4 * tried).float())
    mixed = torch.tensor([5, 2, 9])
    assert torch.equal(memory.of("eps", mixed), memory.of("eps", INDEX)[mixed])
