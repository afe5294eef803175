"""FAB: against the released code, closed forms, linear programs, and the mistakes of other libraries."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from tests.oracles import linear_net, net
from torch import Tensor, nn

from frenemy.attacks.attack import Status
from frenemy.attacks.fab import FAB
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

RECORD = Path(__file__).parents[2] / "fixtures" / "autoattack_fab.json"
BALLS: dict[str, type[Linf | L2 | L1]] = {"linf": Linf, "l2": L2, "l1": L1}
every = pytest.mark.parametrize("norm", BALLS)


@cache
def released() -> tuple[dict[str, Any], nn.Module, Batch]:
    """What the released code found, on which model, from which inputs."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    hidden, features = np.shape(record["weights"]["0.weight"])
    classes = len(record["weights"]["2.bias"])
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes))
    model.load_state_dict({name: torch.tensor(value) for name, value in record["weights"].items()})
    x, y = torch.tensor(record["x"]), torch.tensor(record["y"])
    return record, model.eval(), Batch(x, y, torch.arange(len(x)))


def lengths(threat: Threat, attack: FAB) -> tuple[Tensor, Tensor]:
    """How far the attack goes on the recorded inputs, and where it succeeds."""
    _, model, batch = released()
    found = attack(model, batch, threat=threat, objective=Untargeted(), key=Key(0))
    return threat.norm(found.x - batch.x), found.success


@every
@pytest.mark.parametrize(("targets", "word"), [(None, "all"), (9, "targets")])
def test_with_parity_it_goes_as_far_as_the_released_code(norm: str, targets: int | None, word: str) -> None:
    record, _, _ = released()
    expected = torch.tensor([math.inf if far is None else far for far in record["norms"][norm][word]])
    far, success = lengths(BALLS[norm](99.0), FAB(steps=record["steps"], targets=targets, parity=True))
    assert torch.equal(success, expected.isfinite())
    torch.testing.assert_close(far[success], expected[success], rtol=2e-3, atol=1e-5)


@every
@pytest.mark.parametrize("early_stop", [True, False])
def test_with_parity_the_same_rows_are_robust(norm: str, early_stop: bool) -> None:
    record, _, _ = released()
    told = record["norms"][norm]
    attack = FAB(steps=record["steps"], targets=9, parity=True, early_stop=early_stop)
    _, success = lengths(BALLS[norm](told["eps"]), attack)
    assert torch.equal(~success, torch.tensor(told["robust"]))
    assert 0 < int(success.sum()) < len(success)


@every
def test_without_parity_it_comes_nearer_and_asks_for_fewer_backwards(norm: str) -> None:
    """Faces passed over and the search of the line: on the recorded inputs no row loses 1 %, and the mean gains."""
    record, model, batch = released()
    threat, found = BALLS[norm](99.0), []
    for parity in (True, False):
        attack = FAB(steps=record["steps"], parity=parity)
        found.append(attack(model, batch, threat=threat, objective=Untargeted(), key=Key(0)))
    theirs, ours = (threat.norm(one.x - batch.x) for one in found)
    assert bool((ours <= 1.01 * theirs).all())
    assert float(ours.mean()) < float(theirs.mean())
    assert int(found[1].backwards.sum()) < int(found[0].backwards.sum()) / 2


@every
def test_in_a_box_a_linear_model_is_solved_to_a_hundredth(norm: str) -> None:
    """The nearest point of a half space inside the unit cube is a linear program, or for L2 a projection by steps."""
    model, index = linear_net(9, 2, Key(5), torch.float64), torch.arange(30)
    x = Key(6).uniform(index, (9,), torch.float64)
    x = torch.where(Key(7).uniform(index, (9,)) < 0.4, x.round(), x)
    with torch.no_grad():
        z = model(x)
        y, weight = z.argmax(1), model.layer.weight.detach()
    threat = BALLS[norm](99.0)
    found = FAB()(model, Batch(x, y, index), threat=threat, objective=Untargeted(), key=Key(0))
    far = threat.norm(found.x - x)
    for i in range(30):
        w, gap = (weight[1 - y[i]] - weight[y[i]]).numpy(), float(z[i, 1 - y[i]] - z[i, y[i]])
        low, high = -x[i].numpy(), 1 - x[i].numpy()
        if gap + np.maximum(w * low, w * high).sum() <= 0:
            assert not found.success[i]
            continue
        if norm == "l1":
            room = [(0, v) for v in high] + [(0, -v) for v in low]
            least = linprog(np.ones(18), [np.r_[-w, w]], [gap], bounds=room).fun
        elif norm == "linf":
            within = np.block([[np.eye(9), -np.ones((9, 1))], [-np.eye(9), -np.ones((9, 1))], [-w, 0.0]])
            room = [*zip(low, high), (0, None)]
            least = linprog(np.r_[np.zeros(9), 1], within, np.r_[np.zeros(18), gap], bounds=room).fun
        else:
            levels = np.linspace(0, 20, 200_001)[:, None]
            steps = np.clip(levels * w, low, high)
            least = np.linalg.norm(steps[np.argmax(steps @ w + gap >= 0)])
        assert bool(found.success[i])
        assert float(far[i]) == pytest.approx(least, rel=1e-2, abs=1e-9)
    assert int(found.success.sum()) > 20


@pytest.mark.parametrize("classes", [2, 3, 5, 10])
def test_there_are_no_more_targets_than_other_classes(classes: int) -> None:
    """Nine asked for are as many as there are; each run costs two forwards and a backward a step."""
    model, index = net(6, classes, Key(3)), torch.arange(6)
    x = Key(4).uniform(index, (6,), torch.float64)
    batch, counted = Batch(x, model(x).argmax(1), index), Counted(model)
    found = FAB(steps=3, targets=9, batch_size=1)(
        counted, batch, threat=L2(1e-3), objective=Untargeted(), key=Key(0)
    )
    assert not found.success.any()
    assert set(found.backwards.tolist()) == {3 * (classes - 1)}
    assert set(found.forwards.tolist()) == {1 + 2 * 3 * (classes - 1) + 1}
    assert counted.counts.forwards == int(found.forwards.sum())
    every_one = FAB(steps=3, targets=classes - 1)(
        model, batch, threat=L2(9.0), objective=Untargeted(), key=Key(0)
    )
    nine = FAB(steps=3, targets=9)(model, batch, threat=L2(9.0), objective=Untargeted(), key=Key(0))
    assert torch.equal(every_one.x, nine.x)


def test_targets_are_those_of_the_input_and_any_other_answer_is_a_success() -> None:
    """Three classes along a line: on the way from class 0 to its second rival lies the first."""

    def line(x: Tensor) -> Tensor:
        return torch.stack([0.5 - x[:, 0], 0 * x[:, 0], 2 * x[:, 0] - 2.5], 1)

    batch = Batch(torch.zeros(1, 1), torch.tensor([0]), torch.tensor([0]))
    threat = Linf(9.0, low=-9.0, high=9.0)
    for targets in (1, 2):
        found = FAB(steps=30, targets=targets)(line, batch, threat=threat, objective=Untargeted(), key=Key(0))
        assert float(found.x) == pytest.approx(0.5, abs=5e-3)
    assert int(found.step) == 1


def test_towards_a_class_targets_mean_nothing() -> None:
    model, index = net(6, 4, Key(3)), torch.arange(8)
    x = Key(4).uniform(index, (6,), torch.float64)
    batch = Batch(x, (model(x).argmax(1) + 1) % 4, index)
    plain, other = (
        FAB(steps=5, targets=targets)(model, batch, threat=L2(3.0), objective=Hypocritical(), key=Key(0))
        for targets in (None, 3)
    )
    assert torch.equal(plain.x, other.x)
    assert torch.equal(plain.backwards, other.backwards)
    assert int(plain.backwards.max()) <= 6
    assert bool(plain.success.any())


@every
@pytest.mark.parametrize("parity", [False, True])
def test_later_runs_begin_at_half_the_distance_that_is_to_be_bettered(norm: str, parity: bool) -> None:
    """Not at half of eps, as where the best so far is forgotten; but with parity."""
    asked: list[Tensor] = []

    def half(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        return torch.stack([0.3 - x[:, 0], 0 * x[:, 0]], 1)

    threat = BALLS[norm](8.0, low=-99.0, high=99.0)
    batch = Batch(torch.zeros(1, 4), torch.tensor([0]), torch.tensor([7]))
    steps = 10
    FAB(steps=steps, restarts=2, parity=parity)(
        half, batch, threat=threat, objective=Untargeted(), key=Key(0)
    )
    first = [float(threat.norm(x)) for x in asked[1 : 1 + 2 * steps] if float(half(x)[0, 0]) < 0]
    begin = float(threat.norm(asked[1 + 2 * steps]))
    assert min(first) == pytest.approx(0.3, rel=0.02)
    assert begin == pytest.approx(4.0 if parity else min(first) / 2, rel=1e-5)


@pytest.mark.parametrize(("parity", "beyond"), [(True, 1.0), (False, 1.001)])
def test_a_step_is_the_projection_with_its_pull(parity: bool, beyond: float) -> None:
    """One step by hand: on the plane 3 a + 4 b = 5 from (0, 0), then from the success pulled back."""
    asked: list[Tensor] = []

    def plane(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        return torch.stack([5 - x @ torch.tensor([3.0, 4.0]), 0 * x[:, 0]], 1)

    batch = Batch(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0]))
    FAB(steps=2, eta=1.1, beta=0.5, alpha_max=0.2, parity=parity)(
        plane, batch, threat=L2(9.0, low=-9.0, high=9.0), objective=Untargeted(), key=Key(0)
    )
    onto, pull = torch.tensor([[0.6, 0.8]]), 0.2 * 1.1 * beyond
    first = 0.8 * 1.1 + pull
    torch.testing.assert_close(asked[2], first * onto)
    torch.testing.assert_close(asked[3], first / 2 * onto)
    torch.testing.assert_close(asked[4], (0.8 * (first / 2 + 1.1 * (1 - first / 2)) + pull) * onto)


@every
def test_rounding_does_not_say_on_which_side_of_the_face_a_point_lies(norm: str) -> None:
    """From beyond the face both steps pass it, and what they add up to would lie on it to the last bit."""
    gaps: list[float] = []

    def plane(x: Tensor) -> Tensor:
        gap = x @ torch.tensor([3.0, 4.0, 1.0]) - 5
        gaps.append(float(gap[0].detach()))
        return torch.stack([-gap, 0 * gap], 1)

    batch, threat = Batch(torch.zeros(1, 3), torch.tensor([0]), torch.tensor([0])), BALLS[norm]
    FAB(steps=20, alpha_max=1.0, beta=0.99)(
        plane, batch, threat=threat(9.0, low=-9.0, high=9.0), objective=Untargeted(), key=Key(0)
    )
    assert min(map(abs, gaps[: 1 + 2 * 20])) > 1e-5  # then the line to the nearest success is searched


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"targets": 0}, "expected targets >= 1"),
        ({"alpha_max": 1.1}, "expected alpha_max and beta"),
        ({"beta": -0.1}, "expected alpha_max and beta"),
        ({"eta": 0.0}, "a finite eta above 0"),
        ({"eta": math.nan}, "a finite eta above 0"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        FAB(**wrong)


def test_a_gradient_that_dies_ends_the_run_and_not_the_search() -> None:
    """Flat at the input itself, and sloped all around: the first run is blind, the second is not."""

    def shy(x: Tensor) -> Tensor:
        height = (x - 0.5).abs().sum(1).clamp(min=0.05)
        return torch.stack([torch.full_like(height, 0.3), height], 1)

    batch = Batch(torch.full((4, 2), 0.5), torch.zeros(4, dtype=torch.int64), torch.arange(4))
    for restarts, status in ((1, Status.NOT_FOUND), (2, Status.FOUND)):
        found = FAB(steps=10, restarts=restarts, alpha_max=0.0)(
            shy, batch, threat=Linf(0.4), objective=Untargeted(), key=Key(0)
        )
        assert set(found.status.tolist()) == {int(status)}
        assert bool(found.flat.all())
