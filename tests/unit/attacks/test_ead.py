"""EAD: against closed forms and linear programmes in a box, a slow second writing, and the bugs of others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from tests.oracles import linear_net, net
from torch import Tensor

from frenemy.attacks.attack import Found, Status
from frenemy.attacks.ead import EAD
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat


def run(model: Model, x: Tensor, threat: Threat, wish: Objective | None = None, **settings: Any) -> Found:
    """Search from the model's own answers, for an enemy unless said otherwise."""
    with torch.no_grad():
        y = model(x).argmax(1)
    attack = EAD(**settings)
    batch = Batch(x, y, torch.arange(len(x)))
    return attack(model, batch, threat=threat, objective=wish or Untargeted(Margin()), key=Key(0))


def grey(rows: int, features: int) -> Tensor:
    """Inputs of which half lie at the ends of [0, 1]."""
    x = Key(3).fold("x").uniform(torch.arange(rows), (features,), torch.float64)
    return ((x - 0.5) * 2 + 0.5).clamp(0, 1)


class Watched:
    """Remembers the points it was asked about."""

    def __init__(self, model: Model) -> None:
        self.model, self.asked = model, list[Tensor]()

    def __call__(self, x: Tensor) -> Tensor:
        self.asked.append(x.detach().clone())
        return self.model(x)


def test_in_a_box_it_fills_the_steepest_coordinates_and_leaves_the_rest_alone() -> None:
    """The least L1 distance to a hyperplane fills one coordinate after the other, the steepest first."""
    model, x = linear_net(40, 2, Key(5), torch.float64), grey(16, 40)
    found = run(model, x, L1(99.0))
    weight, logits = model.layer.weight.detach(), model(x).detach()
    own = logits.argmax(1)
    slope, gap = (weight[1 - own] - weight[own]).numpy(), (logits[:, 0] - logits[:, 1]).abs().tolist()
    assert bool(found.success.all())
    several = 0
    for w, need, row, point in zip(slope, gap, x.numpy(), found.x.numpy()):
        wanted, changed = 0.0, 0
        for i in np.argsort(-np.abs(w)):
            step = min(1 - row[i] if w[i] > 0 else row[i], need / abs(w[i]))
            wanted, need, changed = wanted + step, need - step * abs(w[i]), changed + int(step > 0)
        delta = np.abs(point - row)
        assert 1 - 1e-9 <= delta.sum() / wanted <= EAD.card.nearest
        assert (delta > 1e-3).sum() <= changed + 3
        several += changed > 1
    assert several > 4


def test_towards_a_corner_of_many_faces_it_comes_near_a_linear_programme() -> None:
    classes, features = 4, 12
    model = linear_net(features, classes, Key(6), torch.float64)
    x = Key(6).fold("x").uniform(torch.arange(8), (features,), torch.float64)
    with torch.no_grad():
        target = model(x).argmin(1)
    found = run(model, x, L1(99.0), Targeted(target, Margin()))
    assert bool(found.success.all())
    weight, bias = model.layer.weight.detach().numpy(), model.layer.bias.detach().numpy()
    for row, goal, point in zip(x.numpy(), target.tolist(), found.x.numpy()):
        other = [k for k in range(classes) if k != goal]
        normal = weight[goal] - weight[other]
        height = normal @ row + bias[goal] - bias[other]
        room = [(0, 1 - v) for v in row] + [(0, v) for v in row]
        best = linprog(np.ones(2 * features), np.hstack([-normal, normal]), height, bounds=room).fun
        assert 1 - 1e-6 <= np.abs(point - row).sum() / best <= 1.1


def test_a_round_is_fista_written_out_one_number_at_a_time() -> None:
    """One row, one round of the algorithm on a model of two classes, in loops over numpy."""
    model, x, steps, beta = linear_net(9, 2, Key(8), torch.float64), grey(1, 9), 25, 7.0
    watched = Watched(model)
    run(watched, x, L1(99.0), beta=beta, steps=steps, binary_search_steps=1)
    weight, own = model.layer.weight.detach().numpy(), int(model(x).argmax())
    slope, origin = weight[1 - own] - weight[own], x.numpy()[0]
    gap = float((model(x)[0, own] - model(x)[0, 1 - own]).detach())
    scale = gap / np.abs(slope).max()
    c = 1.5 * (beta + 2) / np.abs(slope).max()
    before, point, expected = origin.copy(), origin.copy(), [origin.copy()]
    for k in range(steps):
        cut = 0.1 * scale * (1 - k / steps)
        alpha, after = cut / beta, np.zeros(9)
        below = slope @ (point - origin) < gap
        for i in range(9):
            z = point[i] - alpha * (2 * (point[i] - origin[i]) / scale - (c * slope[i] if below else 0.0))
            if z - origin[i] > cut:
                after[i] = min(z - cut, 1.0)
            elif z - origin[i] < -cut:
                after[i] = max(z + cut, 0.0)
            else:
                after[i] = origin[i]
        push = k / (k + 3) if k + 1 < steps else 0.0
        point = np.clip(after + push * (after - before), 0, 1)
        before = after
        expected.append(point.copy())
    asked = torch.cat(watched.asked[2 : 3 + steps]).numpy()
    np.testing.assert_allclose(asked, np.stack(expected), rtol=0, atol=1e-9)


def test_the_input_is_no_part_of_the_search_that_moves() -> None:
    """A parameter that shares the input's memory, and is stepped in place, moves what distances are measured from."""
    model, x = net(6, 3, Key(4)), grey(12, 6)
    kept = x.clone()
    first = run(model, x, L1(0.4), steps=8, binary_search_steps=3)
    assert torch.equal(x, kept)
    assert first.x.data_ptr() != x.data_ptr()
    again = run(model, x, L1(0.4), steps=8, binary_search_steps=3)
    assert torch.equal(first.x, again.x)
    assert bool((first.x != x).any())


def test_what_is_returned_was_asked_and_is_the_nearest_success_of_all_asked() -> None:
    """Never a point beside the one whose answer was read."""
    model, x = net(6, 3, Key(4)), grey(12, 6)
    label = model(x).argmax(1)
    for place in range(12):
        watched = Watched(model)
        found = run(watched, x[place : place + 1], L1(9.0), steps=10, binary_search_steps=3)
        asked = torch.cat(watched.asked)
        won = model(asked).argmax(1) != label[place]
        far = (asked - x[place]).abs().sum(1)
        assert bool((asked == found.x).all(1).any())
        assert bool(found.success) == bool(won.any())
        if found.success:
            assert float((found.x - x[place]).abs().sum()) == pytest.approx(float(far[won].min()), rel=1e-12)


def test_a_row_that_fails_gives_its_best_point() -> None:
    model = linear_net(30, 2, Key(5), torch.float64)
    x = grey(16, 30) * 0.2 + 0.4
    weight, logits = model.layer.weight.detach(), model(x).detach()
    own, gap = logits.argmax(1), (logits[:, 0] - logits[:, 1]).abs()
    threat = L1(0.5 * gap / (weight[1 - own] - weight[own]).abs().amax(1), -9.0, 9.0)
    found = run(model, x, threat)
    assert bool((found.status == Status.NOT_FOUND).all())
    assert float((found.loss + gap).div(gap).min()) >= 0.5 * EAD.card.reach


def test_units_do_not_matter_and_no_row_waits_for_another() -> None:
    """Distances from 1e-4 to 1e4 in one batch."""
    model = linear_net(20, 2, Key(9), torch.float64)
    with torch.no_grad():
        model.layer.bias.zero_()
    unit = Key(9).fold("x").normal(torch.arange(9), (20,), torch.float64)
    x = unit * (10.0 ** torch.linspace(-4, 4, 9).double())[:, None]
    found = run(model, x, L1(1e9, -math.inf, math.inf))
    gap, slope = (model(x)[:, 0] - model(x)[:, 1]).abs(), model.layer.weight[0] - model.layer.weight[1]
    ratio = (found.x - x).abs().sum(1) / (gap / slope.abs().max()).detach()
    assert bool(found.success.all())
    assert 1 - 1e-9 <= float(ratio.min()) <= float(ratio.max()) <= EAD.card.nearest


def test_what_cannot_be_is_refused() -> None:
    model, x = linear_net(4, 2, Key(1)), torch.zeros(1, 4)
    settings: dict[str, Any] = {"beta": 0.0, "steps": -1, "binary_search_steps": 0, "initial_const": -1.0}
    for word, value in {**settings, "rate": math.nan}.items():
        with pytest.raises(UsageError, match=r"expected .* got .*"):
            run(model, x, L1(1.0), **{word: value})
    with pytest.raises(UsageError, match="that EAD can search"):
        run(model, x, Linf(1.0))
