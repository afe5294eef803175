"""APGD: each point is the paper's and, asked for parity, the released code's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from tests.oracles import net
from tests.scenes import batch_of, labelled
from tests.unit.attacks.bent import BALLS, TOLD, Bent, climbed, paper
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.apgd import APGD, thrown
from frenemy.attacks.ascent import Rule
from frenemy.attacks.best import Best
from frenemy.attacks.climb import Climb, Sift
from frenemy.errors import UsageError
from frenemy.models.counted import Counted
from frenemy.objectives.objective import Objective
from frenemy.objectives.steered import Steered
from frenemy.objectives.surrogates import DLR, Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import radii

WISHES: dict[str, Objective] = {
    "ce": Untargeted(),
    "dlr": Untargeted(DLR()),
    "dlr-targeted": Steered(TOLD["rank"]),
}


def near(ours: Tensor, theirs: Any, rtol: float = 0.0, atol: float = 0.0) -> None:
    """The same numbers, in float64."""
    torch.testing.assert_close(ours.double(), torch.as_tensor(theirs).double(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("run", TOLD["runs"])
def test_each_step_is_the_released_code_s(run: str) -> None:
    """Losses of all steps, the last and the best point, and who is fooled, from the same noise."""
    norm, loss = run.split()
    said, steps = TOLD["runs"][run], TOLD["steps"]
    dtype = torch.float32 if norm == "L1" else torch.float64
    x, noise = (torch.tensor(TOLD[name][norm], dtype=dtype) for name in ("x", "noise"))
    rule: Rule = Sift(steps, parity=True) if norm == "L1" else Climb(steps, parity=True)

    def begin(best: Best) -> Tensor:
        return thrown(best, torch.arange(len(x)), noise)

    found, points, losses = climbed(rule, steps, x, BALLS[norm](TOLD["eps"][norm]), WISHES[loss], begin)
    assert len(points) == steps + 1
    rounding = 2e-6 if norm == "L1" else 1e-9
    near(losses, said["losses"], rtol=1e-5, atol=rounding)
    near(losses.amax(0), said["peak"], rtol=1e-5, atol=rounding)
    best = points[losses.argmax(0), torch.arange(len(x))]
    near(points[-1].flatten(), said["last"], atol=1e-6)
    near(best.flatten(), said["best"], atol=1e-6)
    assert found.success.tolist() == said["fooled"]
    missed = ~found.success
    near(found.loss[missed], losses.amax(0)[missed], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("steps", [3, 20, 50])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_each_point_is_the_paper_s(norm: str, steps: int, scale: float) -> None:
    eps = scale * TOLD["eps"][norm]
    x = torch.tensor(TOLD["x"][norm], dtype=torch.float64)
    start = BALLS[norm](eps).retract(
        x + 0.5 * eps * torch.tensor(TOLD["noise"][norm]).double(), x, radii(eps, x)
    )
    rule: Rule = Sift(steps) if norm == "L1" else Climb(steps)
    _, points, _ = climbed(rule, steps, x, BALLS[norm](eps), Untargeted(), lambda best: start.clone())
    answers = Bent()(x).argmax(1).tolist()
    for row, y in enumerate(answers):
        slow = paper(norm, x[row].numpy(), y, start[row].numpy(), eps, steps)
        near(points[:, row], np.array(slow), atol=1e-8)


def sizes(rule: Climb, losses: list[float]) -> list[float]:
    """Lengths of the steps, in eps, that a rule takes after seeing these losses, one after the other."""
    batch, model = batch_of((3,), 1), net(3, 3, Key(1))
    threat = Linf(1.0, -9.0, 9.0)
    best = Best(batch, model(batch.x).detach(), threat=threat, objective=Untargeted(Margin()))

    def begin(rows: Tensor) -> State:
        return {"x": batch.x.clone(), **rule.begin(best, rows, batch.x)}

    active, taken = Active(best, torch.arange(1), begin, None), []
    for loss in losses:
        active.step(1, rule.onward(active, threat, torch.ones_like(batch.x), torch.tensor([loss]).double()))
        taken.append(float(active.state["size"]))
    return taken


def drops(taken: list[float]) -> list[int]:
    """Ages at which steps became shorter."""
    return [t for t, (a, b) in enumerate(zip([2.0, *taken], taken)) if b < a]


def test_checkpoints_stand_where_the_paper_has_them() -> None:
    """Where nothing rises, every checkpoint halves; the list for 100 steps follows from p by hand."""
    assert drops(sizes(Climb(100), [0.0] * 100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert drops(sizes(Climb(100, parity=True), [0.0] * 100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert drops(sizes(Climb(50), [0.0] * 50)) == [11, 21, 29, 35, 40, 44, 47]
    assert drops(sizes(Climb(4), [0.0] * 4)) == [1, 2, 3]
    assert sizes(Climb(100), [0.0] * 23)[-1] == 1.0


def rising(up: int, down: int, first: float = 0.0) -> list[float]:
    """So many steps up by 10 each after so many down by 1 each; the best is the last."""
    return [first, *(first - n for n in range(1, down + 1)), *(first + 10 * n for n in range(1, up + 1))]


def test_the_first_condition_is_fewer_than_three_quarters() -> None:
    """16 of 22 is fewer; with 40 steps the first window of the released code is 8 long, and 6 is not fewer."""
    assert drops(sizes(Climb(100), rising(16, 6))) == [22]
    assert drops(sizes(Climb(100), rising(17, 5))) == []
    assert drops(sizes(Climb(100, rho=0.5), rising(11, 11))) == []
    fewer = [
        drops(sizes(Climb(100 if not parity else 40, parity=parity), rising(6, 2)))
        for parity in (False, True)
    ]
    assert fewer == [[], [8]]
    assert drops(sizes(Climb(37), rising(6, 3))) == [9]


def test_the_second_condition_is_no_better_point() -> None:
    """Far down at once and then up, but not to where it was: the released code lets that pass the first time."""
    losses = [0.0, *(-100.0 + n for n in range(60))]
    assert drops(sizes(Climb(100), losses[:42])) == [22]
    assert drops(sizes(Climb(100), losses[:58])) == [22, 57]
    assert drops(sizes(Climb(100, parity=True), losses[:42])) == [41]


def test_the_released_code_reads_the_first_loss_as_zero_and_we_do_not() -> None:
    """Seven of the first eight losses rise, the first among them, which does not rise above zero."""
    losses = [-20.0, -19.0, -18.0, -17.0, -16.0, -15.0, -14.0, -13.0, -13.5]
    assert drops(sizes(Climb(40, parity=True), losses)) == [8]
    assert drops(sizes(Climb(40, parity=True), [loss + 30 for loss in losses])) == []
    assert drops(sizes(Climb(37), [*losses, -12.0])) == []


@pytest.mark.parametrize("norm", BALLS)
def test_the_released_start_is_what_it_says(norm: str) -> None:
    batch, eps = batch_of((6,), 4), torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    threat = BALLS[norm](eps, low=-math.inf, high=math.inf)
    best = Best(batch, net(6, 3, Key(2))(batch.x).detach(), threat=threat, objective=Untargeted())
    noise = Key(3).normal(batch.index, (6,), torch.float64)
    delta = thrown(best, torch.arange(4), noise) - batch.x
    torch.testing.assert_close(threat.norm(delta), eps)
    if norm == "L1":
        torch.testing.assert_close(delta, threat.retract(noise, torch.zeros_like(noise), eps))
    else:
        torch.testing.assert_close(delta / eps[:, None], noise / threat.norm(noise)[:, None])
    rows = torch.tensor([2, 0])
    torch.testing.assert_close(thrown(best, rows, noise[rows]) - batch.x[rows], delta[rows])


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("parity", [False, True])
def test_a_shrinking_search_looks_wider_first_and_counts_it(norm: str, parity: bool) -> None:
    model, sizes_ = net(6, 3, Key(2)), torch.full((9,), 0.1).double()
    batch = labelled(batch_of((6,), 9), model)
    sizes_[::2] = 0.05
    threat, eps = BALLS[norm](sizes_), radii(sizes_, batch.x)
    asked: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        logits: Tensor = model(x)
        return logits

    counted = Counted(watched)
    settings: dict[str, Any] = {"steps": 20, "shrinking": True, "early_stop": False, "parity": parity}
    found = APGD(**settings)(counted, batch, threat=threat, objective=Untargeted(), key=Key(1))
    assert bool(threat.contains(found.x, batch.x, eps).all())
    assert torch.equal(found.success, model(found.x).argmax(1) != batch.y)
    assert found.forwards.tolist() == [1 + 21 + 4] * 9
    assert found.backwards.tolist() == [20] * 9
    assert int(found.forwards.sum()) == counted.counts.forwards
    assert int(found.backwards.sum()) == counted.counts.backwards
    reach = torch.stack([(threat.norm(x - batch.x) / eps).amax() for x in asked])
    assert bool((reach <= 3 + 1e-9).all())
    assert bool(((reach > 2 + 1e-6) & (reach <= 3 + 1e-9)).any())
    assert bool((reach[-9:] <= 1 + 1e-9).all())
    again = APGD(**settings, batch_size=2)(model, batch, threat=threat, objective=Untargeted(), key=Key(1))
    torch.testing.assert_close(again.loss, found.loss, rtol=1e-5, atol=1e-6)
    assert torch.equal(again.forwards, found.forwards)


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_a_short_shrinking_search_is_one(steps: int) -> None:
    model = net(6, 3, Key(2))
    batch = labelled(batch_of((6,), 5), model)
    attack = APGD(steps=steps, shrinking=True, early_stop=False, restarts=2)
    found = attack(model, batch, threat=L1(0.3), objective=Untargeted(), key=Key(1))
    assert found.backwards.tolist() == [2 * steps] * 5


def test_settings_out_of_range_are_named() -> None:
    model = net(6, 3, Key(2))
    batch = labelled(batch_of((6,), 3), model)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"rho": 1.5}, "rho in"),
        ({"momentum": 0.0}, "momentum in"),
        ({"shrinking": True}, "expected a ball"),
    ]
    for words, said in wrong:
        with pytest.raises(UsageError, match=said):
            APGD(**words)(model, batch, threat=Sphere(L2(0.1)), objective=Untargeted(), key=Key(0))
