"""Counted: the books agree with what was done, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from frenemy.models.counted import Counted, Tally

DEED = st.tuples(st.integers(0, 4), st.sampled_from(["look", "ask", "twice", "weights", "silent"]))


@given(st.lists(DEED, max_size=8))
def test_the_counts_are_what_was_done(deeds: list[tuple[int, str]]) -> None:
    model = Counted(nn.Linear(3, 2))
    forwards = backwards = 0
    for rows, deed in deeds:
        x = torch.ones(rows, 3, requires_grad=deed not in ("weights", "look"))
        forwards += rows
        if deed == "silent":
            with torch.no_grad():
                model(x)
            continue
        loss = model(x).sum()
        if deed == "weights":
            torch.autograd.grad(loss, list(model.parameters()))
        if deed in ("ask", "twice"):
            for _ in range(1 if deed == "ask" else 2):
                torch.autograd.grad(loss, x, retain_graph=True)
                backwards += rows
    assert model.counts == Tally(len(deeds), forwards, backwards)
    model.reset()
    assert model.counts == Tally()


def test_values_and_gradients_are_untouched() -> None:
    inner = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    model = Counted(inner)
    x = torch.linspace(-1, 1, 6).reshape(2, 3).requires_grad_()
    assert torch.equal(model(x), inner(x))
    for create in (False, True):
        ours = torch.autograd.grad(model(x).square().sum(), x, create_graph=create)[0]
        assert torch.equal(ours, torch.autograd.grad(inner(x).square().sum(), x, create_graph=create)[0])
    second = torch.autograd.grad(ours.square().sum(), x)[0]
    theirs = torch.autograd.grad(inner(x).square().sum(), x, create_graph=True)[0]
    torch.testing.assert_close(second, torch.autograd.grad(theirs.square().sum(), x)[0])


def test_rows_with_zero_gradient_count_too() -> None:
    model = Counted(nn.Linear(3, 2))
    x = torch.ones(5, 3, requires_grad=True)
    torch.autograd.grad(model(x)[:2].sum(), x)
    assert model.counts.backwards == 5


def test_a_model_that_gives_its_input_back_keeps_no_hook() -> None:
    model = Counted(lambda x: x)
    x = torch.ones(2, 3, requires_grad=True)
    model(x)
    torch.autograd.grad((2 * x).sum(), x)
    assert model.counts == Tally(1, 2, 0)


def test_a_call_that_raises_is_counted() -> None:
    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("no")

    model = Counted(broken)
    with pytest.raises(RuntimeError, match="no"):
        model(torch.ones(3, 2))
    assert model.counts == Tally(1, 3, 0)


def test_an_answer_without_gradient_is_counted() -> None:
    model = Counted(lambda x: torch.zeros(len(x), 2))
    model(torch.ones(3, 2, requires_grad=True))
    assert model.counts == Tally(1, 3, 0)
