"""The ensemble: which parts, for how many classes, and what it owes to each of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from tests.oracles import net
from tests.scenes import batch_of, labelled
from torch import Tensor

from frenemy.attacks.aimed import Aimed
from frenemy.attacks.apgd import APGD
from frenemy.attacks.attack import Attack, Found, Status
from frenemy.attacks.autoattack import AutoAttack
from frenemy.attacks.fab import FAB
from frenemy.attacks.pgd import PGD
from frenemy.attacks.square import Square
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.counted import Counted
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.objective import Objective, Surrogate
from frenemy.objectives.reversal import Reversal
from frenemy.objectives.surrogates import DLR, KL, CrossEntropy, Margin
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.sphere import Sphere

QUICK = AutoAttack(steps=8, queries=40)


def names(attack: AutoAttack, classes: int, *, towards: bool = False) -> list[tuple[str, str, Any]]:
    """Each part as its attack, its loss, and its rank or ranks."""
    parts = attack.parts(classes, towards=towards)
    return [(type(part.attack).__name__, part.loss, part.rank) for part in parts]


def scene(classes: int, rows: int = 30) -> tuple[torch.nn.Module, Batch]:
    model = net(6, classes, Key(2), gain=2.0)
    return model, labelled(batch_of((6,), rows), model)


def test_the_parts_are_those_of_the_published_versions() -> None:
    nine = tuple(range(1, 10))
    assert names(AutoAttack(), 10) == [
        ("APGD", "ce", 0),
        ("APGD", "dlr", nine),
        ("FAB", "margin", nine),
        ("Square", "margin", 0),
    ]
    assert names(AutoAttack(parity=True), 10) == [
        ("APGD", "ce", 0),
        *(("APGD", "dlr", rank) for rank in nine),
        ("FAB", "margin", 0),
        ("Square", "margin", 0),
    ]
    assert names(AutoAttack("plus"), 10) == [
        ("APGD", "ce", 0),
        ("APGD", "dlr", 0),
        ("FAB", "margin", 0),
        ("Square", "margin", 0),
        ("APGD", "dlr", nine),
        ("FAB", "margin", nine),
    ]
    assert names(AutoAttack("rand"), 10) == [("APGD", "ce", 0), ("APGD", "dlr", 0)]
    plus = [part.attack for part in AutoAttack("plus").parts(10)]
    assert [part.restarts for part in plus if isinstance(part, APGD)] == [5, 5, 1]
    assert [(part.restarts, part.targets) for part in plus if isinstance(part, FAB)] == [(5, None), (1, None)]
    assert [part.queries for part in plus if isinstance(part, Square)] == [5000]


@pytest.mark.parametrize(("classes", "ranks"), [(2, 1), (3, 2), (5, 4), (10, 9), (1000, 9)])
def test_there_are_no_more_targets_than_other_classes(classes: int, ranks: int) -> None:
    tried = [rank for _, _, rank in names(AutoAttack(), classes)]
    assert tried == [0, tuple(range(1, ranks + 1)), tuple(range(1, ranks + 1)), 0]
    assert [rank for _, _, rank in names(AutoAttack(), classes, towards=True)] == [0, 0, 0, 0]


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "wish", [Untargeted(), Hypocritical(Margin()), Reversal(KL()), Targeted("runner-up")], ids=str
)
def test_it_works_for_any_number_of_classes_and_any_wish(classes: int, wish: Objective) -> None:
    """What it says is what the model says, row by row; and it leaves no more standing than any of its parts."""
    model, batch = scene(classes)
    threat, key = Linf(0.12), Key(3)
    found = QUICK(model, batch, threat=threat, objective=wish, key=key)
    with torch.no_grad():
        goal = wish.goal(model(batch.x), batch.y)
        logits = model(found.x)
    assert torch.equal(found.success, wish.success(logits, goal))
    torch.testing.assert_close(found.loss.double(), wish.loss(logits, goal), rtol=1e-5, atol=1e-6)
    for part in QUICK.parts(classes, towards=wish.towards):
        draw = key.fold("worst of").fold(repr(part))
        alone = part(model, batch, threat=threat, objective=wish, key=draw)
        assert bool((found.success | ~alone.success).all()), part


def test_its_cost_is_counted_to_the_row() -> None:
    model, batch = scene(5)
    for attack in (QUICK, dataclasses.replace(QUICK, version="plus", early_stop=False)):
        counted = Counted(model)
        found = attack(counted, batch, threat=Linf(0.05), objective=Untargeted(), key=Key(1))
        assert int(found.forwards.sum()) == counted.counts.forwards
        assert int(found.backwards.sum()) == counted.counts.backwards


def test_twice_is_as_once() -> None:
    """The released `plus` changes its own FAB on the first call; nothing here has a state."""
    model, batch = scene(4)
    attack = dataclasses.replace(QUICK, version="plus")
    one, two = (attack(model, batch, threat=L2(0.2), objective=Untargeted(), key=Key(1)) for _ in range(2))
    for field in dataclasses.fields(Found)[:-1]:
        assert torch.equal(getattr(one, field.name), getattr(two, field.name))


class Lucky:
    """Right by a margin of 1 on the average, and wrong now and then: noise of its own, larger than the margin."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        noise = 2.0 * Key(9).fold(self.calls).normal(torch.arange(len(x)), ())
        right = 1.0 + noise + 0 * x.flatten(1).sum(1)
        return torch.stack([right, torch.zeros_like(right)], dim=1)


def test_one_lucky_answer_of_a_random_model_is_no_success() -> None:
    """A single answer is wrong for three rows in ten; the mean of 20 is wrong for one in eighty."""
    batch = Batch(batch_of((6,), 60).x, torch.zeros(60, dtype=torch.int64), torch.arange(60))
    once = PGD(steps=20)(Lucky(), batch, threat=Linf(0.1), objective=Untargeted(), key=Key(0))
    assert float(once.success.float().mean()) > 0.9
    counted = Counted(Lucky())
    attack = AutoAttack("rand", steps=2)
    found = attack(counted, batch, threat=Linf(0.1), objective=Untargeted(), key=Key(0))
    assert float(found.success.float().mean()) < 0.4
    assert int(found.forwards.sum()) == counted.counts.forwards


def test_the_loss_that_is_climbed_is_not_the_one_that_is_reported() -> None:
    model, batch = scene(4)
    slopes: dict[str, Surrogate] = {"ce": CrossEntropy(), "dlr": DLR(), "margin": Margin()}
    for loss, slope in slopes.items():
        aimed = Aimed(PGD(steps=3, early_stop=False), loss)
        plain = PGD(steps=3, early_stop=False)(
            model, batch, threat=Linf(0.1), objective=Untargeted(slope), key=Key(1)
        )
        found = aimed(model, batch, threat=Linf(0.1), objective=Untargeted(), key=Key(1))
        assert torch.equal(found.x, plain.x)
        with torch.no_grad():
            expected = CrossEntropy()(model(found.x), batch.y)
        torch.testing.assert_close(found.loss.double(), expected, rtol=1e-5, atol=1e-6)


def test_rows_that_are_wrong_already_cost_only_the_asking() -> None:
    model, batch = scene(3)
    wrong = Batch(batch.x, (model(batch.x).argmax(1) + 1) % 3, batch.index)
    found = QUICK(model, wrong, threat=Linf(0.1), objective=Untargeted(), key=Key(0))
    assert bool((found.status == Status.ALREADY).all())
    assert bool((found.forwards <= 4).all())
    assert not found.backwards.any()


def test_what_it_cannot_do_is_said() -> None:
    model, batch = scene(3)
    with pytest.raises(UsageError, match="did you mean 'standard'"):
        AutoAttack("standrad")
    for wrong in ({"steps": -1}, {"queries": 0}, {"targets": 0}, {"batch_size": 0}):
        with pytest.raises(UsageError, match="expected"):
            AutoAttack(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected a threat that AutoAttack can search"):
        QUICK(model, batch, threat=Sphere(Linf(0.1)), objective=Untargeted(), key=Key(0))
    with pytest.raises(UsageError, match="unknown loss"):
        Aimed(loss="dlrr")
    with pytest.raises(UsageError, match="expected a rank from 1 to 2"):
        Aimed(rank=3)(model, batch, threat=Linf(0.1), objective=Untargeted(), key=Key(0))


@pytest.mark.parametrize("attack", [PGD(steps=4, random_start=False), FAB(steps=4, early_stop=True)], ids=str)
@pytest.mark.parametrize("rows", [3, 40])
def test_several_ranks_are_as_one_after_the_other(attack: Attack, rows: int) -> None:
    """Few rows are searched towards several classes at a time; what is kept is what a loop over the ranks keeps."""
    model, batch = scene(6, rows)
    ranks, threat, wish = (1, 2, 3, 4, 5), Linf(0.06), Untargeted()
    found = Aimed(attack, rank=ranks)(model, batch, threat=threat, objective=wish, key=Key(3))
    parts = [
        Aimed(attack, rank=rank)(model, batch, threat=threat, objective=wish, key=Key(3)) for rank in ranks
    ]
    fell = torch.stack([part.success for part in parts])
    assert torch.equal(found.success, fell.any(0))
    for row in range(len(batch)):
        losses = torch.stack([part.loss[row] for part in parts])
        best = int(fell[:, row].int().argmax()) if bool(fell[:, row].any()) else int(losses.argmax())
        torch.testing.assert_close(found.x[row], parts[best].x[row], rtol=0, atol=1e-6)
        assert int(found.step[row]) == int(parts[best].step[row])
    assert 0 < int(found.success.sum()) < len(batch) or rows == 3


def test_several_ranks_draw_apart_and_whatever_is_searched_with_them() -> None:
    """Two classes at a time or one: the starts of a row are its own for each rank, and the same."""
    model, batch = scene(6, 50)
    aimed, threat = Aimed(PGD(steps=0, early_stop=False), rank=(1, 2, 3)), Linf(0.1)
    asked: list[Tensor] = []

    def seen(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        logits: Tensor = model(x)
        return logits

    def starts(part: Batch) -> set[tuple[float, ...]]:
        asked.clear()
        aimed(seen, part, threat=threat, objective=Untargeted(), key=Key(3))
        return {tuple(row) for x in asked for row in x[:, :3].tolist()}

    alone = starts(batch.rows(slice(0, 2)))
    assert len(alone) == 2 * (1 + 3)
    assert alone <= starts(batch)


def test_several_ranks_are_one_search_where_there_is_one_way() -> None:
    model, batch = scene(4)
    wish = Hypocritical(Margin())
    one, three = (
        Aimed(PGD(steps=3), rank=rank)(model, batch, threat=Linf(0.1), objective=wish, key=Key(1))
        for rank in (0, (1, 2, 3))
    )
    assert torch.equal(one.success, three.success)
    assert torch.equal(one.forwards, three.forwards)
    for wrong in ((), (0, 1), -1):
        with pytest.raises(UsageError, match="expected a rank of 0 or more, or several of 1 or more"):
            Aimed(rank=wrong)
