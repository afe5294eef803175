"""CW: against closed forms in a box, another optimiser, another Adam, and the bugs that others have had."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, linprog, minimize
from tests.oracles import linear_net, net
from torch import Tensor

from frenemy.attacks.attack import Found, Status
from frenemy.attacks.cw import CW
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.linear import Linear
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat

BALLS = (L2, Linf)
balls = pytest.mark.parametrize("ball", BALLS)


def run(model: Model, x: Tensor, threat: Threat, wish: Objective | None = None, **settings: Any) -> Found:
    """Search from the model's own answers, for an enemy unless said otherwise."""
    with torch.no_grad():
        y = model(x).argmax(1)
    attack = CW(**settings)
    batch = Batch(x, y, torch.arange(len(x)))
    return attack(model, batch, threat=threat, objective=wish or Untargeted(Margin()), key=Key(0))


def saturated(rows: int, features: int) -> Tensor:
    """Images of which three quarters of the pixels are black or white."""
    x = Key(3).fold("x").uniform(torch.arange(rows), (features,), torch.float64)
    return ((x - 0.5) * 4 + 0.5).clamp(0, 1)


def line(model: Linear, x: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and height of each row's margin away from its own answer, for two classes."""
    weight, logits = model.layer.weight.detach(), model(x).detach()
    own = logits.argmax(1)
    return weight[1 - own] - weight[own], (logits[:, 0] - logits[:, 1]).abs()


def least(slope: np.ndarray, gap: float, x: np.ndarray, ball: type[Threat]) -> float:
    """The least distance to a hyperplane inside [0, 1], by its one multiplier."""

    def change(t: float) -> np.ndarray:
        return np.clip(t * (slope if ball is L2 else np.sign(slope)), -x, 1 - x)

    t = brentq(lambda t: float(slope @ change(t)) - gap, 0, 1e3, xtol=1e-14)
    return float(np.linalg.norm(change(t), 2 if ball is L2 else np.inf))


@balls
def test_in_a_box_full_of_saturated_pixels_it_comes_to_the_closed_form(ball: type[Threat]) -> None:
    """Pixels at 0 and 1 must move; with a tanh that ends at the box they would be at infinity."""
    model, x = linear_net(40, 2, Key(5), torch.float64), saturated(16, 40)
    found = run(model, x, ball(99.0))  # type: ignore[call-arg]
    slope, gap = line(model, x)
    wanted = [least(s, float(g), row, ball) for s, g, row in zip(slope.numpy(), gap, x.numpy())]
    distance = ball(1.0).norm(found.x - x)  # type: ignore[call-arg]
    ratio = distance / torch.tensor(wanted, dtype=torch.float64)
    assert bool(found.success.all())
    assert float(ratio.min()) >= 1 - 1e-9
    assert float(ratio.max()) <= CW.card.nearest
    ends = (x == 0) | (x == 1)
    assert bool((ends & (found.x != x)).any(1).all())


@balls
def test_towards_a_corner_of_many_faces_it_comes_near_an_exact_programme(ball: type[Threat]) -> None:
    classes, features = 4, 12
    model = linear_net(features, classes, Key(6), torch.float64)
    x = Key(6).fold("x").uniform(torch.arange(8), (features,), torch.float64)
    with torch.no_grad():
        target = model(x).argmin(1)
    found = run(model, x, ball(99.0), Targeted(target, Margin()))  # type: ignore[call-arg]
    assert bool(found.success.all())
    weight, bias = model.layer.weight.detach().numpy(), model.layer.bias.detach().numpy()
    for row, goal, point in zip(x.numpy(), target.tolist(), found.x.numpy()):
        other = [k for k in range(classes) if k != goal]
        normal = weight[goal] - weight[other]
        height = normal @ row + bias[goal] - bias[other]
        if ball is Linf:
            cost = np.append(np.zeros(features), 1.0)
            eye, one = np.eye(features), np.ones((features, 1))
            above = np.vstack([np.hstack([eye, -one]), np.hstack([-eye, -one])])
            above = np.vstack([above, np.hstack([-normal, np.zeros((classes - 1, 1))])])
            limits = [(-v, 1 - v) for v in row] + [(0, None)]
            best = linprog(cost, above, np.concatenate([np.zeros(2 * features), height]), bounds=limits).fun
        else:
            solved = minimize(
                lambda d: d @ d,
                np.zeros(features),
                jac=lambda d: 2 * d,
                bounds=[(-v, 1 - v) for v in row],
                constraints={
                    "type": "ineq",
                    "fun": lambda d, a=normal, b=height: a @ d + b,
                    "jac": lambda d, a=normal: a,
                },
                method="SLSQP",
                options={"ftol": 1e-12},
            )
            best = math.sqrt(solved.fun)
        ratio = float(np.linalg.norm(point - row, 2 if ball is L2 else np.inf)) / best
        assert 1 - 1e-6 <= ratio <= (1.02 if ball is L2 else 1.15)


def test_on_a_curved_model_another_optimiser_finds_nothing_nearer_from_there() -> None:
    """Of the same problem: least squares under the margin, within the box."""
    inner = net(6, 3, Key(4))

    def model(x: Tensor) -> Tensor:
        logits: Tensor = torch.tanh(inner(x) / 8)
        return logits

    x = saturated(5, 6) * 0.8 + 0.1
    found = run(model, x, L2(99.0))
    assert bool(found.success.all())
    for row, point, own in zip(x, found.x, model(x).argmax(1).tolist()):
        start = row.numpy()

        def margin(z: np.ndarray, own: int = own) -> float:
            with torch.no_grad():
                return float(Margin()(model(torch.tensor(z)[None]), torch.tensor([own])))

        solved = minimize(
            lambda z, start=start: float(((z - start) ** 2).sum()),
            point.numpy(),
            bounds=[(0, 1)] * 6,
            constraints={"type": "ineq", "fun": margin},
            method="SLSQP",
        )
        mine = float((point - row).norm())
        assert margin(point.numpy()) >= 0
        assert margin(solved.x) < -1e-6 or mine <= math.sqrt(solved.fun) * 1.02


class Watched:
    """Remembers the points it was asked about."""

    def __init__(self, model: Model) -> None:
        self.model, self.asked = model, list[Tensor]()

    def __call__(self, x: Tensor) -> Tensor:
        self.asked.append(x.detach().clone())
        return self.model(x)


@balls
def test_a_round_is_the_adam_of_torch_on_the_objective_of_the_paper(ball: type[Threat]) -> None:
    """One row, one round: written again with autograd through tanh, the hinge and the distance."""
    model, x, steps = linear_net(9, 2, Key(8), torch.float64), saturated(1, 9), 25
    watched = Watched(model)
    run(watched, x, ball(99.0), steps=steps, binary_search_steps=1)  # type: ignore[call-arg]
    slope, gap = line(model, x)
    own = model(x).argmax(1)
    w = (2 * torch.atanh((x - 0.5) * 2 * 0.9)).requires_grad_()

    def point() -> Tensor:
        return (0.5 + torch.tanh(w / 2) / 2 / 0.9).clamp(0, 1)

    (through,) = torch.autograd.grad((slope * (0.5 + torch.tanh(w / 2) / 2 / 0.9)).sum(), w)
    if ball is L2:
        c, pace = 2 * gap / (slope**2).sum(), gap * through.abs().max() / (through**2).sum()
    else:
        c, pace = 1 / slope.abs().max(), gap / through.abs().sum()
    tau = gap / slope.abs().sum()
    adam = torch.optim.Adam([w], lr=1.0)
    edge = 2 * math.atanh(0.9)
    expected = [x]
    for k in range(steps):
        inner = 0.5 + torch.tanh(w / 2) / 2 / 0.9
        delta = inner - x
        size = (delta**2).sum() if ball is L2 else (delta.abs() - tau).clamp(min=0).sum()
        hinge = (-Margin()(model(inner), own)).clamp(min=0).sum()
        (w.grad,) = torch.autograd.grad((size + 1.5 * c * hinge).sum(), w)
        adam.param_groups[0]["lr"] = float(0.1 * pace * (1 - k / steps))
        adam.step()
        with torch.no_grad():
            w.clamp_(-edge, edge)
        expected.append(point().detach())
    asked = torch.cat(watched.asked[2 : 2 + steps + 1])
    assert len(asked) == steps + 1
    torch.testing.assert_close(asked, torch.cat(expected), rtol=0, atol=2e-6)


@balls
def test_logits_below_zero_are_no_special_case(ball: type[Threat]) -> None:
    model, x = net(6, 3, Key(4)), saturated(12, 6)
    few: dict[str, Any] = {"steps": 8, "binary_search_steps": 3}
    plain = run(model, x, ball(0.3), **few)  # type: ignore[call-arg]
    for shift in (-64.0, 64.0):
        moved = run(lambda z, by=shift: model(z) + by, x, ball(0.3), **few)  # type: ignore[call-arg]
        assert torch.equal(moved.success, plain.success)
        torch.testing.assert_close(moved.x, plain.x, rtol=0, atol=1e-6)


@balls
def test_a_row_that_fails_gives_its_best_point_and_not_zeros(ball: type[Threat]) -> None:
    model, x = linear_net(30, 2, Key(5), torch.float64), saturated(16, 30) * 0.6 + 0.2
    slope, gap = line(model, x)
    eps = 0.5 * gap / ball(1.0).dual_norm(slope)  # type: ignore[call-arg]
    found = run(model, x, ball(eps))  # type: ignore[call-arg]
    assert bool((found.status == Status.NOT_FOUND).all())
    assert float((found.loss + gap).div(gap).min()) >= 0.5 * 0.95
    assert bool((ball(1.0).norm(found.x - x) <= eps * (1 + 1e-5)).all())  # type: ignore[call-arg]


@balls
def test_units_do_not_matter_and_no_row_waits_for_another(ball: type[Threat]) -> None:
    """Distances from 1e-4 to 1e4 in one batch; a common step, a common abort or a fixed first c would lose some."""
    model = linear_net(20, 2, Key(9), torch.float64)
    with torch.no_grad():
        model.layer.bias.zero_()
    unit = Key(9).fold("x").normal(torch.arange(9), (20,), torch.float64)
    x = unit * (10.0 ** torch.linspace(-4, 4, 9).double())[:, None]
    threat = ball(1e9, -math.inf, math.inf)  # type: ignore[call-arg]
    slope, gap = line(model, x)
    found = run(model, x, threat)
    ratio = threat.norm(found.x - x) / (gap / threat.dual_norm(slope))
    assert bool(found.success.all())
    assert 1 - 1e-9 <= float(ratio.min()) <= float(ratio.max()) <= 1.05


@balls
def test_confidence_is_a_margin_that_the_search_strives_for(ball: type[Threat]) -> None:
    """Of the points with that margin it asks about one near the nearest, which lies `kappa / |w|*` past the border."""
    model, x = linear_net(9, 2, Key(8), torch.float64), saturated(1, 9) * 0.4 + 0.3
    threat = ball(99.0, -9, 9)  # type: ignore[call-arg]
    slope, gap = line(model, x)
    for confidence in (0.0, 0.5, 2.0):
        watched = Watched(model)
        found = run(watched, x, threat, steps=30, binary_search_steps=5, confidence=confidence)
        asked = torch.cat(watched.asked)
        sure = Margin()(model(asked), model(x).argmax(1).expand(len(asked))) >= confidence
        nearest = float(threat.norm(asked - x)[sure].min())
        wanted = float((gap + confidence) / threat.dual_norm(slope))
        assert 1 - 1e-9 <= nearest / wanted <= 1.03
        assert float(threat.norm(found.x - x)) <= nearest


def test_settings_out_of_range_are_refused() -> None:
    model, x = linear_net(4, 2, Key(1)), torch.zeros(1, 4)
    settings: dict[str, Any] = {
        "steps": -1,
        "binary_search_steps": 0,
        "confidence": -1.0,
        "initial_const": 0.0,
    }
    for word, value in {**settings, "rate": math.inf}.items():
        with pytest.raises(UsageError, match=r"expected .* got .*"):
            run(model, x, L2(1.0), **{word: value})
