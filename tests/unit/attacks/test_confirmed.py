"""Confirmed: what a quick way of running a model claims is searched for again where the model itself denies it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.oracles import net
from tests.scenes import batch_of, labelled
from torch import Tensor, nn

from frenemy.attacks.attack import Found, Status
from frenemy.attacks.confirmed import confirmed, nearer
from frenemy.attacks.merging import wish_of
from frenemy.attacks.pgd import PGD
from frenemy.attacks.worst_of import WorstOf
from frenemy.data.batch import Batch
from frenemy.models.fast import Fast
from frenemy.models.lowered import Lowered
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.linf import Linf

EPS = 0.02


def searched(found: Found, wrong: Tensor) -> Found:
    """A search whose points are the clean ones at some rows, claimed all the same."""
    return replace(
        found,
        success=found.success | wrong,
        status=torch.where(wrong, Status.FOUND, found.status),
    )


def test_from_bfloat16_to_the_model_itself() -> None:
    model = nn.Linear(2, 2)
    after = nearer(Lowered(model))
    assert isinstance(after, Fast)
    assert nearer(after) is after.model is model
    assert nearer(model) is None


@pytest.mark.parametrize("liars", [1, 2])
@pytest.mark.parametrize("targets", [False, True])
def test_only_what_does_not_stand_up_is_searched_again(liars: int, targets: bool) -> None:
    """A way that lies about every third row of those it is given: these go to the next way, and no others."""
    model = net(20, 3, Key(4))
    batch = labelled(batch_of((1, 5, 4), 24), model)
    wish: Objective = Targeted((batch.y + 1) % 3) if targets else Untargeted()
    right = PGD(steps=5)(model, batch, threat=Linf(EPS), objective=wish, key=Key(0))
    ways: list[Model] = [Lowered(model), Fast(model), model]
    calls: list[tuple[type, list[int]]] = []

    def search(asked: Model, rows: Tensor) -> Found:
        calls.append((type(asked), rows.tolist()))
        own = wish_of(wish, rows, 24)
        found = PGD(steps=5)(model, batch.rows(rows), threat=Linf(EPS), objective=own, key=Key(0))
        wrong = rows % 3 == 0 if [type(way) for way in ways].index(type(asked)) < liars else rows < 0
        wrong &= ~right.success[rows]
        return searched(
            replace(found, x=torch.where(wrong[:, None, None, None], batch.x[rows], found.x)), wrong
        )

    rows = torch.arange(24)
    found = confirmed(search, ways[0], batch, rows, wish)
    lied = [row for row in range(24) if row % 3 == 0 and not right.success[row]]
    assert lied
    assert calls == [(type(ways[0]), list(range(24))), *((type(way), lied) for way in ways[1 : liars + 1])]
    assert torch.equal(found.success, right.success)
    assert torch.equal(found.status, right.status)
    torch.testing.assert_close(found.x[found.success], right.x[right.success])


def test_the_model_itself_is_taken_at_its_word() -> None:
    model = net(20, 3, Key(4))
    batch = labelled(batch_of((1, 5, 4), 6), model)
    right = PGD(steps=2)(model, batch, threat=Linf(EPS), objective=Untargeted(), key=Key(0))
    given = searched(right, torch.ones(6, dtype=torch.bool))
    assert confirmed(lambda asked, rows: given, model, batch, torch.arange(6), Untargeted()) is given


class Drunk(nn.Module):
    """Says the wrong class in bfloat16, whatever it is asked."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        return logits.roll(1, 1) if torch.is_autocast_enabled("cpu") else logits


def test_several_attacks_on_a_way_that_is_wrong_find_what_they_find_on_the_model() -> None:
    model = Drunk(net(20, 3, Key(4)))
    batch: Batch = labelled(batch_of((1, 5, 4), 24), model)
    attack = WorstOf((PGD(steps=3), PGD(steps=6)))
    right = attack(model, batch, threat=Linf(EPS), objective=Untargeted(), key=Key(0))
    found = attack(Lowered(model), batch, threat=Linf(EPS), objective=Untargeted(), key=Key(0))
    assert not right.success.all()
    assert torch.equal(found.success, right.success)
    assert torch.equal(found.status, right.status)


class Narrow(nn.Module):
    """Has room for four rows at a time."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        assert len(x) <= 4
        logits: Tensor = self.model(x)
        return logits


def test_confirming_keeps_to_the_batch_size() -> None:
    model = Narrow(net(20, 3, Key(4)))
    batch: Batch = labelled(batch_of((1, 5, 4), 24), model.model)
    attack = WorstOf((PGD(steps=6),), batch_size=4)
    found = attack(Fast(model), batch, threat=Linf(0.2), objective=Untargeted(), key=Key(0))
    assert int(found.success.sum()) > 4
