"""Faces of the decision region: the nearest of them, what is passed over, and the line to a success."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tests.oracles import linear_net, net
from torch import Tensor

from frenemy.attacks.attack import Found, Status
from frenemy.attacks.faces import nearest_face, rivals, shorten, towards
from frenemy.data.batch import Batch
from frenemy.models.counted import Counted
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.objective import Objective
from frenemy.objectives.reversal import Reversal
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf


def test_who_wants_the_goal_and_who_wants_to_leave_it() -> None:
    assert [towards(w) for w in (Untargeted(), Reversal(), Targeted(), Hypocritical())] == [
        False,
        False,
        True,
        True,
    ]


def test_rivals_are_the_highest_other_classes() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 9.0, 5.0, 7.0]])
    assert rivals(logits, torch.tensor([0, 3]), 2).tolist() == [[2, 1], [1, 2]]
    assert rivals(logits, torch.tensor([2, 1]), 9).tolist() == [[0, 1, 3], [3, 2, 0]]
    assert rivals(logits, logits, 1).tolist() == [[2], [3]]


@pytest.mark.parametrize("ball", [Linf, L2, L1])
@pytest.mark.parametrize("steeper", [3.0, torch.inf])
def test_the_nearest_face_of_a_linear_model(ball: type[Linf | L2 | L1], steeper: float) -> None:
    """By a loop over the weights; every class is some row's own, the first and the last too."""
    model, threat, index = linear_net(6, 5, Key(3), torch.float64), ball(1.0), torch.arange(40)
    x = Key(4).normal(index, (6,), torch.float64).requires_grad_()
    logits, y, all_ = model(x), index % 5, torch.ones(40, dtype=torch.bool)
    face = nearest_face(x, logits, y, rivals(logits, y, 9), threat, Untargeted(), all_, steeper)
    weight = model.layer.weight.detach()
    for i in range(40):
        others = [k for k in range(5) if k != y[i]]
        gaps = torch.stack([(logits[i, k] - logits[i, y[i]]).detach() for k in others])
        sizes = threat.dual_norm(torch.stack([weight[k] - weight[y[i]] for k in others]))
        best = int((gaps.abs() / sizes).argmin())
        torch.testing.assert_close(face.gap[i], gaps[best])
        torch.testing.assert_close(face.normal[i], weight[others[best]] - weight[y[i]])
        torch.testing.assert_close(face.size[i], sizes[best])
    assert face.backwards == 4 or steeper == 3.0
    assert not face.blind.any()


def test_towards_a_class_the_gap_changes_sign() -> None:
    model, threat, index = linear_net(4, 3, Key(3), torch.float64), L2(1.0), torch.arange(5)
    x = Key(4).normal(index, (4,), torch.float64).requires_grad_()
    goal, all_ = index % 3, torch.ones(5, dtype=torch.bool)
    faces = []
    for wish in (Untargeted(), Hypocritical()):
        logits = model(x)
        faces.append(nearest_face(x, logits, goal, rivals(logits, goal, 1), threat, wish, all_, 3.0))
    torch.testing.assert_close(faces[0].gap, -faces[1].gap)
    torch.testing.assert_close(faces[0].normal, -faces[1].normal)


def ramps(x: Tensor) -> Tensor:
    """Class 1 stands 1 below class 0 with slope 1, class 2 stands 8 below with slope 16."""
    return torch.stack([0 * x[:, 0], x[:, 0] - 1, 16 * x[:, 1] - 8], 1)


def test_a_face_is_passed_over_only_where_it_would_have_to_be_too_steep() -> None:
    """Class 2 lies at half the distance of class 1, and is 16 times as steep; a gap 8 times as wide gives it away."""
    y, all_ = torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.bool)
    for steeper, gaps, backwards in ((3.0, -1.0, 1), (8.5, -8.0, 2), (torch.inf, -8.0, 2)):
        x = torch.zeros(2, 2).requires_grad_()
        counted = Counted(ramps)
        logits = counted(x)
        face = nearest_face(x, logits, y, rivals(logits, y, 2), Linf(1.0), Untargeted(), all_, steeper)
        assert face.gap.tolist() == [gaps, gaps]
        assert face.backwards == backwards
        assert counted.counts.backwards == 2 * backwards


def test_rows_that_are_not_wanted_cost_no_further_backward() -> None:
    x = torch.tensor([[0.0, 0.0], [-20.0, 0.0]]).requires_grad_()
    y = torch.zeros(2, dtype=torch.int64)
    for wanted, backwards in (([True, True], 2), ([True, False], 1)):
        logits = ramps(x)
        classes = rivals(logits, y, 2)
        face = nearest_face(x, logits, y, classes, Linf(1.0), Untargeted(), torch.tensor(wanted), 3.0)
        assert face.backwards == backwards


def test_a_face_without_slope_is_blind() -> None:
    x, y, all_ = torch.zeros(3, 2).requires_grad_(), torch.zeros(3, dtype=torch.int64), torch.ones(3).bool()
    for logits in (ramps(x) * 0, ramps(x).detach(), ramps(x) * torch.tensor([[torch.inf]])):
        classes = rivals(torch.zeros(3, 3), y, 2)
        face = nearest_face(x, logits, y, classes, Linf(1.0), Untargeted(), all_, 3.0)
        assert bool(face.blind.all())
        assert face.backwards == (2 if logits.requires_grad else 0)


def found_at(x: Tensor, status: Status) -> Found:
    """A result as a search might bring it back."""
    many = torch.full((len(x),), int(status))
    none, success = torch.zeros_like(many), many <= Status.FOUND
    return Found(x, torch.zeros(len(x)), success, many, none, ~success, none, none)


@pytest.mark.parametrize("wish", [Untargeted(), Targeted(torch.tensor([1, 1, 1]))])
def test_the_line_is_searched_for_a_nearer_success(wish: Objective) -> None:
    """The border of a line lies where 3 x = 1; a straight gap is solved by one look, a hundredth short of exact."""

    def line(x: Tensor) -> Tensor:
        return torch.cat([1 - x, 2 * x], 1)

    start, end = torch.zeros(3, 1), torch.tensor([[0.9], [0.5], [1.0]])
    batch, chosen = (
        Batch(start, torch.zeros(3, dtype=torch.int64), torch.arange(3)),
        torch.tensor([1, 1, 0]).bool(),
    )
    counted = Counted(line)
    found = shorten(
        counted, batch, found_at(end, Status.FOUND), Linf(1.0, low=-9.0, high=9.0), wish, 1, 2, chosen
    )
    border = torch.tensor([1 / 3, 1 / 3])
    torch.testing.assert_close(found.x[:2, 0], border + 0.01 * (end[:2, 0] - border))
    torch.testing.assert_close(
        found.loss[:2], wish.loss(line(found.x), torch.tensor([int(towards(wish))] * 3))[:2]
    )
    assert found.x[2] == 1
    assert found.forwards.tolist() == [3, 3, 0]
    assert counted.counts.forwards == 6
    assert end.tolist() == torch.tensor([[0.9], [0.5], [1.0]]).tolist()


def test_the_line_never_makes_it_worse_and_leaves_the_others_alone() -> None:
    model, index = net(6, 4, Key(5)), torch.arange(40)
    start = Key(6).uniform(index, (6,), torch.float64)
    end = Key(7).uniform(index, (6,), torch.float64)
    with torch.no_grad():
        y, turned = model(start).argmax(1), model(end).argmax(1) != model(start).argmax(1)
        batch, threat = Batch(start, y, index), L2(9.0)
        status = torch.where(turned, Status.FOUND, Status.NOT_FOUND)
        found = dataclasses.replace(found_at(end, Status.FOUND), status=status, success=turned)
        last = threat.norm(end - start)
        for steps in (0, 1, 2, 4, 8):
            less = shorten(model, batch, found, threat, Untargeted(), steps, None, turned)
            length = threat.norm(less.x - start)
            assert bool((length <= last).all())
            assert bool((model(less.x).argmax(1) != y)[turned].all())
            last = length
    assert torch.equal(less.x[~turned], end[~turned])
    assert torch.equal(less.forwards, torch.where(turned, 10, 0))
    assert bool((last < threat.norm(end - start))[turned].all())
