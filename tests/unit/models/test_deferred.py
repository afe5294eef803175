"""Deferred: convolutions that wait for what follows them give what they would give at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import relu

from frenemy.errors import ModelError
from frenemy.models.deferred import Deferred
from frenemy.models.fast import Fast
from frenemy.models.layout import ChannelsLast
from frenemy.models.lowered import Lowered
from frenemy.models.onednn import CONVOLVED, kernel_laid_out
from frenemy.models.still import still
from frenemy.rng import Key

M = TypeVar("M", bound=nn.Module)
pytestmark = pytest.mark.skipif(not CONVOLVED, reason="this PyTorch has no such convolutions")


def drawn(module: M, seed: int = 0) -> M:
    """Weights and statistics of which none is plain."""
    key = Key(seed)
    for k, one in enumerate([*module.parameters(), *module.buffers()]):
        if one.is_floating_point():
            one.data.copy_(0.5 + key.fold(k).uniform(torch.arange(len(one)), tuple(one.shape[1:])))
            if one.ndim > 1:
                one.data.sub_(1)
    module.eval()
    return module


def inputs(*shape: int, rows: int = 3) -> Tensor:
    return Key(7).normal(torch.arange(rows), shape)


def asked(model: nn.Module, x: Tensor, grads: bool) -> tuple[Tensor, Tensor | None]:
    """Answers, and the slope of a sum of them."""
    if not grads:
        with torch.no_grad():
            return model(x), None
    x = x.clone().requires_grad_()
    y = model(x)
    weights = Key(8).normal(torch.arange(len(y)), tuple(y.shape[1:]))
    (slope,) = torch.autograd.grad((y * weights).sum(), x)
    return y.detach(), slope


def check(model: nn.Module, x: Tensor, slopes: bool = True) -> None:
    """Three questions, the last of which finds its weights laid out, with gradients (where there are any) and without.

    PyTorch has none where the input of a convolution was written to.
    """
    for grads in (False, True):
        with still(model):
            if grads and not slopes:
                with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                    asked(model, x, grads)
                continue
            right, slope = asked(model, x, grads)
            for _ in range(3):
                y, near = asked(Fast(model), x, grads)
                assert type(y) is Tensor
                torch.testing.assert_close(y, right, rtol=1e-4, atol=1e-4)
                if slope is not None:
                    torch.testing.assert_close(near, slope, rtol=1e-4, atol=1e-4)


class Chain(nn.Module):
    """A convolution, and what follows it."""

    def __init__(self, conv: nn.Conv2d, norm: nn.Module | None, add: str, rectify: str) -> None:
        super().__init__()
        self.conv, self.norm, self.add, self.rectify = conv, norm, add, rectify
        self.side = nn.Conv2d(conv.in_channels, conv.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        other = torch.ones(y.shape)
        y = y if self.norm is None else self.norm(y)
        if self.add == "left":
            y = y + other
        elif self.add == "right":
            y = other + y
        elif self.add == "into":
            y += other
        elif self.add == "twice":
            y = y + y
        elif self.add == "scalar":
            y = y + 1
        elif self.add == "side":
            y = y + self.side(x)[:, :, : y.shape[2], : y.shape[3]].mean((2, 3), keepdim=True).expand_as(y)
        if self.rectify == "in place":
            relu(y, inplace=True)
        return relu(y) if self.rectify == "out" else y


@settings(deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 2),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["no", "plain", "affine"]),
    st.sampled_from(["no", "left", "right", "into", "twice", "scalar", "side"]),
    st.sampled_from(["no", "out", "in place"]),
)
def test_every_chain_gives_what_its_parts_give(
    inside: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    grouped: bool,
    bias: bool,
    norm: str,
    add: str,
    rectify: str,
) -> None:
    groups = inside if grouped else 1
    conv = nn.Conv2d(inside, 2 * inside, kernel, stride, padding, dilation, groups, bias)
    after = None if norm == "no" else nn.BatchNorm2d(2 * inside, affine=norm == "affine")
    check(drawn(Chain(conv, after, add, rectify)), inputs(inside, 7, 6))


@settings(deadline=None)
@given(
    st.integers(1, 5),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.booleans(),
)
def test_slopes_come_back_to_pictures_of_few_channels(
    inside: int, kernel: tuple[int, int], padding: tuple[int, int], quarters: tuple[int, int], norm: bool
) -> None:
    """Blocks of pixels are taken at once where their sides fit; so the kernel may not show where blocks meet."""
    high, wide = 4 * quarters[0], 2 * quarters[1]
    if high + 2 * padding[0] < kernel[0] or wide + 2 * padding[1] < kernel[1]:
        return
    conv = nn.Conv2d(inside, 3, kernel, padding=padding)
    check(drawn(Chain(conv, nn.BatchNorm2d(3) if norm else None, "no", "out")), inputs(inside, high, wide))


class Odd(nn.Module):
    """A convolution and a batch norm, used in some way that nobody has foreseen."""

    def __init__(self, way: Callable[[Odd, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm, self.way = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


class Twice(torch.autograd.Function):
    """`2 x`, with three times its slope, so that whoever passes by shows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return 6 * gradients[0]


def scripted(x: Tensor) -> Tensor:
    """A function that PyTorch runs without asking Python, deprecated but widely in use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made: Tensor = torch.jit.script(_swish)(x)
    return made


def _swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def twice_used(self: Odd, x: Tensor) -> Tensor:
    y: Tensor = self.conv(x)
    z = relu(self.norm(y))
    return y + z


def input_written(self: Odd, x: Tensor) -> Tensor:
    x = x + 1
    y: Tensor = self.conv(x)
    x.mul_(3)
    return relu(self.norm(y)) + x


def shortcut_first(self: Odd, x: Tensor) -> Tensor:
    x = x * 1
    aside: Tensor = self.norm(self.conv(x))
    x = relu(x, inplace=True)
    return aside + x


def written_aside(self: Odd, x: Tensor) -> Tensor:
    y: Tensor = self.norm(self.conv(x))
    relu(y, inplace=True)
    return y * y


def added_aside(self: Odd, x: Tensor) -> Tensor:
    y: Tensor = self.norm(self.conv(x))
    z = y
    y += x
    return relu(z) + z


def filled(self: Odd, x: Tensor) -> Tensor:
    y: Tensor = self.norm(self.conv(x))
    y[:, 0] = 1
    return relu(y)


def shaped(self: Odd, x: Tensor) -> Tensor:
    y: Tensor = self.conv(x)
    n, c, h, w = y.shape
    assert (y.dim(), y.ndim, y.dtype, y.device, y.size(1)) == (4, 4, x.dtype, x.device, c)
    flat: Tensor = self.norm(y).reshape(n, c * h * w)
    return flat


def kept_for_later(self: Odd, x: Tensor) -> Tensor:
    seen = [self.conv(x)]
    seen.append(self.norm(seen[-1]))
    seen.append(relu(seen[-1]))
    return torch.cat(seen, 1)


WAYS: dict[str, Callable[[Odd, Tensor], Tensor]] = {
    "used twice": twice_used,
    "its input written to": input_written,
    "another branch writes": shortcut_first,
    "written to aside": written_aside,
    "added to aside": added_aside,
    "filled": filled,
    "shaped": shaped,
    "kept for later": kept_for_later,
    "a function of its own": lambda self, x: Twice.apply(self.norm(self.conv(x))),  # type: ignore[no-untyped-call]
    "scripted": lambda self, x: scripted(self.conv(x)) + scripted(self.norm(self.conv(x))),
    "two that wait": lambda self, x: relu(self.norm(self.conv(x)) + self.norm(self.conv(2 * x))),
    "added to one that has ended": lambda self, x: relu(relu(self.conv(x)) + self.norm(self.conv(x))),
    "added wide": lambda self, x: relu(self.conv(x) + torch.ones(2, 1, 1)),
    "added in double": lambda self, x: relu(self.conv(x) + torch.ones(1, dtype=torch.float64)),
    "added by part": lambda self, x: relu(torch.add(self.conv(x), x, alpha=0.5)),
    "normed twice": lambda self, x: self.norm(self.norm(self.conv(x))),
    "normed after a sum": lambda self, x: self.norm(self.conv(x) + x),
    "nothing after it": lambda self, x: self.norm(self.conv(x)),
    "detached": lambda self, x: self.norm(self.conv(x)).detach() + x,
    "listed": lambda self, x: x + torch.tensor(self.conv(x.detach()).tolist()),
    "one row at a time": lambda self, x: torch.stack([self.norm(self.conv(row[None]))[0] for row in x]),
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_a_model_does_with_it_it_is_a_tensor_like_any_other(way: str) -> None:
    check(
        drawn(Odd(WAYS[way])), inputs(2, 5, 5), way not in ("its input written to", "another branch writes")
    )


def test_a_shared_convolution_takes_the_batch_norm_that_follows_it() -> None:
    def way(self: Odd, x: Tensor) -> Tensor:
        return relu(self.norm(self.conv(x))) + relu(self.other(self.conv(x)))  # type: ignore[operator]

    model = Odd(way)
    model.other = nn.BatchNorm2d(2)
    check(drawn(model), inputs(2, 5, 5))


def test_one_layout_serves_inputs_of_all_sizes() -> None:
    def way(self: Odd, x: Tensor) -> Tensor:
        small = torch.nn.functional.avg_pool2d(x, 2)
        return torch.stack([relu(self.norm(self.conv(one))).mean((2, 3)) for one in (x, small, x[:, :, :3])])

    model = drawn(Odd(way))
    check(model, inputs(2, 8, 6))
    made: list[Tensor] = []

    def counted(weight: Tensor, *how: Any) -> Tensor:
        made.append(weight)
        return kernel_laid_out(weight, *how)

    with pytest.MonkeyPatch.context() as patch, still(model), torch.no_grad():
        patch.setattr("frenemy.models.convolution.kernel_laid_out", counted)
        for _ in range(3):
            Fast(model)(inputs(2, 8, 6))
    assert len(made) == 1


def test_statistics_and_weights_that_changed_are_folded_in_anew() -> None:
    model = drawn(Odd(lambda self, x: relu(self.norm(self.conv(x)))))
    x = inputs(2, 5, 5)
    with still(model), torch.no_grad():
        for changed in (model.norm.running_var, model.norm.bias, model.conv.weight):
            for _ in range(3):
                torch.testing.assert_close(Fast(model)(x), model(x), rtol=1e-4, atol=1e-4)
            assert changed is not None
            changed.mul_(2)
        torch.testing.assert_close(Fast(model)(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("part", ["conv", "norm"])
def test_what_learns_is_left_to_pytorch(part: str) -> None:
    model = drawn(Odd(lambda self, x: relu(self.norm(self.conv(x)))))
    model.requires_grad_(False).get_submodule(part).requires_grad_(True)
    x = inputs(2, 5, 5)
    weights = [one for one in model.parameters() if one.requires_grad]
    right = torch.autograd.grad(model(x).sum(), weights)
    for one, near in zip(right, torch.autograd.grad(Fast(model)(x).sum(), weights), strict=True):
        torch.testing.assert_close(near, one, rtol=1e-4, atol=1e-4)


def test_batch_norm_that_is_learning_keeps_its_statistics_moving() -> None:
    model = drawn(Odd(lambda self, x: relu(self.norm(self.conv(x)))))
    twin = drawn(Odd(model.way))
    x = inputs(2, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(Fast(model.train())(x), twin.train()(x), rtol=1e-4, atol=1e-4)
    assert model.norm.running_mean is not None
    torch.testing.assert_close(model.norm.running_mean, twin.norm.running_mean)


@pytest.mark.parametrize("wrap", [Fast, Lowered])
@pytest.mark.parametrize("add", ["no", "left"])
def test_what_is_no_number_stays_so(wrap: Callable[[nn.Module], nn.Module], add: str) -> None:
    """A kernel with ReLU inside would make 0 of NaN."""
    for channels in (1, 16):
        model = drawn(Chain(nn.Conv2d(channels, 16, 3), nn.BatchNorm2d(16), add, "out"))
        x = inputs(channels, 9, 9, rows=20)
        x[0, 0, 4, 4] = torch.nan
        with still(model), torch.no_grad():
            right = model(x).isnan()
            for _ in range(3):
                found = wrap(model)(x).isnan()
                assert bool((found | ~right).all())
                assert not found[1:].any()


def test_what_a_hook_saw_is_what_was_there() -> None:
    model = drawn(Odd(lambda self, x: relu(self.norm(self.conv(x)))))
    seen: list[Tensor] = []
    model.conv.register_forward_hook(lambda module, args, y: seen.append(y))
    x = inputs(2, 5, 5)
    with still(model), torch.no_grad():
        for _ in range(3):
            Fast(model)(x)
        right = model.conv(x)
    for one in seen[:-1]:
        torch.testing.assert_close(one + 0, right, rtol=1e-4, atol=1e-4)
        assert one.mean().item() == pytest.approx(float(right.mean()), abs=1e-4)


@pytest.mark.parametrize("written", ["input", "addend"])
def test_a_result_that_was_passed_over_and_can_no_longer_be_known_is_refused(written: str) -> None:
    def way(self: Odd, x: Tensor) -> Tensor:
        x, other = x + 1, x + 2
        y: Tensor = self.norm(self.conv(x)) + other
        z = relu(y)
        (x if written == "input" else other).mul_(3)
        return y + z

    model = drawn(Odd(way))
    x = inputs(2, 5, 5).contiguous(memory_format=torch.channels_last)
    with still(model), torch.no_grad(), pytest.raises(ModelError, match="run the model as it is"):
        Fast(model)(x)


@pytest.mark.parametrize("inside", [True, False])
def test_tensors_of_inference_mode_are_taken_too(inside: bool) -> None:
    model = drawn(Odd(lambda self, x: relu(self.norm(self.conv(x)) + x)))
    with torch.inference_mode(inside):
        x = inputs(2, 5, 5)
    with still(model), torch.inference_mode(not inside), torch.no_grad():
        for _ in range(3):
            torch.testing.assert_close(Fast(model)(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 5, 5), (2, 1, 1), (5, 5)])
def test_a_convolution_that_cannot_be_says_so_itself(shape: tuple[int, ...]) -> None:
    model = drawn(nn.Sequential(nn.Conv2d(2, 2, 4), nn.BatchNorm2d(2)))
    with torch.no_grad():
        with pytest.raises((RuntimeError, ValueError)) as right:
            model(inputs(*shape))
        with pytest.raises(type(right.value)) as near:
            Fast(model)(inputs(*shape))
    assert str(near.value) == str(right.value)


def test_it_waits_for_all_three_and_no_longer_than_the_forward() -> None:
    """Each function gives something that is not worked out yet, until ReLU; what is left is worked out at the end."""
    conv, norm = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)
    drawn(conv), drawn(norm)
    x = inputs(2, 5, 5)
    with torch.no_grad(), ChannelsLast():
        parts = [one := conv(x), one := norm(one), one := one + x]
        assert [type(one) for one in parts] == [Deferred] * 3
        assert [one._value for one in parts] == [None] * 3
        assert type(relu(one)) is Tensor
        left = norm(conv(x))
        before = left._value
    assert before is None
    assert type(left._value) is Tensor
    torch.testing.assert_close(left + 0, norm(conv(x)).detach(), rtol=1e-4, atol=1e-4)
