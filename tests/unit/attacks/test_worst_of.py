"""Attacks made of attacks: the worst of the parts, row by row, whatever their order."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from tests.oracles import net
from tests.scenes import around, batch_of, labelled

from frenemy.attacks.attack import Attack, Found, Status
from frenemy.attacks.bim import BIM
from frenemy.attacks.deepfool import DeepFool
from frenemy.attacks.fgsm import FGSM
from frenemy.attacks.pgd import PGD
from frenemy.attacks.restarts import Restarts
from frenemy.attacks.square import Square
from frenemy.attacks.worst_of import WorstOf
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.counted import Counted
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key

PARTS: tuple[Attack, ...] = (FGSM(), PGD(steps=2), Square(queries=9), DeepFool(steps=3))
MODEL = net(6, 3, Key(2))
BATCH = labelled(batch_of((6,), 40), MODEL)


def run(attack: Attack, batch: Batch = BATCH, model: Any = MODEL, wish: Any = None) -> Found:
    wish = wish or Untargeted(Margin())
    return attack(model, batch, threat=around("linf", 0.06), objective=wish, key=Key(3))


def alone(part: Attack, batch: Batch = BATCH) -> Found:
    """A part as it draws inside."""
    key = Key(3).fold("worst of").fold(repr(part))
    return part(MODEL, batch, threat=around("linf", 0.06), objective=Untargeted(Margin()), key=key)


def test_it_is_the_best_of_its_parts_and_costs_their_sum() -> None:
    found = [alone(part) for part in PARTS]
    worst = run(WorstOf(PARTS, early_stop=False))
    success = torch.stack([one.success for one in found])
    loss = torch.stack([one.loss for one in found])
    assert torch.equal(worst.success, success.any(0))
    rank = torch.where(success == success.any(0), loss, -torch.inf)
    assert torch.equal(worst.loss, rank.amax(0))
    assert torch.equal(worst.forwards, torch.stack([one.forwards for one in found]).sum(0))
    assert torch.equal(worst.backwards, torch.stack([one.backwards for one in found]).sum(0))
    assert len(set(success.sum(1).tolist())) > 1


@pytest.mark.parametrize("early_stop", [True, False])
def test_the_order_of_the_parts_changes_no_verdict(early_stop: bool) -> None:
    first = run(WorstOf(PARTS, early_stop=early_stop))
    for order in itertools.permutations(PARTS):
        other = run(WorstOf(order, early_stop=early_stop))
        assert torch.equal(other.success, first.success)
        assert torch.equal(other.status, first.status)
        if not early_stop:
            assert torch.equal(other.x, first.x)
            assert torch.equal(other.step, first.step)


def test_a_row_that_fell_is_not_tried_again() -> None:
    counted = Counted(MODEL)
    found = run(WorstOf(PARTS), model=counted)
    assert int(found.forwards.sum()) == counted.counts.forwards
    first = alone(PARTS[0])
    assert torch.equal(found.forwards[first.success], first.forwards[first.success])
    assert torch.equal(found.x[first.success], first.x[first.success])
    assert bool((found.forwards[~first.success] > first.forwards[~first.success]).all())


def test_restarts_draw_anew_and_lose_nothing() -> None:
    last = torch.zeros(40, dtype=torch.bool)
    for times in (1, 2, 5):
        found = run(Restarts(PGD(steps=1), times))
        assert bool((found.success | ~last).all())
        last = found.success
    still = PGD(steps=0, early_stop=False)
    one, other = (run(Restarts(still, times, early_stop=False)) for times in (1, 2))
    assert not torch.equal(one.x, other.x)
    assert torch.equal(other.forwards, 2 * one.forwards)
    assert torch.equal(run(Restarts(FGSM(), 3)).success, run(FGSM()).success)


def test_targets_of_their_own_go_with_their_rows() -> None:
    target, attack = torch.arange(40) % 3, WorstOf((FGSM(), PGD(steps=9)))
    found = run(attack, wish=Targeted(target, Margin()))
    rows = [
        run(attack, BATCH.rows(slice(n, n + 1)), wish=Targeted(int(target[n]), Margin())) for n in range(40)
    ]
    assert found.success.tolist() == [bool(row.success) for row in rows]
    assert 0 < int(found.success.sum()) < 40
    assert torch.equal(found.success, MODEL(found.x).argmax(1) == target)


def test_a_target_that_is_the_answer_is_already_there() -> None:
    answers = MODEL(BATCH.x).argmax(1)
    for attack in (PGD(steps=2), WorstOf(PARTS), Restarts(FGSM())):
        found = run(attack, wish=Targeted(answers))
        assert bool((found.status == Status.ALREADY).all())
        assert torch.equal(found.x, BATCH.x)
        assert int(found.forwards.max()) == 1


def test_the_size_of_the_batch_reaches_the_parts() -> None:
    sizes: list[int] = []

    def model(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        logits: torch.Tensor = MODEL(x)
        return logits

    run(WorstOf((PGD(steps=2), FGSM()), batch_size=7), model=model)
    run(Restarts(PGD(steps=2), batch_size=7), model=model)
    assert max(sizes) == 7


@pytest.mark.parametrize(
    ("attack", "settings"),
    [
        (WorstOf, {"attacks": ()}),
        (WorstOf, {"attacks": (PGD,)}),
        (WorstOf, {"batch_size": 0}),
        (Restarts, {"times": 0}),
        (Restarts, {"attack": PGD}),
        (Restarts, {"batch_size": 0}),
    ],
)
def test_what_cannot_be_is_said(attack: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        attack(**settings)


def test_a_threat_that_one_part_cannot_search_is_refused() -> None:
    attack, threat = WorstOf((PGD(), DeepFool())), around("sphere-l2", 0.1)
    with pytest.raises(UsageError, match="that DeepFool can search"):
        attack(MODEL, BATCH, threat=threat, objective=Untargeted(), key=Key(0))


def test_the_parts_are_settings_like_others() -> None:
    assert dataclasses.replace(WorstOf(), early_stop=False).attacks == (PGD(), BIM())
    assert Restarts() == Restarts(PGD(), 2)
