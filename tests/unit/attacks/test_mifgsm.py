"""MI-FGSM against a slow loop, and the schedules of PGD."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.oracles import net
from tests.scenes import around, batch_of, labelled
from tests.unit.attacks.bent import BALLS, TOLD, Bent, cross_entropy
from torch import Tensor

from frenemy.attacks.bim import BIM
from frenemy.attacks.mifgsm import MIFGSM
from frenemy.attacks.pgd import PGD
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.linf import Linf


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_each_point_is_the_paper_s(norm: str, decay: float) -> None:
    """Equations 6 to 8, with the sum of absolute values that the paper divides by."""
    steps, eps = 8, 0.1
    x = torch.tensor(TOLD["x"][norm], dtype=torch.float64)
    model = Bent()
    y = model(x).argmax(1)
    model.asked.clear()
    attack = MIFGSM(steps=steps, step_size=0.2, decay=decay, early_stop=False)
    batch = Batch(x, y, torch.arange(len(x)))
    attack(model, batch, threat=BALLS[norm](eps), objective=Untargeted(), key=Key(0))
    assert len(model.asked) == steps + 1
    for row in range(len(x)):
        origin = x[row].numpy()
        point, gathered = origin, np.zeros_like(origin)
        for asked in model.asked:
            np.testing.assert_allclose(asked[row].numpy(), point, rtol=0, atol=1e-12)
            slope = cross_entropy(point, int(y[row]))[1]
            gathered = decay * gathered + slope / np.abs(slope).sum()
            way = np.sign(gathered) if norm == "Linf" else gathered / np.sqrt((gathered**2).sum())
            step = point + 0.2 * eps * way - origin
            length = np.abs(step).max() if norm == "Linf" else np.sqrt((step**2).sum())
            step = np.clip(step, -eps, eps) if norm == "Linf" else step * min(1.0, eps / length)
            point = np.clip(origin + step, 0, 1)


def test_without_memory_it_is_bim() -> None:
    model = net(6, 3, Key(2))
    batch = labelled(batch_of((6,), 12), model)
    for early_stop in (True, False):
        ours, plain = (
            attack(model, batch, threat=Linf(0.1), objective=Untargeted(), key=Key(0))
            for attack in (
                MIFGSM(steps=6, decay=0.0, early_stop=early_stop),
                BIM(steps=6, early_stop=early_stop),
            )
        )
        assert torch.equal(ours.x, plain.x)
        assert torch.equal(ours.forwards, plain.forwards)


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e30])
@pytest.mark.parametrize("kind", ["linf", "l2", "l1"])
def test_gradients_of_any_size_give_the_same_way(kind: str, scale: float) -> None:
    """In float32, where the sum of squares of 1e-30 is 0 and a mean of 1e-40 is not exact."""
    slope = torch.tensor([3.0, -2.0, 1.0, 0.0])

    def line(x: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(x)), scale * (x @ slope - 100)], 1)

    batch = Batch(torch.full((2, 4), 0.5), torch.zeros(2, dtype=torch.int64), torch.arange(2))
    threat = around(kind, 0.2)
    found = MIFGSM()(line, batch, threat=threat, objective=Untargeted(Margin()), key=Key(0))
    step = threat.steepest(slope[None].expand(2, 4)) * 0.2
    assert not found.flat.any()
    if scale != 1e-40:
        torch.testing.assert_close(found.x[:, :3] - 0.5, step[:, :3], rtol=0, atol=1e-5)
    assert found.x.isfinite().all()


def test_a_decay_below_nought_is_named() -> None:
    model, batch = net(6, 3, Key(2)), batch_of((6,), 3)
    for decay in (-0.1, math.inf, math.nan):
        with pytest.raises(UsageError, match="decay of 0 or more"):
            MIFGSM(decay=decay)(model, batch, threat=Linf(0.1), objective=Untargeted(), key=Key(0))


@pytest.mark.parametrize(
    ("schedule", "share"),
    [
        ("constant", lambda t: 1.0),
        ("cosine", lambda t: (1 + math.cos(math.pi * t / 9)) / 2),
        ("linear", lambda t: 1 - t / 9),
    ],
)
def test_pgd_steps_as_scheduled(schedule: str, share: object) -> None:
    """Up a straight line from the input, each step has its length; rows of any age know their own."""
    asked: list[Tensor] = []

    def line(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        return torch.cat([torch.zeros_like(x), x - 9.0], 1)

    assert callable(share)
    batch = Batch(torch.zeros(7, 1).double(), torch.zeros(7, dtype=torch.int64), torch.arange(7))
    lengths = torch.tensor([0.05 * share(t) for t in range(9)]).double()
    expected = torch.cat([torch.zeros(1).double(), lengths.cumsum(0)])
    attack = PGD(steps=9, step_size=0.05, schedule=schedule, random_start=False, early_stop=False)
    attack(line, batch, threat=Linf(1.0), objective=Untargeted(Margin()), key=Key(0))
    for t, x in enumerate(asked):
        torch.testing.assert_close(x, expected[t].expand(7, 1), rtol=0, atol=1e-7)
    whole = attack(line, batch, threat=Linf(1.0), objective=Untargeted(Margin()), key=Key(0))
    torch.testing.assert_close(whole.x, expected[-1].expand(7, 1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_schedule_is_kept_by_rows_that_come_later(schedule: str) -> None:
    model = net(6, 3, Key(2))
    batch = labelled(batch_of((6,), 24), model)
    whole, parts = (
        PGD(steps=8, schedule=schedule, batch_size=size)(
            model, batch, threat=Linf(0.08), objective=Untargeted(), key=Key(0)
        )
        for size in (None, 5)
    )
    assert torch.equal(whole.success, parts.success)
    assert 0 < int(whole.success.sum()) < 24
    torch.testing.assert_close(whole.x, parts.x, rtol=0, atol=1e-9)


def test_an_unknown_schedule_is_answered_with_the_nearest() -> None:
    model, batch = net(6, 3, Key(2)), batch_of((6,), 3)
    with pytest.raises(UsageError, match="did you mean 'cosine'"):
        PGD(schedule="cosin")(model, batch, threat=Linf(0.1), objective=Untargeted(), key=Key(0))
