"""Fast and Lowered: the same answers and gradients to rounding, nothing changed for good."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from tests.oracles import Scripted, traces
from torch import Tensor, nn

from frenemy.models.build import initialise
from frenemy.models.convnets import ConvNet
from frenemy.models.fast import Fast
from frenemy.models.lowered import Lowered
from frenemy.models.mlp import MLP
from frenemy.models.packed import packed, packing
from frenemy.models.resnets import ResNet18
from frenemy.models.still import still
from frenemy.rng import Key


def inputs(shape: tuple[int, ...], rows: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    return Key(1).uniform(torch.arange(rows), shape, dtype)


def models() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    with torch.random.fork_rng(devices=[]):
        made: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
            "mlp": (MLP(12, (8,), 3), (12,)),
            "grey": (ConvNet(1, 8, 3, 4), (1, 8, 8)),
            "colour": (ResNet18(3, 3, 2), (3, 8, 8)),
            "keywords": (nn.Sequential(Keywords(), nn.Flatten(), nn.Linear(16, 3)), (2, 4, 4)),
            "views": (nn.Sequential(nn.Conv2d(2, 4, 3), Viewing(), nn.Linear(16, 3)), (2, 4, 4)),
            "strides": (
                nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1, groups=2, bias=False), nn.Flatten(), nn.Linear(16, 3)),
                (2, 4, 4),
            ),
            "one row": (
                nn.Sequential(nn.Unflatten(1, (1, 12)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(20, 3)),
                (12,),
            ),
            "sequences": (nn.Sequential(nn.Linear(4, 5), nn.Flatten(), nn.Linear(15, 3, bias=False)), (3, 4)),
        }
    for module, _ in made.values():
        initialise(module, Key(2)).eval()
    return made


class Keywords(nn.Module):
    """Names every argument of the functions it calls."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.mix = nn.Conv2d(2, 4, 3), nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.conv2d(input=x, weight=self.map.weight, bias=self.map.bias)
        return nn.functional.linear(input=x.flatten(2), weight=self.mix.weight)


class Bits(nn.Module):
    """Looks at the bits of a tensor that lies channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return (x.view(torch.int32) & -1).view(dtype=torch.float32)


class Viewing(nn.Module):
    """Flattens by `view`, which a channels-last tensor does not allow."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), 16)


def gradient(model: nn.Module, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    asked = x.clone().requires_grad_()
    with still(model):
        logits = model(asked)
        (slope,) = torch.autograd.grad((logits * weights).sum(), asked)
    return logits.detach(), slope


@pytest.mark.parametrize("name", models())
@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
def test_answers_and_gradients_are_the_models_own(name: str, layout: str) -> None:
    model, shape = models()[name]
    x = inputs(shape)
    if layout == "channels last" and x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    weights = Key(3).normal(torch.arange(5), (3,))
    expected, slope = gradient(model, x.contiguous(), weights)
    fast = Fast(model)
    logits, quick = gradient(fast, x, weights)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(quick, slope, rtol=1e-4, atol=1e-5)
    assert logits.is_contiguous()
    assert slope.abs().sum() > 0
    with torch.no_grad():
        torch.testing.assert_close(fast(x), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(fast(x[:1]), expected[:1], rtol=1e-5, atol=1e-5)
        assert fast(x[:0]).shape == (0, 3)


@pytest.mark.parametrize("name", models())
def test_other_dtypes_take_the_ordinary_way(name: str) -> None:
    model, shape = models()[name]
    model.double()
    x = inputs(shape, dtype=torch.float64)
    assert torch.equal(Fast(model)(x), model(x))


@pytest.mark.parametrize("name", models())
def test_a_weight_that_wants_a_gradient_gets_it(name: str) -> None:
    model, shape = models()[name]
    x = inputs(shape)
    model(x).square().sum().backward()
    expected = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    Fast(model)(x).square().sum().backward()
    for parameter, own in zip(model.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, own, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("wrap", [Fast, Lowered])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_follows_a_convolution_lies_channels_last(
    wrap: Callable[[nn.Module], nn.Module], channels: int
) -> None:
    """One channel lies both ways, so that a layout is lost there unless the strides say it."""
    model, seen = initialise(ConvNet(channels, 8, 3, 4), Key(2)), []
    pool = next(module for module in model.modules() if isinstance(module, nn.MaxPool2d))
    pool.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].is_contiguous(memory_format=torch.channels_last))
    )
    x = inputs((channels, 8, 8))
    model(x)
    wrap(model)(x)
    with still(model):
        wrap(model)(x)
    assert seen == [False, True, True]


@pytest.mark.parametrize("wrap", [Fast, Lowered])
def test_a_view_as_another_type_stays_one(wrap: Callable[[nn.Module], nn.Module]) -> None:
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).eval()
    x = inputs((2, 4, 4))
    layers = list(model)
    seen = nn.Sequential(layers[0], Widened(), Bits(), *layers[1:])
    with torch.no_grad():
        torch.testing.assert_close(wrap(seen)(x), wrap(model)(x))


class Widened(nn.Module):
    """Float32, whatever came."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float()


def test_no_trace_is_left_and_nothing_is_rerouted_afterwards() -> None:
    model, shape = models()["colour"]
    x, before = inputs(shape), traces(model)
    ordinary = model(x)
    failing = Scripted(model, lambda call, x: KeyError("now") if call == 2 else None)
    for wrapped in (Fast(model), Lowered(model)):
        wrapped(x)
        assert torch.equal(model(x), ordinary)
    Fast(failing)(x)
    with pytest.raises(KeyError):
        Fast(failing)(x)
    assert torch.equal(model(x), ordinary)
    assert traces(model) == before


def test_other_threads_go_their_ordinary_way() -> None:
    """While one thread is inside a fast forward, another one's answers keep every bit."""
    model, shape = models()["colour"]
    x, inside, done = inputs(shape), threading.Event(), threading.Event()
    expected = model(x)

    def slow(x: Tensor) -> Tensor:
        inside.set()
        assert done.wait(10)
        logits: Tensor = model(x)
        return logits

    thread = threading.Thread(target=Fast(slow), args=(x,))
    thread.start()
    assert inside.wait(10)
    answers = [model(x) for _ in range(3)]
    done.set()
    thread.join()
    assert all(torch.equal(answer, expected) for answer in answers)


@pytest.mark.parametrize("name", ["mlp", "grey", "colour"])
def test_lowered_is_near_and_gives_float32(name: str) -> None:
    model, shape = models()[name]
    x = inputs(shape)
    weights = Key(3).normal(torch.arange(5), (3,))
    expected, slope = gradient(model, x, weights)
    logits, near = gradient(Lowered(model), x, weights)
    assert logits.dtype == near.dtype == torch.float32
    scale = float(expected.abs().max())
    assert 0 < float((logits - expected).abs().max()) < 0.05 * scale
    cosine = torch.nn.functional.cosine_similarity(near.flatten(), slope.flatten(), dim=0)
    assert float(cosine) > 0.95
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("wrap", [Fast, Lowered])
@pytest.mark.parametrize("name", models())
def test_weights_laid_out_once_answer_as_those_laid_out_anew(
    wrap: Callable[[nn.Module], nn.Module], name: str
) -> None:
    """The first question of a scope takes the weights as they are, the second lays them out, the third has them.

    Batch norm goes into weights that are laid out, and rounding to bfloat16 comes after it: such answers are as far
    from those of the model itself as the first ones, not near the first ones.
    """
    model, shape = models()[name]
    x, weights, asked = inputs(shape), Key(3).normal(torch.arange(5), (3,)), wrap(model)
    exact = gradient(model, x, weights)
    expected = gradient(asked, x, weights)
    with still(model):
        for _ in range(3):
            for near, first, right in zip(gradient(asked, x, weights), expected, exact, strict=True):
                if wrap is Fast:
                    torch.testing.assert_close(near, first, rtol=1e-5, atol=1e-5 * float(first.abs().max()))
                else:
                    assert (near - right).norm() <= 2 * (first - right).norm()


@pytest.mark.parametrize("wrap", [Fast, Lowered])
@pytest.mark.parametrize("name", ["mlp", "grey"])
def test_weights_that_changed_are_laid_out_anew(wrap: Callable[[nn.Module], nn.Module], name: str) -> None:
    model, shape = models()[name]
    x, asked = inputs(shape), wrap(model)
    with still(model), torch.no_grad():
        before = [asked(x) for _ in range(3)][-1]
        for parameter in model.parameters():
            parameter.mul_(2)
        after = [asked(x) for _ in range(3)]
    assert float((after[0] - before).abs().max()) > 0.1
    for answer in after:
        torch.testing.assert_close(answer, model(x), rtol=0.05, atol=0.05)
    with still(model), torch.no_grad():
        for parameter in model.parameters():
            parameter.data.mul_(0.5)  # leaves no mark on the parameter; but this is another scope
        torch.testing.assert_close([asked(x) for _ in range(3)][-1], before)


def test_nothing_is_kept_where_a_model_is_not_held_still() -> None:
    made: list[Tensor] = []

    def lay(weight: Tensor) -> Tensor:
        made.append(weight)
        return weight.clone()

    weight = nn.Parameter(torch.ones(2), requires_grad=False)
    assert packed(weight, lay) is None
    with packing():
        assert packed(weight, lay) is None
        kept = packed(weight, lay)
        with packing():
            assert packed(weight, lay) is kept is not None
        assert packed(weight, lay) is kept
        assert packed(nn.Parameter(torch.ones(2)), lay) is packed(torch.ones(2), lay) is None
    assert packed(weight, lay) is None
    assert len(made) == 1


def test_where_a_model_switches_autocasting_off_its_weights_stay_as_they_are() -> None:
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map, self.mix = nn.Conv2d(2, 4, 3), nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", enabled=False):
                logits: Tensor = self.mix(self.map(x.float()).flatten(1))
            return logits

    model, x = initialise(Careful(), Key(2)).eval(), inputs((2, 4, 4))
    with still(model):
        for _ in range(3):
            torch.testing.assert_close(Lowered(model)(x), model(x))
