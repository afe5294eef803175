"""Laws of every objective in the folder over every surrogate."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import dlr, kl, log_loss, margin
from torch import Tensor

from frenemy.catalog import catalog
from frenemy.errors import UsageError
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import SURROGATES, Margin, surrogate
from frenemy.objectives.targeted import Targeted
from frenemy.rng import Key

LOADED = {name: part.load() for name, part in catalog("objectives").items()}
KINDS = {name: kind for name, kind in LOADED.items() if "surrogate" in kind.__dataclass_fields__}
PAIRS = list(itertools.product(KINDS, SURROGATES))
every = pytest.mark.parametrize(("name", "slope"), PAIRS)
law = settings(max_examples=12, deadline=None)
seeds = st.integers(0, 2**32)
sizes = st.tuples(st.integers(1, 6), st.integers(2, 4))


def objective(name: str, slope: str) -> Objective:
    made: Objective = KINDS[name](surrogate=SURROGATES[slope])
    return made


def draw(seed: int, rows: int, classes: int, spread: float = 3.0) -> tuple[Tensor, Tensor, Tensor]:
    """Clean logits, labels, and the logits of an answer, in float64."""
    key, index = Key(seed), torch.arange(rows)
    clean = spread * key.fold("clean").normal(index, (classes,), torch.float64)
    answer = spread * key.fold("answer").normal(index, (classes,), torch.float64)
    return clean, (key.fold("y").uniform(index, ()) * classes).long(), answer


@every
@law
@given(seed=seeds, size=sizes)
def test_one_number_and_one_flag_a_row(name: str, slope: str, seed: int, size: tuple[int, int]) -> None:
    clean, y, answer = draw(seed, *size)
    wish = objective(name, slope)
    goal = wish.goal(clean, y)
    loss, success = wish.loss(answer, goal), wish.success(answer, goal)
    assert len(goal) == len(y)
    assert goal.shape[1:] in ((), clean.shape[1:])
    assert loss.shape == success.shape == y.shape
    assert loss.dtype == torch.float64
    assert success.dtype == torch.bool
    order = Key(seed).permutation(len(y))
    mixed = wish.goal(clean[order], y[order])
    torch.testing.assert_close(wish.loss(answer[order], mixed), loss[order], rtol=0, atol=1e-12)
    assert torch.equal(wish.success(answer[order], mixed), success[order])
    alone = [wish.loss(answer[n : n + 1], wish.goal(clean[n : n + 1], y[n : n + 1])) for n in range(len(y))]
    torch.testing.assert_close(torch.cat(alone), loss, rtol=0, atol=1e-12)


@every
@pytest.mark.parametrize("classes", [2, 3])
def test_the_gradient_is_the_slope_of_each_row(name: str, slope: str, classes: int) -> None:
    clean, y, answer = draw(7, 5, classes)
    wish = objective(name, slope)
    goal = wish.goal(clean, y)
    asked = answer.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: wish.loss(z, goal), asked)


@every
@law
@given(seed=seeds, size=sizes)
def test_the_loss_is_the_surrogate_of_what_is_wanted(
    name: str, slope: str, seed: int, size: tuple[int, int]
) -> None:
    """Against scipy: raised away from a label or a clean answer, lowered towards a target or a label."""
    clean, y, answer = draw(seed, *size)
    wish = objective(name, slope)
    goal = wish.goal(clean, y)
    loss = wish.loss(answer, goal)
    away = not bool(wish.success(goal_as_answer(goal, size[1]), goal).all())
    for n in range(len(y)):
        if goal.is_floating_point():
            value = kl(goal[n], answer[n])
        else:
            value = {"margin": margin, "dlr": dlr}.get(slope, log_loss)(answer[n], int(goal[n]))
        assert float(loss[n]) == pytest.approx(value if away else -value, rel=1e-9, abs=1e-9)


def goal_as_answer(goal: Tensor, classes: int) -> Tensor:
    """The logits that agree with the goal."""
    return goal if goal.is_floating_point() else 9.0 * torch.nn.functional.one_hot(goal, classes).double()


@every
@law
@given(seed=seeds, size=sizes)
def test_success_is_the_sign_of_the_margin(name: str, slope: str, seed: int, size: tuple[int, int]) -> None:
    clean, y, answer = draw(seed, *size)
    wish = objective(name, slope)
    goal = wish.goal(clean, y)
    label = goal.argmax(1) if goal.is_floating_point() else goal
    away = not bool(wish.success(goal_as_answer(goal, size[1]), goal).all())
    above = torch.tensor([margin(answer[n], int(label[n])) > 0 for n in range(len(y))])
    assert torch.equal(wish.success(answer, goal), above if away else ~above)


@every
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("classes", [2, 3])
def test_an_answer_that_is_not_finite_is_no_success(name: str, slope: str, bad: float, classes: int) -> None:
    clean, y, answer = draw(3, 12, classes)
    wish = objective(name, slope)
    goal = wish.goal(clean, y)
    before = wish.success(answer, goal)
    for column in range(classes):
        spoilt = answer.clone()
        spoilt[::2, column] = bad
        success = wish.success(spoilt, goal)
        assert not success[::2].any()
        assert torch.equal(success[1::2], before[1::2])
    assert not wish.success(torch.full_like(answer, bad), goal).any()


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_logits_keep_finite_losses_and_gradients(name: str, slope: str, dtype: torch.dtype) -> None:
    clean, y, answer = (t.to(dtype) if t.is_floating_point() else t for t in draw(5, 8, 3, spread=1e4))
    wish = objective(name, slope)
    asked = answer.clone().requires_grad_()
    loss = wish.loss(asked, wish.goal(clean, y))
    (gradient,) = torch.autograd.grad(loss.sum(), asked)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()
    assert loss.dtype == dtype


@every
def test_no_rows_are_no_trouble(name: str, slope: str) -> None:
    clean, y, answer = (t[:0] for t in draw(5, 1, 3))
    wish = objective(name, slope)
    goal = wish.goal(clean, y)
    assert wish.loss(answer, goal).shape == wish.success(answer, goal).shape == (0,)


def test_the_divergence_of_an_answer_from_itself_is_zero_and_flat() -> None:
    clean, _, _ = draw(11, 6, 4)
    asked = clean.clone().requires_grad_()
    loss = surrogate("kl")(asked, clean)
    (gradient,) = torch.autograd.grad(loss.sum(), asked)
    torch.testing.assert_close(loss, torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


def test_targets_by_rule_number_and_row() -> None:
    clean = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    y = torch.tensor([0, 2])
    goals = {
        "least-likely": [1, 0],
        "runner-up": [2, 1],
        "next": [1, 0],
    }
    for rule, expected in goals.items():
        assert Targeted(rule).goal(clean, y).tolist() == expected
    assert Targeted(2).goal(clean, y).tolist() == [2, 2]
    assert Targeted(torch.tensor([1, 0]), Margin()).goal(clean, y).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("runer-up", "did you mean 'runner-up'"),
        (3, "targets from 0 to 2, got 3"),
        (-1, "targets from 0 to 2, got -1"),
        (torch.tensor([0, 1, 2]), "one target or 2"),
    ],
)
def test_a_target_that_is_none_is_named(target: int | str | Tensor, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Targeted(target).goal(torch.zeros(2, 3), torch.tensor([0, 1]))


def test_an_unknown_surrogate_is_answered_with_the_nearest() -> None:
    assert surrogate("CE") is SURROGATES["ce"]
    with pytest.raises(UsageError, match="did you mean 'margin'"):
        surrogate("margn")
