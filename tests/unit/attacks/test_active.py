"""The working set: full while there is a queue, and no row is asked about twice for nothing."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tests.oracles import linear_net, net
from tests.scenes import batch_of, labelled
from torch import Tensor

from frenemy.attacks.attack import Attack, Status
from frenemy.attacks.best import look
from frenemy.attacks.bim import BIM
from frenemy.attacks.fgsm import FGSM
from frenemy.attacks.pgd import PGD
from frenemy.data.batch import Batch
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.linf import Linf


def line(sizes: list[float]) -> tuple[Batch, Linf]:
    """Inputs at these distances from the decision of `step`, all answered with their label 0."""
    x = -torch.tensor(sizes, dtype=torch.float64)[:, None]
    return Batch(x, torch.zeros(len(sizes), dtype=torch.int64), torch.arange(len(sizes))), Linf(
        1.0, -9.0, 9.0
    )


class Watched:
    """Class 1 to the right of 0; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[float]] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.asked.append(x.detach().flatten().tolist())
        return torch.cat([-x, x], 1)


def test_steps_are_counted_exactly_where_they_can_be_told() -> None:
    """From distance d, steps of 0.25 cross the decision at the first multiple beyond d."""
    distances = [0.1, 0.3, 0.55, 0.8, 0.99, 1.5]
    batch, threat = line(distances)
    found = BIM(steps=5, step_size=0.25)(
        Watched(), batch, threat=threat, objective=Untargeted(Margin()), key=Key(0)
    )
    assert found.step.tolist() == [1, 2, 3, 4, 4, -1]
    assert found.status.tolist() == [Status.FOUND] * 5 + [Status.NOT_FOUND]
    expected = [-d + 0.25 * s for d, s in zip(distances, [1, 2, 3, 4, 4, 4])]
    torch.testing.assert_close(found.x.flatten(), torch.tensor(expected, dtype=torch.float64))


def test_the_step_of_a_later_restart_counts_on() -> None:
    batch, threat = line([0.999])
    found = PGD(steps=0, restarts=4000)(
        Watched(), batch, threat=threat, objective=Untargeted(Margin()), key=Key(1)
    )
    assert found.status.tolist() == [Status.FOUND]
    assert int(found.step) == int(found.forwards) - 2
    assert int(found.step) > 10


def test_forwards_are_full_while_rows_wait() -> None:
    """Each open row takes the place of a settled one, so that few calls are short."""
    batch, threat = line([0.1, 0.9] * 20)
    model = Watched()
    attack = BIM(steps=8, step_size=0.125, batch_size=10)
    found = attack(model, batch, threat=threat, objective=Untargeted(Margin()), key=Key(0))
    assert bool(found.success.all())
    rows = [len(call) for call in model.asked]
    assert max(rows) == 10
    clean, search = rows[:4], rows[4:]
    assert clean == [10] * 4
    needed = 20 * 2 + 20 * 9
    assert needed <= sum(search) <= 1.2 * needed
    assert len(search) < 1.35 * needed / 10


def test_a_settled_row_is_asked_about_no_more_once_it_has_left() -> None:
    batch, threat = line([0.1] * 9 + [5.0])
    model = Watched()
    found = BIM(steps=10, step_size=0.2)(
        model, batch, threat=threat, objective=Untargeted(Margin()), key=Key(0)
    )
    assert [len(call) for call in model.asked[-8:]] == [1] * 8
    assert found.forwards.tolist()[-1] == 12 or found.forwards.tolist()[-1] == 11
    assert max(found.forwards.tolist()[:9]) <= 4


def test_a_row_that_is_carried_along_is_judged_no_more() -> None:
    """The row at 0.8 would succeed one step after its last; it ends alone among younger rows, and so is carried."""
    distances = [0.1] * 3 + [5.0] * 13 + [0.8, 0.1, 0.1] + [5.0] * 20
    batch, threat = line(distances)
    model = Watched()
    found = BIM(steps=3, step_size=0.25, batch_size=16)(
        model, batch, threat=threat, objective=Untargeted(Margin()), key=Key(0)
    )
    assert any(0.19 < value < 0.21 for call in model.asked for value in call)
    assert found.success.tolist() == [distance < 0.75 for distance in distances]
    assert found.x[16].item() == pytest.approx(-0.05)


@pytest.mark.parametrize("size", [1, 3, 10, None])
def test_early_stopping_saves_and_never_adds(size: int | None) -> None:
    model = net(6, 3, Key(2))
    batch = labelled(batch_of((6,), 24), model)
    eager, patient = (
        PGD(steps=10, early_stop=stop, batch_size=size)(
            model, batch, threat=Linf(0.1), objective=Untargeted(), key=Key(0)
        )
        for stop in (True, False)
    )
    assert bool((eager.forwards <= patient.forwards).all())
    assert int(eager.forwards.sum()) < int(patient.forwards.sum())
    assert bool((patient.forwards[patient.status != Status.NOT_FINITE] == 12).all())
    assert bool((patient.backwards == 10).all())
    assert bool((patient.loss >= eager.loss - 1e-6).all())


@pytest.mark.parametrize("attack", [PGD(steps=7), BIM(steps=7), FGSM()])
def test_the_cost_is_what_the_docstring_says(attack: Attack) -> None:
    """On a model that cannot be fooled every row takes the whole search."""
    model = linear_net(6, 2, Key(2), torch.float64)
    with torch.no_grad():
        model.layer.bias.copy_(torch.tensor([100.0, -100.0]))
    batch = batch_of((6,), 5)
    found = attack(model, batch, threat=Linf(0.1), objective=Untargeted(), key=Key(0))
    steps = getattr(attack, "steps", 1)
    shared = 0 if isinstance(attack, PGD) else 1
    assert found.forwards.tolist() == [steps + 2 - shared] * 5
    assert found.backwards.tolist() == [steps] * 5


def test_the_key_and_the_index_decide_the_start() -> None:
    model = net(6, 3, Key(2))
    batch = labelled(batch_of((6,), 8), model)

    def start(index: Tensor, key: Key) -> Tensor:
        attack = PGD(steps=0, early_stop=False)
        objective = Untargeted(Margin())
        moved = dataclasses.replace(batch, index=index)
        return attack(model, moved, threat=Linf(0.3), objective=objective, key=key).x

    first = start(batch.index, Key(0))
    assert torch.equal(first, start(batch.index, Key(0)))
    assert not torch.equal(first, start(batch.index, Key(1)))
    assert not torch.equal(first, start(batch.index + 1, Key(0)))


def test_looking_in_parts_is_looking() -> None:
    model, batch = net(6, 3, Key(2)), batch_of((6,), 10)
    whole = look(model, batch.x, None)
    assert not whole.requires_grad
    for size in (1, 3, 10, 99):
        torch.testing.assert_close(look(model, batch.x, size), whole, rtol=0, atol=1e-12)
    assert look(model, batch.x[:0], 3).shape == (0, 3)
