"""FixedNorm: PyTorch's batch norm to the last bit, and its slopes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from frenemy.models.fast import Fast
from frenemy.models.fixednorm import normed
from frenemy.models.still import still
from frenemy.rng import Key


def drawn(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Inputs, and mean, variance, weight and bias of five channels."""
    x = Key(1).normal(torch.arange(6), (5, 3, 4), dtype)
    mean, spread, weight, bias = Key(2).normal(torch.arange(4), (5,), torch.float32)
    return x.requires_grad_(), mean, spread.square() + 0.1, weight, bias


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_batch_norm_and_so_is_its_slope(affine: bool, layout: torch.memory_format) -> None:
    x, mean, var, weight, bias = drawn()
    x = x.detach().contiguous(memory_format=layout).requires_grad_()
    own_weight, own_bias = (weight, bias) if affine else (None, None)
    pull = Key(3).normal(torch.arange(6), (5, 3, 4), torch.float32)
    expected = batch_norm(x, mean, var, own_weight, own_bias, eps=1e-3)
    given = normed(x, mean, var, own_weight, own_bias, eps=1e-3)
    assert given is not None
    assert torch.equal(given, expected)
    slopes = [torch.autograd.grad((y * pull).sum(), x)[0] for y in (expected, given)]
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-5, atol=1e-6)


def test_in_float64_its_slope_is_that_of_finite_differences() -> None:
    x, *numbers = drawn(torch.float64)
    mean, var, weight, bias = (number.double() for number in numbers)

    def scaled(z: Tensor) -> Tensor:
        given = normed(z, mean, var, weight, bias)
        assert given is not None
        return given

    assert torch.autograd.gradcheck(scaled, (x,))


def test_what_only_batch_norm_can_give_is_left_to_it() -> None:
    x, mean, var, weight, bias = drawn()
    assert normed(x, mean, var, weight, bias, training=True) is None
    assert normed(x, None, None, weight, bias) is None
    assert normed(x, mean, var, weight.clone().requires_grad_(), bias) is None
    assert normed(x.detach(), mean, var, weight, bias) is None
    with torch.no_grad():
        assert normed(x, mean, var, weight, bias) is None


@pytest.mark.parametrize("inplace", [True, False])
def test_a_model_takes_it_while_it_is_held_still_and_trains_as_before(inplace: bool) -> None:
    """A ReLU that writes over what batch norm gave takes nothing that its slope would need."""
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(inplace), nn.Conv2d(2, 4, 3), nn.Flatten())
    x = Key(4).uniform(torch.arange(5), (2, 6, 6)).requires_grad_()
    with still(model):
        slopes = [torch.autograd.grad(one(x).square().sum(), x)[0] for one in (model, Fast(model))]
        kinds = {type(node).__name__ for node in nodes(Fast(model)(x))}
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-4, atol=1e-5)
    assert "_NormedBackward" in kinds
    assert "_NormedBackward" not in {type(node).__name__ for node in nodes(Fast(model)(x))}


def nodes(y: Tensor) -> list[object]:
    """The graph behind a tensor, node by node."""
    found, waiting = list[object](), [y.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None:
            found.append(node)
            waiting += [after for after, _ in node.next_functions]
    return found
