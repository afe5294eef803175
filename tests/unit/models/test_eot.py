"""EOT: averages are averages, in value and in gradient, and the votes are fresh."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from tests.oracles import linear_net, randomness
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from frenemy.attacks.bim import BIM
from frenemy.data.batch import Batch
from frenemy.errors import ModelError
from frenemy.models.counted import Counted, Tally
from frenemy.models.eot import EOT
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.linf import Linf


class Shifted(nn.Module):
    """A curved model that moves its input by the next of a fixed list of shifts, over and over."""

    def __init__(self, shifts: list[float]) -> None:
        super().__init__()
        self.net = linear_net(3, 4, Key(0), torch.float64)
        self.shifts = itertools.cycle(shifts)

    def forward(self, x: Tensor) -> Tensor:
        return self.at(x, next(self.shifts))

    def at(self, x: Tensor, shift: float) -> Tensor:
        logits: Tensor = self.net(torch.tanh(2 * x + shift))
        return logits


SHIFTS = [-1.0, 0.3, 2.0]
X = Key(1).normal(torch.arange(5), (3,), torch.float64)
Y = torch.tensor([0, 1, 2, 3, 1])


def test_the_answers_are_averages_of_what_is_said() -> None:
    model = Shifted(SHIFTS)
    each = [model.at(X, shift) for shift in SHIFTS]
    logits = EOT(model, 3, "logits")(X)
    torch.testing.assert_close(logits, sum(each[1:], each[0]) / 3)
    shares = EOT(model, 3)(X).exp()
    torch.testing.assert_close(shares, sum((z.softmax(1) for z in each[1:]), each[0].softmax(1)) / 3)
    torch.testing.assert_close(shares.sum(1), torch.ones(5, dtype=torch.float64))


def test_gradients_are_averages_of_gradients() -> None:
    """By central differences of the mean, in float64, for logits and for probabilities."""
    model = Shifted(SHIFTS)
    for of in ("logits", "probabilities"):
        x = X.clone().requires_grad_()
        answer = EOT(model, 3, of)(x)
        value = answer if of == "logits" else answer.exp()
        (slope,) = torch.autograd.grad(value[:, 2].sum(), x)

        def mean(x: Tensor, of: str = of) -> Tensor:
            each = torch.stack([model.at(x, shift) for shift in SHIFTS])
            return (each if of == "logits" else each.softmax(2)).mean(0)[:, 2]

        for cell in range(3):
            step = torch.zeros(3, dtype=torch.float64)
            step[cell] = 1e-6
            torch.testing.assert_close(
                slope[:, cell], (mean(X + step) - mean(X - step)) / 2e-6, rtol=1e-6, atol=1e-8
            )


def test_cross_entropy_of_the_average_is_at_most_the_average_cross_entropy() -> None:
    model = Shifted(SHIFTS)
    each = torch.stack([cross_entropy(model.at(X, shift), Y, reduction="none") for shift in SHIFTS])
    for of in ("logits", "probabilities"):
        ours = cross_entropy(EOT(model, 3, of)(X), Y, reduction="none")
        assert bool((ours < each.mean(0)).all())
        same = cross_entropy(EOT(Shifted([0.3]), 4, of)(X), Y, reduction="none")
        torch.testing.assert_close(same, each[1])


def test_confident_answers_do_not_underflow() -> None:
    sure = torch.tensor([[1000.0, 0.0]])
    answers = itertools.cycle([sure, -sure])
    torch.testing.assert_close(EOT(lambda x: next(answers), 2)(sure), torch.full((1, 2), -math.log(2)))
    torch.testing.assert_close(EOT(lambda x: sure, 8)(sure), torch.tensor([[0.0, -1000.0]]))


def test_every_draw_is_counted_inside() -> None:
    inner = Counted(Shifted(SHIFTS))
    x = X.clone().requires_grad_()
    torch.autograd.grad(EOT(inner, 7)(x).sum(), x)
    assert inner.counts == Tally(7, 35, 35)
    inner.reset()
    EOT(inner, 7).votes(X)
    assert inner.counts == Tally(7, 35, 0)


def test_votes_are_counted_by_class_and_nan_votes_for_nobody() -> None:
    table = torch.tensor([[3.0, 1, 2], [1, 3, 2], [3, 2, 1], [math.nan, 9, 1], [math.inf, 0, 1]])
    draws = iter(table)
    votes = EOT(lambda x: next(draws).expand(len(x), 3), 5).votes(torch.zeros(2, 1))
    assert votes.tolist() == [[2, 1, 0], [2, 1, 0]]
    assert votes.dtype == torch.int64


def test_the_average_finds_what_one_draw_misses_and_no_generator_moves() -> None:
    """Each draw adds a slope of +-30 of its own, which hides the slope 1 that all share; over 2 draws they cancel."""
    noise = itertools.cycle([30.0, -30.0])

    def hidden(x: Tensor) -> Tensor:
        push = x[:, 0] + next(noise) * x[:, 1]
        return torch.stack([torch.zeros_like(push) + 0.5, push - 0.0], 1)

    x = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    batch = Batch(x, torch.tensor([0]), torch.tensor([0]))
    before = randomness()
    found = BIM(steps=20)(
        EOT(hidden, 2, "logits"), batch, threat=Linf(0.6, -1.0, 1.0), objective=Untargeted(), key=Key(0)
    )
    assert found.success.tolist() == [True]
    assert abs(float(found.x[0, 1])) < 1e-9
    assert EOT(hidden, 2, "logits")(found.x).argmax(1).tolist() == [1]
    assert randomness() == before


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ModelError, match="draws to be at least 1"):
        EOT(lambda x: x, 0)
    with pytest.raises((ModelError, TypeError), match="of"):
        EOT(lambda x: x, 2, "losses")  # type: ignore[arg-type]
