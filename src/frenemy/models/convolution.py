"""Convolution: one with the batch norm, sum and ReLU that follow it, worked out by one kernel where there is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias, final

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle

from frenemy.errors import ModelError
from frenemy.models.fixednorm import Norm, scale_of
from frenemy.models.onednn import CONVOLVED, Geometry, convolved, kernel_laid_out
from frenemy.models.packed import packed

__all__ = ["Convolution", "Rounded", "last"]


def last(x: Tensor) -> Tensor:
    """Lay `(n, c, h, w)` out as n, h, w, c. With one channel both layouts are the same bytes, and only strides tell."""
    if x.shape[1] == 1 and x.is_contiguous():
        _, c, h, w = x.shape
        return x.as_strided(x.shape, (c * h * w, 1, c * w, c))
    return x.contiguous(memory_format=torch.channels_last)


@final
@dataclass(frozen=True, slots=True)
class Convolution:
    """`norm(x * weight + bias) + other`, as far as that has been asked for; `slope` takes a gradient back.

    Args:
        x: `(n, c, h, w)`, channels last, in the dtype to work in.
        weight, bias: of the convolution.
        geometry: its padding, stride, dilation and groups.
        shape: of the result.
        versions: of `x` and `other` when this was asked for.
        norm: the batch norm after it.
        other: what is added to that.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    geometry: Geometry
    shape: tuple[int, int, int, int]
    versions: tuple[int, ...]
    norm: Norm | None = None
    other: Tensor | None = None

    def then(self, norm: Norm | None = None, other: Tensor | None = None) -> Convolution:
        """The same with this after it."""
        made = (self.x, self.weight, self.bias, self.geometry, self.shape)
        if other is None:
            return Convolution(*made, self.versions, norm, self.other)
        return Convolution(*made, (*self.versions, other._version), self.norm, other)

    def __call__(self, rectified: bool = False) -> Tensor:
        """Work it out, and `max(0, .)` of it where wanted.

        The first time weights are met PyTorch's own functions do it one after the other, as without this class. Where
        they are met again, and the model is held still, batch norm is folded into a copy of them.

        Raises:
            ModelError: `x` or `other` was written to since.
        """
        if (self.x._version, *(() if self.other is None else (self.other._version,))) != self.versions:
            raise ModelError(
                "expected what goes into a convolution to stay as it is while its result is in use, got a tensor that "
                "the model has written to; run the model as it is, without Fast or Lowered"
            )
        norm, dtype = self.norm, self.x.dtype
        lay = _Lay(self.geometry, dtype, tuple(self.x.shape[1:]), None if norm is None else norm.eps)
        others = () if norm is None else (norm.mean, norm.var, norm.weight, norm.bias)
        laid = packed(self.weight, lay, self.bias, *others)
        if laid is not None:
            y = convolved(self.x, *laid, self.geometry, self.other)
            return y.relu_() if rectified else y
        bias = None if self.bias is None else self.bias.to(dtype)
        padding, stride, dilation, groups = self.geometry
        y = torch.conv2d(self.x, last(self.weight.to(dtype)), bias, stride, padding, dilation, groups)
        if norm is not None:
            y = torch.batch_norm(y, norm.weight, norm.bias, norm.mean, norm.var, False, 0.0, norm.eps, False)
        y = y if self.other is None else y + self.other
        return y.relu_() if rectified else y

    def slope(self, gradient: Tensor) -> Tensor:
        """Take the gradient of the result back to `x`.

        Where `x` has few channels, as pictures have, that is itself worked out as a convolution, of all pixels of a
        block at once: kernels are made for 16 channels and more, and take as long for one.
        """
        eps = None if self.norm is None else self.norm.eps
        sources = () if self.norm is None else (self.norm.var, self.norm.weight)
        side = 0 if torch.is_grad_enabled() else self._side()
        if side:
            turned = _Turn(self.geometry, gradient.dtype, tuple(gradient.shape[1:]), eps, side)
            laid = packed(self.weight, turned, *sources)
            if laid is not None:
                return pixel_shuffle(convolved(last(gradient), laid, None, turned.onto(self.weight)), side)
        lay = Rounded(gradient.dtype, eps)
        kernel = packed(self.weight, lay, *sources)
        kernel = lay(self.weight.detach(), *sources) if kernel is None else kernel
        padding, stride, dilation, groups = self.geometry
        back = torch.ops.aten.convolution_backward
        how = (None, stride, padding, dilation, False, (0, 0), groups, (True, False, False))
        result: Tensor = back(last(gradient), self.x, kernel, *how)[0]
        return result

    def _side(self) -> int:
        """Side of the blocks of pixels that the way back can take at once; 0 where it cannot."""
        padding, stride, dilation, groups = self.geometry
        channels, *sides = self.weight.shape[1:]
        inside = all(pad < side for pad, side in zip(padding, sides, strict=True))
        if channels > 4 or not inside or (*stride, *dilation, groups) != (1,) * 5 or not CONVOLVED:
            return 0
        fitting = (
            side for side in (4, 2) if channels * side <= 8 and not any(n % side for n in self.x.shape[2:])
        )
        return next(fitting, 0)


_Laid: TypeAlias = tuple[Tensor, Tensor | None]


@final
@dataclass(frozen=True, slots=True)
class _Lay:
    """Lays a convolution's weights out, with batch norm folded in; best for inputs of one size, and right for all."""

    geometry: Geometry
    dtype: torch.dtype
    size: tuple[int, ...] = field(compare=False)
    eps: float | None

    def __call__(
        self,
        kernel: Tensor,
        bias: Tensor | None,
        mean: Tensor | None = None,
        var: Tensor | None = None,
        weight: Tensor | None = None,
        shift: Tensor | None = None,
    ) -> _Laid:
        if mean is not None and var is not None and self.eps is not None:
            scale = scale_of(var, weight, self.eps)
            kernel = kernel * scale[:, None, None, None]
            bias = -mean * scale if bias is None else (bias - mean) * scale
            bias = bias if shift is None else bias + shift
        bias = None if bias is None else bias.to(self.dtype)
        return kernel_laid_out(last(kernel.to(self.dtype)), self.geometry, self.size), bias


@final
@dataclass(frozen=True, slots=True)
class Rounded:
    """Lays a convolution's weight out channels last, with the scale of batch norm in it where there is one."""

    dtype: torch.dtype
    eps: float | None = None

    def __call__(self, kernel: Tensor, var: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        if var is not None and self.eps is not None:
            kernel = kernel * scale_of(var, weight, self.eps)[:, None, None, None]
        return last(kernel.to(self.dtype))


@final
@dataclass(frozen=True, slots=True)
class _Turn:
    """Lays a convolution's weight out for the way back to blocks of `side` by `side` pixels, one channel for each."""

    geometry: Geometry
    dtype: torch.dtype
    size: tuple[int, ...] = field(compare=False)
    eps: float | None
    side: int

    def onto(self, kernel: Tensor) -> Geometry:
        """The geometry of that convolution."""
        down, right = (n - 1 - pad for n, pad in zip(kernel.shape[2:], self.geometry[0], strict=True))
        return (down, right), (self.side, self.side), (1, 1), 1

    def __call__(self, kernel: Tensor, var: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        turned = Rounded(torch.float32, self.eps)(kernel, var, weight).flip(2, 3).transpose(0, 1)
        channels, outside, high, wide = turned.shape
        side = self.side
        spread = turned.new_zeros(channels, side, side, outside, high + side - 1, wide + side - 1)
        for down in range(side):
            for right in range(side):
                spread[:, down, right, :, down : down + high, right : right + wide] = turned
        return kernel_laid_out(last(spread.flatten(0, 2).to(self.dtype)), self.onto(kernel), self.size)
