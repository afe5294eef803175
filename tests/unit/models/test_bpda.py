"""BPDA: the defended model's answers, a lent gradient, and attacks that see again."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tests.oracles import net
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from frenemy.attacks.attack import Status
from frenemy.attacks.bim import BIM
from frenemy.data.batch import Batch
from frenemy.errors import ModelError
from frenemy.models.bpda import BPDA, identity
from frenemy.models.still import still
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.linf import Linf

INDEX = torch.arange(40)
X = Key(0).uniform(INDEX, (1, 8, 8), torch.float64)


def eight_levels(x: Tensor) -> Tensor:
    """Bit-depth reduction to 3 bits."""
    return torch.round(x * 7) / 7


def cosine() -> Tensor:
    """The orthonormal discrete cosine transform of 8 points."""
    n = torch.arange(8, dtype=torch.float64)
    rows = torch.cos(math.pi / 8 * (n + 0.5) * n[:, None]) / 2
    rows[0] /= math.sqrt(2)
    return rows


def like_jpeg(x: Tensor) -> Tensor:
    """Round the cosine coefficients of each 8 by 8 block to multiples of 0.25."""
    basis = cosine()
    coefficients = basis @ x @ basis.T
    return basis.T @ (torch.round(coefficients / 0.25) * 0.25) @ basis


FRONTS: list[Callable[[Tensor], Tensor]] = [eight_levels, like_jpeg]
fronts = pytest.mark.parametrize("front", FRONTS)


def test_the_cosine_basis_is_orthonormal() -> None:
    torch.testing.assert_close(cosine() @ cosine().T, torch.eye(8, dtype=torch.float64))


@fronts
def test_an_attack_is_blind_without_and_sees_with_it(front: Callable[[Tensor], Tensor]) -> None:
    model = net(64, 3, Key(2))
    with torch.no_grad():
        y = model(front(X)).argmax(1)
    batch, attack = Batch(X, y, INDEX), BIM(steps=20)

    def run(defended: Callable[[Tensor], Tensor]) -> Tensor:
        found = attack(defended, batch, threat=Linf(0.12), objective=Untargeted(Margin()), key=Key(0))
        assert torch.equal(found.success, model(front(found.x)).argmax(1) != y)
        blind = found.flat[found.status == Status.NOT_FOUND]
        assert bool(blind.all()) == (found.success.sum() == 0)
        return found.success

    assert not run(lambda x: model(front(x))).any()
    assert float(run(BPDA(front, model)).double().mean()) > 0.5


@fronts
def test_answers_are_the_defended_models_and_gradients_are_taken_there(
    front: Callable[[Tensor], Tensor],
) -> None:
    model = net(64, 3, Key(2))
    x, z = X.clone().requires_grad_(), front(X).requires_grad_()
    answer, expected = BPDA(front, model)(x), model(z)
    assert torch.equal(answer, expected)
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    (ours,) = torch.autograd.grad((answer * weights).sum(), x)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), z)
    assert torch.equal(ours, theirs)
    with torch.no_grad():
        assert torch.equal(BPDA(front, model)(X), answer)


def test_a_replacement_lends_its_own_gradient_also_over_a_change_of_shape() -> None:
    """The chain rule by hand: average pooling spreads each gradient over its four pixels, times the slope of tanh."""

    def front(x: Tensor) -> Tensor:
        return torch.round(avg_pool2d(torch.tanh(x), 2) * 4) / 4

    model = net(16, 3, Key(3))
    x, z = X.clone().requires_grad_(), front(X).requires_grad_()
    (ours,) = torch.autograd.grad(
        BPDA(front, model, lambda x: avg_pool2d(torch.tanh(x), 2))(x)[:, 1].sum(), x
    )
    (inner,) = torch.autograd.grad(model(z)[:, 1].sum(), z)
    spread = inner.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    torch.testing.assert_close(ours, spread * (1 - torch.tanh(X) ** 2))


def test_a_differentiable_front_end_as_its_own_replacement_changes_nothing() -> None:
    model, x = net(64, 3, Key(2)), X.clone().requires_grad_()
    (ours,) = torch.autograd.grad(BPDA(torch.sin, model, torch.sin)(x).sum(), x)
    (theirs,) = torch.autograd.grad(model(torch.sin(x)).sum(), x)
    torch.testing.assert_close(ours, theirs)


def test_a_front_end_that_gives_its_input_back_is_harmless() -> None:
    model, x = net(64, 3, Key(2)), X.clone().requires_grad_()
    (ours,) = torch.autograd.grad(BPDA(identity, model)(x).sum(), x)
    (theirs,) = torch.autograd.grad(model(x).sum(), x)
    assert torch.equal(ours, theirs)


def test_first_derivatives_only() -> None:
    model, x = net(64, 3, Key(2)), X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(BPDA(eight_levels, model)(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|not have been used"):
        torch.autograd.grad(slope.sum(), x)


def test_a_replacement_that_does_not_fit_is_refused_in_a_sentence() -> None:
    model, x = net(64, 3, Key(2)), X.clone().requires_grad_()
    for wrong in (lambda x: avg_pool2d(x, 2), lambda x: eight_levels(x.detach())):
        with pytest.raises(ModelError, match="give a smooth stand-in"):
            torch.autograd.grad(BPDA(eight_levels, model, wrong)(x).sum(), x)


def test_modules_in_front_are_held_still_with_the_rest() -> None:
    drop = nn.Dropout(0.5)
    defended = BPDA(drop, net(64, 3, Key(2)))
    with still(defended):
        assert not drop.training
        assert torch.equal(defended(X), defended(X))
    assert drop.training
