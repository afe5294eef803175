"""The architectures that training is reported with: published sizes, and independent forwards."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, relu

from frenemy.catalog import catalog
from frenemy.errors import ModelError
from frenemy.models.build import initialise
from frenemy.models.cifarresnets import CIFARResNet
from frenemy.models.densenet import DenseNet
from frenemy.models.preactresnets import PreActResNet18, WideResNet
from frenemy.models.resnext import ResNeXt
from frenemy.models.smallcnn import CapacityCNN, SmallCNN
from frenemy.models.vgg import VGG16
from frenemy.rng import Key

NARROW = {
    "smallcnn": {"width": 4},
    "capacitycnn": {"capacity": 2},
    "cifarresnet": {"depth": 14, "width": 2},
    "preactresnet18": {"width": 2},
    "wideresnet": {"depth": 16, "widen": 2, "width": 2},
    "vgg16": {"width": 2},
    "densenet": {"depth": 22, "width": 2},
    "resnext": {"depth": 11, "cardinality": 2, "width": 2, "expansion": 2},
}
every = pytest.mark.parametrize("name", NARROW)


def pictures(shape: tuple[int, ...]) -> Tensor:
    return Key(0).uniform(torch.arange(3), shape, torch.float64)


def drawn(module: nn.Module) -> nn.Module:
    """With statistics of its own in every batch norm, so that none is the identity."""
    initialise(module, Key(3))
    for name, norm in module.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            for word, tensor in norm.state_dict().items():
                if tensor.is_floating_point():
                    row = torch.zeros(1, dtype=torch.int64)
                    tensor.copy_(0.5 + Key(5).fold(f"{name}.{word}").uniform(row, tuple(tensor.shape))[0])
    return module.double().eval()


@pytest.mark.parametrize(
    ("kind", "settings", "published", "digit"),
    [
        (CIFARResNet, {"depth": 20}, 0.27e6, 0.01e6),
        (CIFARResNet, {"depth": 32}, 0.46e6, 0.01e6),
        (CIFARResNet, {"depth": 44}, 0.66e6, 0.01e6),
        (CIFARResNet, {"depth": 56}, 0.85e6, 0.01e6),
        (CIFARResNet, {"depth": 110}, 1.7e6, 0.1e6),
        (WideResNet, {"depth": 28}, 36.5e6, 0.1e6),
        (WideResNet, {"depth": 34}, 46.2e6, 0.1e6),
        (WideResNet, {"depth": 40, "widen": 4}, 8.9e6, 0.1e6),
        (PreActResNet18, {}, 11.17e6, 0.01e6),
        (VGG16, {}, 14.7e6, 0.1e6),
        (DenseNet, {"depth": 100, "width": 12}, 0.8e6, 0.1e6),
        (DenseNet, {}, 7.0e6, 0.1e6),
        (ResNeXt, {"cardinality": 8}, 34.4e6, 0.1e6),
        (SmallCNN, {}, 312_202, 0),
    ],
)
def test_it_has_as_many_parameters_as_published(
    kind: type[nn.Module], settings: dict[str, int], published: float, digit: float
) -> None:
    """He et al. 2016, Table 6; Zagoruyko and Komodakis 2016, Tables 4 and 5; to the last digit that they give."""
    with torch.device("meta"):
        count = sum(p.numel() for p in kind(**settings).parameters())
    assert abs(count - published) <= digit / 2


def test_the_count_of_small_cnn_is_the_sum_over_its_layers() -> None:
    convolutions = (9 * 32 + 32) + (9 * 32 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 64 + 64)
    layers = (1024 * 200 + 200) + (200 * 200 + 200) + (200 * 10 + 10)
    assert convolutions + layers == 312_202


@pytest.mark.parametrize(
    ("net", "settings", "layers"),
    [
        (CIFARResNet, {"depth": 20}, 20),
        (CIFARResNet, {"depth": 110}, 110),
        (PreActResNet18, {}, 18),
        (WideResNet, {"depth": 16}, 16 - 3 + 1),  # they count the three shortcuts, and not the affine map
        (VGG16, {}, 13 + 1),
        (SmallCNN, {}, 4 + 3),
    ],
)
def test_the_depth_is_that_of_the_name(net: type[nn.Module], settings: dict[str, int], layers: int) -> None:
    with torch.device("meta"):
        modules = list(net(**settings).modules())
    convolutions = [m for m in modules if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convolutions) + sum(isinstance(m, nn.Linear) for m in modules) == layers


@pytest.mark.parametrize("capacity", [1, 2, 3, 5])
def test_capacity_doubles_kernels_and_neurons(capacity: int) -> None:
    first, second, neurons = 2 ** (capacity - 1), 2**capacity, 2 ** (capacity + 4)
    convolutions = (25 * first + first) + (25 * first * second + second)
    wanted = convolutions + (49 * second * neurons + neurons) + (10 * neurons + 10)
    assert sum(p.numel() for p in CapacityCNN(capacity=capacity).parameters()) == wanted
    if capacity == 2:
        assert (first, second, neurons) == (2, 4, 64), "the smallest net of Madry et al. 2018, Figure 4"


@every
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_rows_of_grey_and_colour_pictures_are_answered_alone(name: str, shape: tuple[int, ...]) -> None:
    kind = catalog("models")[name].load()
    given = {"channels": shape[0], "classes": 3, "side": shape[1]} | NARROW[name]
    module = drawn(kind(**{word: given[word] for word in inspect.signature(kind).parameters}))
    x = pictures(shape)
    logits = module(x)
    assert logits.shape == (3, 3)
    torch.testing.assert_close(logits, torch.cat([module(row[None]) for row in x]), rtol=0, atol=1e-12)


def normed(x: Tensor, state: dict[str, Tensor], at: str) -> Tensor:
    mean, var = state[f"{at}.running_mean"], state[f"{at}.running_var"]
    return batch_norm(x, mean, var, state[f"{at}.weight"], state[f"{at}.bias"])


def test_cifar_resnet_is_its_equations() -> None:
    """Written out by its tensors: option A takes every second pixel and puts channels of zeros behind."""
    net, x = drawn(CIFARResNet(3, 3, 14, 2)), pictures((3, 9, 12))
    state = net.state_dict()
    y = relu(normed(conv2d(x, state["stem.0.weight"], padding=1), state, "stem.1"))
    for stage in range(3):
        for block in range(2):
            at, stride = f"stages.{stage}.{block}.path", 2 if stage and not block else 1
            inner = relu(normed(conv2d(y, state[f"{at}.0.weight"], None, stride, 1), state, f"{at}.1"))
            inner = normed(conv2d(inner, state[f"{at}.3.weight"], padding=1), state, f"{at}.4")
            short = torch.zeros_like(inner)
            short[:, : y.shape[1]] = y[:, :, ::stride, ::stride]
            y = relu(inner + short)
    logits = y.flatten(2).mean(2) @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(net(x), logits)


@pytest.mark.parametrize(
    ("net", "stages", "blocks"),
    [(PreActResNet18(3, 3, 2), 4, 2), (WideResNet(3, 3, 16, 3, 2), 3, 2), (WideResNet(3, 3, 10, 1, 4), 3, 1)],
    ids=["preact", "wide", "narrow"],
)
def test_activations_stand_before_the_weights(net: nn.Module, stages: int, blocks: int) -> None:
    x, state = pictures((3, 9, 12)), drawn(net).state_dict()
    y = conv2d(x, state["stem.weight"], padding=1)
    for stage in range(stages):
        for block in range(blocks):
            at, stride = f"stages.{stage}.{block}", 2 if stage and not block else 1
            active = relu(normed(y, state, f"{at}.active.0"))
            inner = conv2d(active, state[f"{at}.path.0.weight"], None, stride, 1)
            inner = conv2d(
                relu(normed(inner, state, f"{at}.path.1.0")), state[f"{at}.path.2.weight"], padding=1
            )
            if f"{at}.shortcut.0.weight" in state:
                y = inner + conv2d(active, state[f"{at}.shortcut.0.weight"], None, stride)
            else:
                y = inner + (active if stage == block == 0 else y)
    y = relu(normed(y, state, "last.0"))
    logits = y.flatten(2).mean(2) @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(net(x), logits)


def test_pictures_too_small_for_the_layers_are_refused() -> None:
    assert SmallCNN(1, 16, 3, 2)(torch.zeros(2, 1, 16, 16)).shape == (2, 3)
    with pytest.raises(ModelError, match="expected images of at least 16 x 16, got 15 x 15"):
        SmallCNN(1, 15)
    with pytest.raises(ModelError, match="expected images of at least 4 x 4, got 3 x 3"):
        CapacityCNN(1, 3)
