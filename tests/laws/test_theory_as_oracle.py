"""The toy problems as oracles: what an attack reaches and what a recipe learns there is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frenemy.attacks.apgd import APGD
from frenemy.attacks.attack import Attack
from frenemy.attacks.bim import BIM
from frenemy.attacks.ddn import DDN
from frenemy.attacks.fab import FAB
from frenemy.attacks.fgsm import FGSM
from frenemy.attacks.hopskipjump import HopSkipJump
from frenemy.attacks.pgd import PGD
from frenemy.data.batch import Batch
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.objective import Objective
from frenemy.objectives.reversal import Reversal
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.papers.linear import examples_of
from frenemy.rng import Key
from frenemy.theory.circle import Circle
from frenemy.theory.disc import Disc
from frenemy.theory.problem import Draws
from frenemy.theory.separable import Separable
from frenemy.theory.three_clusters import ThreeClusters
from frenemy.theory.tsipras import Tsipras
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.training.memory import Memory
from frenemy.training.pgdat import PGDAT
from frenemy.training.recipe import total

EVERYWHERE = (-math.inf, math.inf)
ASCENTS = (FGSM(), BIM(), PGD(), APGD())
ascents = pytest.mark.parametrize("attack", ASCENTS, ids=lambda one: type(one).__name__)


class Plane(nn.Module):
    """Answers 1 where w x > b."""

    def __init__(self, w: np.ndarray, b: float) -> None:
        super().__init__()
        self.w, self.b = torch.tensor(w, dtype=torch.float64), b

    def forward(self, x: Tensor) -> Tensor:
        gap = (x @ self.w - self.b) / 2
        return torch.stack([-gap, gap], dim=1)


class Ball(nn.Module):
    """Answers 1 outside a disc around the middle."""

    def forward(self, x: Tensor) -> Tensor:
        gap = (x**2).sum(1) - 0.4
        return torch.stack([-gap, gap], dim=1)


def batch(draws: Draws) -> Batch:
    return Batch(
        torch.tensor(draws.x), torch.tensor((draws.y == 1).astype(np.int64)), torch.arange(len(draws.y))
    )


@ascents
@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_what_falls_among_robust_and_weak_features(attack: Attack, weight: float) -> None:
    problem = Tsipras(eps=0.31)
    draws, w = problem.draw(300, 1), np.array([weight, *np.ones(100)])
    found = attack(
        Plane(w, 0.0), batch(draws), threat=Linf(0.31, *EVERYWHERE), objective=Untargeted(), key=Key(0)
    )
    np.testing.assert_array_equal(~found.success.numpy(), problem._right(draws, w, 0.31))


@ascents
@pytest.mark.parametrize(
    "objective", [Untargeted(), Hypocritical(), Reversal(Margin())], ids=lambda o: type(o).__name__
)
def test_what_can_be_turned_around_the_line_of_the_circle(attack: Attack, objective: Objective) -> None:
    """Enemy, false friend and reversal each succeed exactly where the line is within eps, on whom they concern."""
    draws = Circle(b=0.45, eps=0.1).draw(400, 2)
    found = attack(
        Plane(np.array([0.0, 1.0]), 0.45),
        batch(draws),
        threat=L2(0.1, *EVERYWHERE),
        objective=objective,
        key=Key(0),
    )
    right = (draws.x[:, 1] > 0.45) == (draws.y == 1)
    turned = np.abs(draws.x[:, 1] - 0.45) < 0.1
    wanted = {"Untargeted": ~right | turned, "Hypocritical": right | turned, "Reversal": turned}
    np.testing.assert_array_equal(found.success.numpy(), wanted[type(objective).__name__])


@ascents
def test_what_falls_of_two_rectangles_and_of_three_clusters(attack: Attack) -> None:
    rectangles, angle = Separable(), math.radians(25)
    draws = rectangles.draw(300, 3)
    model = Plane(np.array([math.cos(angle), math.sin(angle)]), 0.5)
    found = attack(model, batch(draws), threat=Linf(2.5, *EVERYWHERE), objective=Untargeted(), key=Key(0))
    np.testing.assert_array_equal(found.success.numpy(), rectangles._wrong(draws, 25.0, 0.5, 2.5))
    clusters = ThreeClusters(gamma=4.5)
    draws = clusters.draw(300, 3)
    way, offset = clusters.lines["upright line"]
    found = attack(
        Plane(way, -offset), batch(draws), threat=L2(0.9, *EVERYWHERE), objective=Untargeted(), key=Key(0)
    )
    np.testing.assert_array_equal(found.success.numpy(), draws.y * (draws.x @ way + offset) < 0.9)


@pytest.mark.parametrize(
    "attack",
    [FAB(), DDN(steps=200), HopSkipJump(queries=2000)],
    ids=lambda one: type(one).__name__,
)
def test_how_far_the_circle_is(attack: Attack) -> None:
    """From inside the circle is sqrt(0.4) - ||x|| away: nothing is nearer, and what is found not 2 % further."""
    draws = Disc().draw(90, 4)
    exact = math.sqrt(0.4) - np.linalg.norm(draws.x, axis=1)
    keep = exact > 0.02
    some = Draws(draws.x[keep], draws.y[keep])
    found = attack(Ball(), batch(some), threat=L2(3.0, *EVERYWHERE), objective=Untargeted(), key=Key(0))
    assert found.success.all()
    ratio = np.linalg.norm(found.x.numpy() - some.x, axis=1) / exact[keep]
    assert ratio.min() >= 1 - 1e-9
    assert np.median(ratio) <= 1.02


def test_the_gradient_under_the_enemy_is_that_of_the_worst_case() -> None:
    """Danskin: the gradient at the maximiser is the gradient of the maximum, here known in closed form."""
    problem = Tsipras(d=5)
    examples = examples_of(problem.draw(50, 5), "features")
    model = nn.Linear(6, 2).double()
    with torch.no_grad():
        model.weight.copy_(Key(3).uniform(torch.arange(2), (6,), torch.float64) + 0.1)
        model.weight[0].neg_()
    rows = examples.batch()
    doubled = Batch(rows.x.double(), rows.y, rows.index)
    recipe, memory = PGDAT(steps=1, step_size=1.0, start="input"), Memory(rows.index)
    threat = Linf(0.2, *EVERYWHERE)
    views = recipe.views(model, doubled, threat=threat, memory=memory, key=Key(0))
    loss = total(recipe.terms(model, doubled, views, memory), len(doubled))
    mine = torch.autograd.grad(loss, list(model.parameters()))

    def worst(weight: Tensor, bias: Tensor) -> Tensor:
        w, b = weight[1] - weight[0], bias[1] - bias[0]
        margin = (2 * doubled.y - 1) * (doubled.x @ w + b) - 0.2 * w.abs().sum()
        return torch.nn.functional.softplus(-margin).mean()

    for place, grad in enumerate(mine):
        for k in range(grad.numel()):
            values = []
            for side in (-1e-6, 1e-6):
                moved = [p.detach().clone() for p in model.parameters()]
                moved[place].view(-1)[k] += side
                values.append(float(worst(*moved)))
            assert float(grad.view(-1)[k]) == pytest.approx((values[1] - values[0]) / 2e-6, abs=1e-8)
