"""Steered: the class it climbs towards, what counts as success, and that an attack goes there."""

from __future__ import annotations

import pytest
import torch
from tests.oracles import net
from tests.scenes import batch_of, labelled
from torch import Tensor

from frenemy.attacks.attack import Found
from frenemy.attacks.pgd import PGD
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.counted import Counted
from frenemy.objectives.objective import Objective
from frenemy.objectives.steered import Steered
from frenemy.objectives.surrogates import TargetedDLR
from frenemy.rng import Key
from frenemy.threats.linf import Linf


def drawn(classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Clean logits, labels that are sometimes right, logits of an answer."""
    index, key = torch.arange(12), Key(classes)
    clean, answer = (3 * key.fold(word).normal(index, (classes,), torch.float64) for word in ("a", "b"))
    return clean, torch.where(index % 2 == 0, clean.argmax(1), index % classes), answer


def ranked(logits: list[float], label: int, rank: int) -> int:
    """The class at a place among the others, by a sorted list."""
    return sorted((k for k in range(len(logits)) if k != label), key=lambda k: -logits[k])[rank - 1]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 5, 10])
def test_the_goal_is_the_label_and_the_class_of_that_rank(classes: int, own: bool) -> None:
    clean, y, answer = drawn(classes)
    for rank in range(1, classes):
        wish = Steered(rank, own)
        goal = wish.goal(clean, y)
        label = clean.argmax(1) if own else y
        assert goal[:, 0].tolist() == label.tolist()
        assert goal[:, 1].tolist() == [ranked(z.tolist(), int(k), rank) for z, k in zip(clean, label)]
        assert torch.equal(wish.success(answer, goal), answer.argmax(1) != label)
        if classes > 3:
            torch.testing.assert_close(wish.loss(answer, goal), TargetedDLR()(answer, goal))
        else:
            lead = answer[torch.arange(12), goal[:, 1]] - answer[torch.arange(12), label]
            torch.testing.assert_close(wish.loss(answer, goal), lead)


def test_all_ranks_together_are_all_other_classes() -> None:
    clean, y, _ = drawn(5)
    targets = torch.stack([Steered(rank).goal(clean, y)[:, 1] for rank in range(1, 5)], 1)
    for row, label in zip(targets.tolist(), y.tolist()):
        assert sorted([*row, label]) == [0, 1, 2, 3, 4]
    tied = torch.zeros(1, 4)
    assert [int(Steered(rank).goal(tied, torch.tensor([1]))[0, 1]) for rank in (1, 2, 3)] == [0, 2, 3]


def test_each_row_may_have_a_rank_of_its_own() -> None:
    clean, y, _ = drawn(5)
    ranks = torch.arange(12) % 4 + 1
    goal = Steered(ranks).goal(clean, y)
    for row, rank in enumerate(ranks.tolist()):
        assert torch.equal(goal[row], Steered(rank).goal(clean, y)[row])
    with pytest.raises(UsageError, match=r"expected one rank or 12, one a row, got \(3,\)"):
        Steered(ranks[:3]).goal(clean, y)
    with pytest.raises(UsageError, match="expected a rank of 1 or more"):
        Steered(ranks - 1)
    assert Steered(ranks[:0]).goal(clean[:0], y[:0]).shape == (0, 2)


def test_a_rank_that_is_none_is_named() -> None:
    with pytest.raises(UsageError, match="rank of 1 or more, got 0"):
        Steered(0)
    clean, y, _ = drawn(3)
    with pytest.raises(UsageError, match=r"rank from 1 to 2, since there are 3 classes, got 3"):
        Steered(3).goal(clean, y)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_an_answer_that_is_not_finite_is_no_success(bad: float) -> None:
    clean, y, answer = drawn(5)
    wish = Steered(2)
    goal, spoilt = wish.goal(clean, y), answer.clone()
    spoilt[::2, 3] = bad
    assert not wish.success(spoilt, goal)[::2].any()
    assert torch.equal(wish.success(spoilt, goal)[1::2], wish.success(answer, goal)[1::2])


def test_it_is_an_objective_and_rows_do_not_touch() -> None:
    clean, y, answer = drawn(5)
    wish = Steered(2)
    assert isinstance(wish, Objective)
    assert not wish.towards
    goal = wish.goal(clean, y)
    alone = [wish.loss(answer[n : n + 1], wish.goal(clean[n : n + 1], y[n : n + 1])) for n in range(12)]
    torch.testing.assert_close(torch.cat(alone), wish.loss(answer, goal), rtol=0, atol=1e-12)
    assert wish.goal(clean[:0], y[:0]).shape == (0, 2)
    assert wish.loss(answer[:0], goal[:0]).shape == (0,)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("own", [False, True])
def test_an_attack_brings_back_what_an_outsider_sees(classes: int, own: bool) -> None:
    raw, points = net(6, classes, Key(classes)), batch_of((6,), 20)
    middle = raw(points.x).mean(0).detach()

    def model(x: Tensor) -> Tensor:
        logits: Tensor = raw(x) - middle
        return logits

    batch = labelled(points, model)
    wish, counted = Steered(1, own), Counted(model)

    def run(part: Batch, size: int | None) -> Found:
        attack = PGD(steps=10, batch_size=size)
        return attack(counted, part, threat=Linf(0.5), objective=wish, key=Key(0))

    found = run(batch, 7)
    clean = model(batch.x).argmax(1)
    left = clean if own else batch.y
    assert torch.equal(found.success, model(found.x).argmax(1) != left)
    assert torch.equal(found.status == 0, clean != left)
    assert bool((found.status == 1).any())
    goal = wish.goal(model(batch.x).detach(), batch.y)
    torch.testing.assert_close(found.loss.double(), wish.loss(model(found.x), goal), rtol=1e-5, atol=1e-6)
    assert int(found.forwards.sum()) == counted.counts.forwards
    torch.testing.assert_close(run(batch, None).x, found.x, rtol=0, atol=1e-9)


def test_it_climbs_towards_its_class_and_not_the_nearest() -> None:
    """On a linear model the first step goes along the difference of two rows of weights."""
    weight = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    bias = torch.tensor([5.0, 4.0, 3.0, 2.0], dtype=torch.float64)
    batch = Batch(torch.full((1, 2), 0.5).double(), torch.tensor([0]), torch.tensor([0]))
    ends = {1: [0.6, 0.5], 2: [0.5, 0.6], 3: [0.4, 0.4]}
    for rank, end in ends.items():
        found = PGD(steps=30, step_size=0.2, random_start=False)(
            lambda x: x @ weight.T + bias, batch, threat=Linf(0.1), objective=Steered(rank), key=Key(0)
        )
        signs = torch.tensor(end, dtype=torch.float64) - 0.5
        moved = (found.x[0] - 0.5) * signs.sign().abs()
        torch.testing.assert_close(moved, signs, rtol=0, atol=1e-9)
