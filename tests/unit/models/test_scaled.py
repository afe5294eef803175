"""Scaled: normalisation inside the model."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from frenemy.errors import ModelError
from frenemy.models.scaled import Scaled

numbers = st.floats(-4, 4, width=32)
positive = st.floats(0.0625, 4, width=32)


def flat(x: Tensor) -> Tensor:
    return x.flatten(1)


@given(st.lists(st.tuples(numbers, positive), min_size=1, max_size=4))
def test_each_channel_is_scaled_by_its_own_numbers(pairs: list[tuple[float, float]]) -> None:
    x = torch.linspace(0, 1, 2 * len(pairs) * 6).reshape(2, len(pairs), 2, 3)
    mean, std = [m for m, _ in pairs], [s for _, s in pairs]
    got = Scaled(flat, mean, std)(x).reshape(x.shape)
    for channel, (m, s) in enumerate(pairs):
        torch.testing.assert_close(got[:, channel], (x[:, channel] - m) / s)


@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 5), (3, 2, 4, 4)])
def test_one_number_serves_every_shape(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Scaled(flat, 0.5, [0.25])(x), flat((x - 0.5) / 0.25))


def test_the_gradient_is_in_natural_units() -> None:
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(Scaled(flat, [0.0, 0.0], [0.5, 0.25])(x).sum(), x)
    assert torch.equal(gradient[0, 0], torch.full((3, 3), 2.0))
    assert torch.equal(gradient[0, 1], torch.full((3, 3), 4.0))


def test_the_dtype_of_the_input_is_kept() -> None:
    assert Scaled(flat, 0.0, 1.0)(torch.zeros(1, 3, dtype=torch.float64)).dtype == torch.float64


def test_a_module_inside_is_a_submodule_and_the_numbers_travel() -> None:
    inner = nn.Linear(2, 2)
    scaled = Scaled(inner, [0.0, 1.0], 2.0)
    assert {id(p) for p in scaled.parameters()} == {id(p) for p in inner.parameters()}
    assert {"mean", "std"} <= set(scaled.state_dict())


@pytest.mark.parametrize(
    ("mean", "std", "match"),
    [
        (0.0, 0.0, "above 0"),
        (0.0, [1.0, -1.0], "above 0"),
        (float("nan"), 1.0, "finite"),
        (0.0, float("inf"), "finite"),
        ([], 1.0, "finite"),
        ([0.0, 0.0], [1.0, 1.0, 1.0], "got 3 and 2"),
    ],
)
def test_numbers_that_cannot_scale_are_refused(
    mean: float | list[float], std: float | list[float], match: str
) -> None:
    with pytest.raises(ModelError, match=match):
        Scaled(flat, mean, std)


def test_other_numbers_than_channels_are_refused() -> None:
    with pytest.raises(ModelError, match="one number or 3, one a channel"):
        Scaled(flat, [0.0, 0.0], 1.0)(torch.zeros(1, 3, 4, 4))
