"""Sizes of the architectures against arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from frenemy.errors import ModelError
from frenemy.models.convnets import ConvNet, LeNet
from frenemy.models.linear import Linear
from frenemy.models.mlp import MLP
from frenemy.models.resnets import ResNet18


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_mlp_has_the_parameters_of_784_768_768_10() -> None:
    assert count(MLP()) == (784 * 768 + 768) + (768 * 768 + 768) + (768 * 10 + 10)


def test_lenet_has_the_parameters_of_the_paper() -> None:
    convolutions = (1 * 32 * 25 + 32) + (32 * 64 * 25 + 64)
    assert count(LeNet()) == convolutions + (64 * 7 * 7 * 1024 + 1024) + (1024 * 10 + 10)


def test_resnet18_has_the_parameters_of_its_layers() -> None:
    def block(before: int, after: int) -> int:
        shortcut = before * after + 2 * after if before != after else 0
        return 9 * before * after + 9 * after * after + 4 * after + shortcut

    stages = sum(block(a, b) + block(b, b) for a, b in ((64, 64), (64, 128), (128, 256), (256, 512)))
    assert count(ResNet18()) == (9 * 3 * 64 + 2 * 64) + stages + (512 * 10 + 10)


def test_linear_and_convnet_have_the_parameters_of_their_layers() -> None:
    assert count(Linear(7, 3)) == 7 * 3 + 3
    assert count(ConvNet()) == (9 * 16 + 16) + (9 * 16 * 32 + 32) + (32 * 4 * 4 * 10 + 10)


@pytest.mark.parametrize("kind", [LeNet, ConvNet])
@pytest.mark.parametrize("side", [5, 7, 8, 29])
def test_odd_sides_work(kind: type[LeNet] | type[ConvNet], side: int) -> None:
    assert kind(2, side, 3)(torch.zeros(2, 2, side, side)).shape == (2, 3)


@pytest.mark.parametrize(("kind", "side"), [(LeNet, 3), (ConvNet, 1)])
def test_images_too_small_to_halve_are_refused(kind: type[LeNet] | type[ConvNet], side: int) -> None:
    with pytest.raises(ModelError, match=f"got {side} x {side}"):
        kind(1, side, 3)


def test_resnet_takes_images_that_are_not_square() -> None:
    assert ResNet18(1, 4, width=2).eval()(torch.zeros(2, 1, 9, 14)).shape == (2, 4)


def test_the_shortcuts_of_resnet_carry_the_signal() -> None:
    """With every 3 x 3 convolution behind the stem silent, only shortcuts are left: three 1 x 1 maps by stride 2."""
    module = ResNet18(2, 3, width=2).double().eval()
    for layer in module.stages.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            nn.init.zeros_(layer.weight)
        elif isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.in_channels)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-15
    x = torch.linspace(-1, 1, 2 * 2 * 9 * 9, dtype=torch.float64).reshape(2, 2, 9, 9)
    carried = module.stem(x).mean(1)[:, ::8, ::8].mean((1, 2))
    torch.testing.assert_close(module(x), module.head(carried[:, None].expand(2, 16)))


def test_mlp_without_hidden_layers_is_linear() -> None:
    module = MLP(6, (), 3).double()
    x, y = torch.eye(6, dtype=torch.float64), torch.ones(6, 6, dtype=torch.float64)
    torch.testing.assert_close(module(x + y) - module(y), module(x) - module(0 * x))


def test_mlp_is_the_formula() -> None:
    module = MLP(4, (3,), 2)
    first, last = (m for m in module.modules() if isinstance(m, nn.Linear))
    x = torch.linspace(-1, 1, 8).reshape(2, 2, 2)
    hidden = (x.flatten(1) @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(module(x), hidden @ last.weight.T + last.bias)
