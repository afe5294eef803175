"""Patience: which walks of FAB are given up, and that no row is lost by it."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracles import net
from tests.scenes import batch_of, labelled
from torch import Tensor

from frenemy.attacks.fab import FAB
from frenemy.attacks.patience import fresh, hopeless, walked
from frenemy.data.batch import Batch
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf


def test_a_walk_remembers_its_nearest_success_and_when_the_first_was() -> None:
    walk = fresh(torch.zeros(1))
    seen = []
    for success, distance in ((False, 1.0), (True, 5.0), (True, 4.0), (False, 0.1), (True, 6.0)):
        walk = walked(walk, torch.tensor([success]), torch.tensor([distance]))
        seen.append((float(walk["reach"]), int(walk["since"])))
    assert seen == [(math.inf, 0), (5.0, 0), (4.0, 1), (4.0, 2), (4.0, 3)]


@pytest.mark.parametrize(
    ("threat", "times"), [(Linf(1.0), (2, 1.5, 1.25)), (L2(1.0), (2, 1.5, 1.25)), (L1(1.0), (3, 2, 1.5))]
)
def test_the_longer_it_has_walked_the_nearer_it_must_be(
    threat: Linf | L2 | L1, times: tuple[float, ...]
) -> None:
    limit = torch.tensor([0.5])

    def given_up(since: int, reach: float) -> bool:
        walk = {"reach": torch.tensor([reach]), "since": torch.tensor([since])}
        return bool(hopeless(walk, limit, threat))

    assert not given_up(9, 99.0)
    assert not given_up(99, math.inf)
    for since, factor in zip((10, 25, 50), times):
        assert given_up(since, 0.5 * factor * 1.01)
        assert not given_up(since, 0.5 * factor * 0.99)


@pytest.mark.parametrize("kind", [Linf, L2, L1])
def test_it_saves_steps_and_loses_no_row(kind: type[Linf | L2 | L1]) -> None:
    """With parity no walk is given up: from the same starts as many rows fall."""
    model = net(8, 5, Key(2), gain=2.0)
    batch = labelled(batch_of((8,), 40), model)
    size = {Linf: 0.04, L2: 0.1, L1: 0.2}[kind]

    def run(parity: bool) -> tuple[Tensor, int]:
        attack = FAB(steps=60, targets=4, early_stop=True, parity=parity)
        found = attack(model, batch, threat=kind(size), objective=Untargeted(), key=Key(0))
        return found.success, int(found.forwards.sum())

    patient, every = run(True)
    quick, some = run(False)
    assert torch.equal(quick, patient)
    assert 0 < int(quick.sum()) < 40
    assert some < 0.8 * every


def test_each_walk_has_its_own_patience() -> None:
    """The first target is far, and given up after its ten steps; the second is inside, and is come to."""
    asked: list[Tensor] = []

    def two(x: Tensor) -> Tensor:
        """From class 0 at the origin, class 1 begins at a = 9, class 2 at b = 0.5 but stands lower at the start."""
        asked.append(x.detach())
        return torch.stack([0 * x[:, 0], (x[:, 0] - 9) / 100, x[:, 1] - 0.5], 1)

    batch = Batch(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0]))
    threat = Linf(1.0, low=-99.0, high=99.0)
    attack = FAB(steps=40, targets=2, early_stop=True)
    found = attack(two, batch, threat=threat, objective=Untargeted(), key=Key(0))
    assert bool(found.success)
    assert float(found.x[0, 1]) > 0.5
    assert len(asked) < 2 * 14
