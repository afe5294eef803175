"""Genuine accuracy on samples: against the line, whose numbers are exact, and against brute force."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from frenemy.attacks.pgd import PGD
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.risks.estimate import Estimate
from frenemy.risks.genuine import Nearest, genuine_accuracy
from frenemy.risks.order import lexicographic
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf


class Stepped(nn.Module):
    """f1, f2 or f3 of 002's line: 1 between borders, by a slope that leads over the nearest one."""

    def __init__(self, *borders: float) -> None:
        super().__init__()
        self.borders = borders

    def forward(self, x: Tensor) -> Tensor:
        at = x[:, 0]
        if len(self.borders) == 1:
            gap = at - self.borders[0] + 1e-6
        else:
            low, high = self.borders
            gap = torch.maximum(low - at, at - high + 1e-6)
        return torch.stack([-gap, gap], dim=1)


def line(count: int) -> Examples:
    left = torch.linspace(-2, -1, count)
    x = torch.cat([left, -left.flip(0)])
    return Examples("line", x[:, None], (x > 0).long(), ("-1", "1"), -math.inf, math.inf)


TRIES = PGD(steps=3, restarts=20)
"""Of the two points of a sphere on a line each start is one, and a slope may lead away from the other."""
RULES = {"f1": Stepped(1.0), "f2": Stepped(-4.0, 0.0), "f3": Stepped(0.0)}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("eps", [0.513, 0.963, 1.513, 2.513, 3.513])
def test_on_a_fine_line_it_is_the_genuine_accuracy_of_the_source(rule: str, eps: float) -> None:
    """The ends alone have points that no other example is nearer to; there the answers are those of Figure 8."""
    found = genuine_accuracy(
        RULES[rule], line(41), L2(0.0, -math.inf, math.inf), [eps], key=Key(0), attack=TRIES
    )[0]
    ends = [-2 - eps, -1 + eps, 1 - eps, 2 + eps] if eps < 1 else [-2 - eps, 2 + eps]
    with torch.no_grad():
        answers = RULES[rule](torch.tensor(ends)[:, None]).argmax(1)
    labels = torch.tensor([0, 0, 1, 1] if eps < 1 else [0, 1])
    assert found.genuine.n == len(ends)
    assert found.genuine.value == pytest.approx(float((answers == labels).double().mean()))
    right = sum(
        all(bool(RULES[rule](torch.tensor([[x + s * eps]])).argmax() == y) for s in (-1, 1))
        for x, y in zip(line(41).x[:, 0].tolist(), line(41).y.tolist(), strict=True)
    )
    assert found.standard.value == pytest.approx(right / 82)


def test_the_order_of_the_source() -> None:
    """002, Section 3: f1 < f3 < f2 by standard robustness, f1 < f2 < f3 by genuine robustness."""
    sizes = [0.0, 0.513, 1.513, 2.513, 3.513, 5.513]
    told = {
        name: genuine_accuracy(rule, line(41), L2(0.0, -math.inf, math.inf), sizes, key=Key(0), attack=TRIES)
        for name, rule in RULES.items()
    }

    def exact(name: str, kind: str) -> list[Estimate]:
        values = [getattr(one, kind) for one in told[name]]
        return [Estimate(v.value, v.value, v.value, v.n) for v in values]

    def relation(first: str, second: str, kind: str) -> str:
        return lexicographic(sizes, exact(first, kind), exact(second, kind)).relation

    assert relation("f1", "f3", "standard") == relation("f3", "f2", "standard") == "better"
    assert relation("f1", "f2", "genuine") == relation("f2", "f3", "genuine") == "better"


@pytest.mark.parametrize("order", [1.0, 2.0, math.inf])
def test_the_distance_to_the_nearest_is_exact_and_slopes_away_from_it(order: float) -> None:
    x, known = torch.rand(7, 3, 2, dtype=torch.float64), torch.rand(23, 3, 2, dtype=torch.float64)
    x.requires_grad_()
    found = Nearest(known, order, 0.1)(x)
    brute = torch.stack([(x.flatten(1) - k.flatten()).norm(order, dim=1) for k in known]).amin(0) - 0.1
    torch.testing.assert_close(found[:, 0], brute)
    (mine,) = torch.autograd.grad(found.sum(), x, retain_graph=True)
    (theirs,) = torch.autograd.grad(brute.sum(), x)
    torch.testing.assert_close(mine, theirs)


def test_at_nought_it_is_the_natural_accuracy_and_too_far_is_undefined() -> None:
    x = torch.tensor([[0.1], [0.9]])
    examples = Examples("two", x, torch.tensor([0, 1]), ("a", "b"))
    clean, far = genuine_accuracy(Stepped(0.5), examples, Linf(0.0), [0.0, 1.5], key=Key(0))
    assert clean.genuine.value == clean.standard.value == 1
    assert far.standard.n == far.genuine.n == 0


def test_a_saturated_softmax_hides_nothing() -> None:
    """Its cross-entropy has no slope where it is right, so that only a search on the margin crosses the border."""
    axes = 2 * torch.eye(64)
    examples = Examples("axes", axes, torch.ones(64).long(), ("a", "b"), -math.inf, math.inf)
    model = nn.Linear(64, 2)
    with torch.no_grad():
        model.weight.copy_(1e6 * torch.stack([-torch.ones(64), torch.ones(64)]))
        model.bias.zero_()
    size = 1.2 * 2 / math.sqrt(64)
    (found,) = genuine_accuracy(model, examples, L2(0.0, -math.inf, math.inf), [size], key=Key(0))
    assert found.genuine.n == 64
    assert found.standard.value == found.genuine.value == 0


def test_a_size_that_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match="expected finite norms"):
        genuine_accuracy(Stepped(0.5), line(3), L2(0.0), [math.nan], key=Key(0))
